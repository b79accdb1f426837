package landing

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/uuid"

	"headwater/bus/kv"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/storage"
)

// markerName is the file at a lake's root that says which instance owns it.
const markerName = "headwater-lake.json"

// ownerKey is the catalog's own word of the lake it belongs to.
const ownerKey = "lake"

// ownership ties a catalog and a lake to each other: both hold the same one.
type ownership struct {
	Instance string `json:"instance"` // made anew whenever the tie is
	Root     string `json:"root"`     // where the lake was then, a URL
	Home     string `json:"home,omitempty"`
}

// ForeignLakeError says that a lake, or the catalog that comes with a data
// directory, is not this instance's to write. Nothing was changed.
type ForeignLakeError struct {
	What string // what was found
	Way  string // what to do
}

// Error returns what was found and what to do.
func (e *ForeignLakeError) Error() string { return e.What + "; " + e.Way }

const relocateWay = "`headwater relocate` with the same --data-dir and --lake makes the lake this instance's own"

// Own makes sure that the lake belongs to this catalog, and the other way
// round: on the first start of both it ties them together. home is the place of
// the catalog, "" where it is not in a folder of its own. It returns a
// *ForeignLakeError when the catalog's tables lie elsewhere, when another
// instance owns the lake, when catalog and lake are copies of those of another
// home, or when the lake has lost what the catalog knows of; else ErrStorage or
// the store's error. It is safe to call from many processes at once.
func (l *Lake) Own(ctx context.Context, home string) error {
	l = l.within(ctx)
	known, _, err := l.owner(ctx)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return l.take(ctx, home)
	}
	if err != nil {
		return err
	}
	switch {
	case known.Root != l.root:
		return &ForeignLakeError{
			fmt.Sprintf("the catalog's tables lie in %s, and --lake says %s", known.Root, l.root),
			fmt.Sprintf("start with --lake %s, or, to move them here or after moving them, %s", known.Root, relocateWay),
		}
	case known.Home != home:
		return &ForeignLakeError{
			fmt.Sprintf("the data directory is at %s and was at %s: it was moved or copied", home, known.Home),
			"if it was moved, or its original is not started any more, " + relocateWay + "; a copy beside its original needs a copy of the lake, and --lake to name it",
		}
	}
	return l.check(ctx, known)
}

// check compares the lake's marker with what the catalog says.
func (l *Lake) check(ctx context.Context, known ownership) error {
	found, err := l.marker()
	if errors.Is(err, fs.ErrNotExist) {
		if err := l.present(ctx); err != nil {
			return err
		}
		return l.mark(known)
	}
	if err != nil {
		return err
	}
	if found.Instance != known.Instance {
		return l.foreign(found)
	}
	return nil
}

// Owned returns a *ForeignLakeError when another instance has taken the lake
// since Own, ErrStorage when its marker cannot be read, or the store's error.
func (l *Lake) Owned(ctx context.Context) error {
	known, _, err := l.owner(ctx)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return nil // nobody asked for an owner, as tests of tables alone
	}
	if err != nil {
		return err
	}
	found, err := l.within(ctx).marker()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || found.Instance != known.Instance {
		return l.foreign(found)
	}
	return nil
}

func (l *Lake) foreign(found ownership) error {
	return &ForeignLakeError{
		fmt.Sprintf("the lake %s belongs to another instance (%s, of %s)", l.root, found.Instance, cmp.Or(found.Home, "a cluster")),
		"give this one another --lake; if the other is gone for good, " + relocateWay,
	}
}

// take ties a catalog that has no lake yet to this one. Tables of a version that
// knew no owners must lie here.
func (l *Lake) take(ctx context.Context, home string) error {
	if elsewhere, err := l.elsewhere(ctx); err != nil {
		return err
	} else if elsewhere != "" {
		return &ForeignLakeError{
			fmt.Sprintf("a table of the catalog lies in %s, which is not in --lake %s", elsewhere, l.root),
			"start with the --lake it was made in, or, to move the tables here or after moving them, " + relocateWay,
		}
	}
	switch found, err := l.marker(); {
	case err == nil:
		return l.foreign(found)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := l.present(ctx); err != nil {
		return err
	}
	mine := ownership{Instance: uuid.NewString(), Root: l.root, Home: home}
	value, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	if _, err := l.kv.Create(ctx, ownerKey, value, 0); errors.Is(err, kv.ErrKeyExists) {
		return l.Own(ctx, home) // another node of this instance was first
	} else if err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	if err := l.mark(mine); err != nil {
		return err
	}
	return l.check(ctx, mine)
}

// elsewhere returns where a table lies that is not in the lake, "" for none.
func (l *Lake) elsewhere(ctx context.Context) (string, error) {
	idents, err := l.catalog.Identifiers(ctx, "table.", nil)
	if err != nil {
		return "", err
	}
	for _, ident := range idents {
		p, _, err := l.catalog.Pointer(ctx, ident)
		if err != nil {
			return "", err
		}
		if !below(p.Location, l.root) {
			return p.Folder(), nil
		}
	}
	return "", nil
}

// present fails when the catalog has tables and the lake has none of them: its
// folder is not mounted, or was emptied.
func (l *Lake) present(ctx context.Context) error {
	idents, err := l.catalog.Identifiers(ctx, "table.", nil)
	if err != nil || len(idents) == 0 {
		return err
	}
	for _, ident := range idents {
		if _, err := l.catalog.Load(ctx, ident); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return &ForeignLakeError{
		fmt.Sprintf("the lake %s has none of the %d tables that the catalog knows", l.root, len(idents)),
		"mount it or bring its files back; if they are gone for good, remove the sources and connect them again",
	}
}

// marker reads the lake's marker; it returns fs.ErrNotExist when there is none.
func (l *Lake) marker() (ownership, error) {
	var found ownership
	content, err := fs.ReadFile(readable{l.files}, l.root+"/"+markerName)
	if errors.Is(err, fs.ErrNotExist) {
		return found, fs.ErrNotExist
	}
	if err != nil {
		return found, storage.Wrap("read the lake's marker", err)
	}
	if err := json.Unmarshal(content, &found); err != nil {
		return found, storage.Wrap("read the lake's marker "+markerName, err)
	}
	return found, nil
}

// mark writes the lake's marker. One that another has written meanwhile stays;
// check finds it.
func (l *Lake) mark(mine ownership) error {
	content, err := json.MarshalIndent(mine, "", "  ")
	if err != nil {
		return err
	}
	content = append(bytes.TrimSpace(content), '\n')
	if b, ok := l.files.(*bucket.Bucket); ok {
		err = b.WriteNew(l.root+"/"+markerName, content)
	} else {
		err = l.files.WriteFile(l.root+"/"+markerName, content)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return storage.Wrap("write the lake's marker: the lake must be writable", err)
}

func (l *Lake) owner(ctx context.Context) (ownership, uint64, error) {
	entry, err := l.kv.Get(ctx, ownerKey)
	if err != nil {
		return ownership{}, 0, fmt.Errorf("the catalog: %w", err)
	}
	var known ownership
	if err := json.Unmarshal(entry.Value, &known); err != nil {
		return ownership{}, 0, fmt.Errorf("the catalog's word of its lake: %w", err)
	}
	return known, entry.Revision, nil
}

// below reports whether a URL is that of something in a folder.
func below(url, root string) bool { return strings.HasPrefix(url, root+"/") }
