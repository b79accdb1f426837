// Package ownership says whose lake it is. A lake and the catalog of its tables
// belong to each other; a lake of another instance is not written, and one that was
// moved is written again once its tables' files say where they lie now.
package ownership

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"headwater/bus/kv"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/storage"
)

// MarkerName names the file at a lake's root that says which instance owns the lake.
const MarkerName = "headwater-lake.json"

// ownerKey is the key under which the catalog notes which lake it belongs to.
const ownerKey = "lake"

// Owner keeps a catalog and a lake together. It is safe for concurrent use.
type Owner struct {
	keys    kv.Store
	catalog *kvcatalog.Catalog
	root    string
	bucket  map[string]string
	log     *slog.Logger
	now     func() time.Time
	claim   *claim
	probe   *probe
}

// New returns the owner of the lake at root, whose tables are those of catalog and
// whose owner is noted in keys. bucket are the options of the lake's URL, nil for a
// folder. Nothing is read or written yet.
func New(keys kv.Store, catalog *kvcatalog.Catalog, root string, bucket map[string]string, log *slog.Logger) *Owner {
	return &Owner{
		keys: keys, catalog: catalog, root: root, bucket: bucket, log: log, now: time.Now,
		claim: &claim{turn: make(chan struct{}, 1)}, probe: &probe{},
	}
}

// files are the lake's, those of its catalog.
func (o *Owner) files() storage.Store { return o.catalog.Files }

// within returns the owner with requests to the lake's files that end with ctx.
func (o *Owner) within(ctx context.Context) *Owner {
	files, ends := storage.Within(ctx, o.files())
	if !ends {
		return o
	}
	within := *o
	within.catalog = o.catalog.Over(files)
	return &within
}

// record is what a catalog and its lake both hold, and what ties them to each other.
type record struct {
	Instance string `json:"instance"` // a new one for each tie
	Root     string `json:"root"`     // where the lake was then, a URL
	Home     string `json:"home,omitempty"`
}

// ForeignLakeError says that this instance may not write a lake, because the lake or
// the catalog in its data directory belongs elsewhere. Nothing was changed.
type ForeignLakeError struct {
	What string // what was found
	Way  string // what to do
}

// Error returns what was found and what to do.
func (e *ForeignLakeError) Error() string { return e.What + "; " + e.Way }

// RelocateWay is the way out for a lake whose tables lie elsewhere.
const RelocateWay = "`headwater relocate` with the same --data-dir and --lake makes the lake this instance's own"

// Own makes sure that the lake belongs to this catalog, and the catalog to this
// lake: on the first start of both it ties them together. home is the folder that
// holds the catalog, "" if it has none of its own. Own returns a *ForeignLakeError
// if the catalog's tables lie elsewhere, if another instance owns the lake, if
// catalog and lake are copies of those of another home, or if the lake lacks the
// tables that the catalog knows; otherwise parts.ErrStorage or the store's error.
// It is safe to call from many processes at once.
func (o *Owner) Own(ctx context.Context, home string) error {
	o = o.within(ctx)
	known, _, err := o.owner(ctx)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return o.take(ctx, home)
	}
	if err != nil {
		return err
	}
	switch {
	case known.Root != o.root:
		return &ForeignLakeError{
			fmt.Sprintf("the catalog's tables lie in %s, and --lake says %s", known.Root, o.root),
			fmt.Sprintf("start with --lake %s, or, to move them here or after moving them, %s", known.Root, RelocateWay),
		}
	case known.Home != home:
		return &ForeignLakeError{
			fmt.Sprintf("the data directory is at %s and was at %s: it was moved or copied", home, known.Home),
			"if it was moved, or its original is not started any more, " + RelocateWay + "; a copy beside its original needs a copy of the lake, and --lake to name it",
		}
	}
	return o.check(ctx, known)
}

// check compares the lake's marker with what the catalog says.
func (o *Owner) check(ctx context.Context, known record) error {
	found, err := o.marker()
	if errors.Is(err, fs.ErrNotExist) {
		if err := o.present(ctx); err != nil {
			return err
		}
		return o.mark(known)
	}
	if err != nil {
		return err
	}
	if found.Instance != known.Instance {
		return o.foreign(found)
	}
	return nil
}

