package landing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/apache/iceberg-go/table"

	"headwater/bus/event"
	"headwater/handlers/landing/bucket"
)

// Drop removes every table of a source: from the catalog first, which fences
// out whoever still writes, then the files. A source without tables is no
// error, so it may be repeated after a failure. It returns a *ForeignLakeError
// when the lake has another owner, ErrStorage or the KV's error.
func (l *Lake) Drop(ctx context.Context, a event.Address) error {
	if err := l.Claimed(ctx); err != nil {
		return err
	}
	if err := l.Owned(ctx); err != nil {
		return err
	}
	l = l.within(ctx)
	namespace := namespaceOf(a)
	places, err := l.places(ctx, namespace)
	if err != nil {
		return err
	}
	for _, kind := range []string{"table.", "namespace."} {
		idents, err := l.catalog.identifiers(ctx, kind, namespace)
		if err != nil {
			return err
		}
		if kind == "namespace." {
			idents = append(idents, namespace)
		}
		for _, ident := range idents {
			if err := l.catalog.kv.Erase(ctx, kind+joined(ident)); err != nil {
				return fmt.Errorf("the catalog: %w", err)
			}
		}
	}
	for _, place := range places {
		if err := l.removeAll(place); err != nil {
			return err
		}
	}
	return nil
}

// places returns the folders of a source: those that its name says, and those of
// tables that lie elsewhere in the lake. A table outside of it stops a drop
// before anything is erased, for its files would stay for ever.
func (l *Lake) places(ctx context.Context, namespace table.Identifier) ([]string, error) {
	places := slices.Compact([]string{l.root + "/" + folders(namespace), l.root + "/" + formerFolders(namespace)})
	idents, err := l.catalog.identifiers(ctx, "table.", namespace)
	if err != nil {
		return nil, err
	}
	for _, ident := range idents {
		p, _, err := l.catalog.pointerOf(ctx, ident)
		if err != nil {
			return nil, err
		}
		if !below(p.Location, l.root) {
			return nil, &ForeignLakeError{fmt.Sprintf("a table of the source lies in %s, which is not in --lake %s", p.folder(), l.root), relocateWay}
		}
		if !slices.ContainsFunc(places, func(place string) bool { return below(p.Location, place) }) {
			places = append(places, p.folder())
		}
	}
	return places, nil
}

// Tables returns the landed tables of a source by the names its source gave
// them, in the catalog's order.
func (l *Lake) Tables(ctx context.Context, a event.Address) ([]string, error) {
	idents, err := l.catalog.identifiers(ctx, "table.", namespaceOf(a))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(idents))
	for _, ident := range idents {
		p, _, err := l.catalog.pointerOf(ctx, table.Identifier(ident))
		if err != nil {
			return nil, err
		}
		names = append(names, p.Name)
	}
	return names, nil
}

// removeAgain is how often a folder that cannot be emptied is tried again.
const removeAgain = 5

func (l *Lake) removeAll(root string) error {
	if d, ok := l.files.(disk); ok {
		err := d.RemoveAll(root)
		for range removeAgain {
			if err == nil {
				break
			}
			err = d.RemoveAll(root) // a writer that does not know yet has made another file
		}
		return storage("remove "+root, err)
	}
	if b, ok := l.files.(*bucket.Bucket); ok {
		return storage("remove "+root, b.RemoveAll(root))
	}
	found, err := list(l.files, root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.name
	}
	return remove(l.files, names...)
}
