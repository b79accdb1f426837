package landing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/apache/iceberg-go/table"

	"headwater/bus/event"
	"headwater/bus/kv"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/ownership"
	"headwater/handlers/landing/storage"
)

// Dropped says what became of the files of a source.
type Dropped struct {
	Removed   int // files that are gone
	Remaining int // files that are still there; -1 if the lake could not be listed
	Kept      int // former versions that the bucket keeps
}

// Drop removes every table of a source. It removes their keys from the catalog first, so
// that nobody can commit to them any more, then the files, and then lists what is left. A
// source without tables is no error, so Drop may be repeated after a failure. It returns
// a *ForeignLakeError if the lake belongs to another instance or a table lies outside of
// it, ErrStorage, or the store's error.
func (l *Lake) Drop(ctx context.Context, a event.Address) (Dropped, error) {
	if err := l.Claimed(ctx); err != nil {
		return Dropped{Remaining: -1}, err
	}
	if err := l.Owned(ctx); err != nil {
		return Dropped{Remaining: -1}, err
	}
	l = l.within(ctx)
	namespace := kvcatalog.NamespaceOf(a)
	places, elsewhere, err := l.places(ctx, namespace)
	if err != nil {
		return Dropped{Remaining: -1}, err
	}
	if err := l.remember(ctx, namespace, elsewhere); err != nil {
		return Dropped{Remaining: -1}, err
	}
	for _, kind := range []string{"table.", "namespace."} {
		idents, err := l.catalog.Identifiers(ctx, kind, namespace)
		if err != nil {
			return Dropped{Remaining: -1}, err
		}
		if kind == "namespace." {
			idents = append(idents, namespace)
		}
		for _, ident := range idents {
			if err := l.kv.Erase(ctx, kind+kvcatalog.Joined(ident)); err != nil {
				return Dropped{Remaining: -1}, fmt.Errorf("the catalog: %w", err)
			}
			if l.index != nil {
				l.index.Drop(kind+kvcatalog.Joined(ident), indexOfKeys, indexOfGone)
			}
		}
	}
	var all Dropped
	var failed []error
	for _, place := range append(places, elsewhere...) {
		d, err := l.removeAll(place)
		all.Removed, all.Kept = all.Removed+d.Removed, all.Kept+d.Kept
		if all.Remaining += d.Remaining; min(d.Remaining, all.Remaining-d.Remaining) < 0 {
			all.Remaining = -1
		}
		failed = append(failed, err)
	}
	if err := errors.Join(failed...); err != nil || len(elsewhere) == 0 {
		return all, err
	}
	return all, l.kv.Erase(ctx, droppingKey(namespace))
}

// droppingKey holds places of a source that its name does not say, from before
// its tables are erased until the files there are gone.
func droppingKey(namespace table.Identifier) string { return "dropping." + kvcatalog.Joined(namespace) }

// remember notes where files of a source lie that is about to be forgotten.
func (l *Lake) remember(ctx context.Context, namespace table.Identifier, elsewhere []string) error {
	if len(elsewhere) == 0 {
		return nil
	}
	value, err := json.Marshal(elsewhere)
	if err != nil {
		return err
	}
	if err := l.kv.Erase(ctx, droppingKey(namespace)); err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	if _, err := l.kv.Create(ctx, droppingKey(namespace), value, 0); err != nil && !errors.Is(err, kv.ErrKeyExists) {
		return fmt.Errorf("the catalog: %w", err)
	}
	return nil
}

// places returns the folders of a source: those that its name says, and those of
// tables that lie elsewhere in the lake. A table outside of it stops a drop
// before anything is erased, for its files would stay for ever. Places that a
// former drop noted are among the latter.
func (l *Lake) places(ctx context.Context, namespace table.Identifier) (places, elsewhere []string, err error) {
	places = slices.Compact([]string{l.root + "/" + kvcatalog.Folders(namespace), l.root + "/" + kvcatalog.FormerFolders(namespace)})
	noted, err := l.kv.Get(ctx, droppingKey(namespace))
	if err == nil {
		err = json.Unmarshal(noted.Value, &elsewhere)
	} else if errors.Is(err, kv.ErrKeyNotFound) {
		err = nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the catalog: %w", err)
	}
	idents, err := l.catalog.Identifiers(ctx, "table.", namespace)
	if err != nil {
		return nil, nil, err
	}
	for _, ident := range idents {
		p, _, err := l.catalog.Pointer(ctx, ident)
		if err != nil {
			return nil, nil, err
		}
		if !storage.Below(p.Location, l.root) {
			return nil, nil, &ForeignLakeError{What: fmt.Sprintf("a table of the source lies in %s, which is not in --lake %s", p.Folder(), l.root), Way: ownership.RelocateWay}
		}
		known := func(place string) bool { return storage.Below(p.Location, place) }
		if !slices.ContainsFunc(places, known) && !slices.ContainsFunc(elsewhere, known) {
			elsewhere = append(elsewhere, p.Folder())
		}
	}
	return places, elsewhere, nil
}

// Tables returns the names of a source's landed tables, as the source has them, in the
// catalog's order. It returns the catalog's error.
func (l *Lake) Tables(ctx context.Context, a event.Address) ([]string, error) {
	idents, err := l.catalog.Identifiers(ctx, "table.", kvcatalog.NamespaceOf(a))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(idents))
	for _, ident := range idents {
		p, _, err := l.catalog.Pointer(ctx, table.Identifier(ident))
		if err != nil {
			return nil, err
		}
		names = append(names, p.Name)
	}
	return names, nil
}

// removeAgain is how often a folder that cannot be emptied is tried again.
const removeAgain = 5

func (l *Lake) removeAll(root string) (Dropped, error) {
	if b, ok := l.files.(*bucket.Bucket); ok {
		r, err := b.RemoveAll(root)
		return Dropped(r), storage.Wrap("remove "+root, err)
	}
	had, err := storage.List(l.files, root)
	if errors.Is(err, fs.ErrNotExist) {
		return Dropped{}, nil
	}
	if err != nil { // a folder that cannot be read may still be one that can be removed
		had = nil
	}
	removed := l.removeHere(root, had)
	left, err := storage.List(l.files, root)
	if errors.Is(err, fs.ErrNotExist) {
		left, err = nil, nil
	}
	if err != nil {
		return Dropped{Remaining: -1}, errors.Join(removed, err)
	}
	return Dropped{Removed: max(0, len(had)-len(left)), Remaining: len(left)}, removed
}

func (l *Lake) removeHere(root string, had []storage.Found) error {
	if d, ok := l.files.(storage.Disk); ok {
		err := d.RemoveAll(root)
		for range removeAgain {
			if err == nil {
				break
			}
			err = d.RemoveAll(root) // a writer that does not know yet has made another file
		}
		return storage.Wrap("remove "+root, err)
	}
	names := make([]string, len(had))
	for i, f := range had {
		names[i] = f.Name
	}
	return storage.Remove(l.files, names...)
}