// Owned returns a *ForeignLakeError if another instance has taken the lake since
// Own, parts.ErrStorage if the lake's marker cannot be read, or the store's error.
// A lake for which Own was never called belongs to nobody: Owned returns nil.
func (o *Owner) Owned(ctx context.Context) error {
	known, _, err := o.owner(ctx)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return nil // nobody asked for an owner
	}
	if err != nil {
		return err
	}
	found, err := o.within(ctx).marker()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || found.Instance != known.Instance {
		return o.foreign(found)
	}
	return nil
}

func (o *Owner) foreign(found record) error {
	return &ForeignLakeError{
		fmt.Sprintf("the lake %s belongs to another instance (%s, of %s)", o.root, found.Instance, cmp.Or(found.Home, "a cluster")),
		"give this one another --lake; if the other is gone for good, " + RelocateWay,
	}
}

// take ties a catalog that has no lake yet to this one. Tables of a version that
// knew no owners must lie here.
func (o *Owner) take(ctx context.Context, home string) error {
	if elsewhere, err := o.elsewhere(ctx); err != nil {
		return err
	} else if elsewhere != "" {
		return &ForeignLakeError{
			fmt.Sprintf("a table of the catalog lies in %s, which is not in --lake %s", elsewhere, o.root),
			"start with the --lake it was made in, or, to move the tables here or after moving them, " + RelocateWay,
		}
	}
	switch found, err := o.marker(); {
	case err == nil:
		return o.foreign(found)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := o.present(ctx); err != nil {
		return err
	}
	mine := record{Instance: uuid.NewString(), Root: o.root, Home: home}
	value, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	if _, err := o.keys.Create(ctx, ownerKey, value, 0); errors.Is(err, kv.ErrKeyExists) {
		return o.Own(ctx, home) // another node of this instance was first
	} else if err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	if err := o.mark(mine); err != nil {
		return err
	}
	return o.check(ctx, mine)
}

// elsewhere returns where a table lies that is not in the lake, "" for none.
func (o *Owner) elsewhere(ctx context.Context) (string, error) {
	idents, err := o.catalog.Identifiers(ctx, "table.", nil)
	if err != nil {
		return "", err
	}
	for _, ident := range idents {
		p, _, err := o.catalog.Pointer(ctx, ident)
		if err != nil {
			return "", err
		}
		if !storage.Below(p.Location, o.root) {
			return p.Folder(), nil
		}
	}
	return "", nil
}

// present fails when the catalog has tables and the lake has none of them: its
// folder is not mounted, or was emptied.
func (o *Owner) present(ctx context.Context) error {
	idents, err := o.catalog.Identifiers(ctx, "table.", nil)
	if err != nil || len(idents) == 0 {
		return err
	}
	for _, ident := range idents {
		if _, err := o.catalog.Load(ctx, ident); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return &ForeignLakeError{
		fmt.Sprintf("the lake %s has none of the %d tables that the catalog knows", o.root, len(idents)),
		"mount it or bring its files back; if they are gone for good, remove the sources and connect them again",
	}
}

// marker reads the lake's marker; it returns fs.ErrNotExist when there is none.
func (o *Owner) marker() (record, error) {
	var found record
	content, err := storage.ReadFile(o.files(), o.root+"/"+MarkerName)
	if errors.Is(err, fs.ErrNotExist) {
		return found, fs.ErrNotExist
	}
	if err != nil {
		return found, storage.Wrap("read the lake's marker", err)
	}
	if err := json.Unmarshal(content, &found); err != nil {
		return found, storage.Wrap("read the lake's marker "+MarkerName, err)
	}
	return found, nil
}

// mark writes the lake's marker. One that another has written meanwhile stays;
// check finds it.
func (o *Owner) mark(mine record) error {
	content, err := json.MarshalIndent(mine, "", "  ")
	if err != nil {
		return err
	}
	content = append(bytes.TrimSpace(content), '\n')
	if b, ok := o.files().(*bucket.Bucket); ok {
		err = b.WriteNew(o.root+"/"+MarkerName, content)
	} else {
		err = o.files().WriteFile(o.root+"/"+MarkerName, content)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return storage.Wrap("write the lake's marker: the lake must be writable", err)
}

func (o *Owner) owner(ctx context.Context) (record, uint64, error) {
	entry, err := o.keys.Get(ctx, ownerKey)
	if err != nil {
		return record{}, 0, fmt.Errorf("the catalog: %w", err)
	}
	var known record
	if err := json.Unmarshal(entry.Value, &known); err != nil {
		return record{}, 0, fmt.Errorf("the catalog's word of its lake: %w", err)
	}
	return known, entry.Revision, nil
}
