package landing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/storage"
)

// Relocated says what Relocate did.
type Relocated struct {
	Tables  int // that lie in the lake now
	Already int // that lay there before
	Copied  int // files that were brought from where they were
}

// Relocate makes every table of the catalog lie in this lake, and the lake its
// own. Iceberg's files name each other in full, so what names others is written
// anew: metadata, manifest lists, manifests and position deletes. Files of rows
// are used where they lie below the lake's root, as after a move of the folder;
// those that are not there are copied from where the catalog says they are. The
// files at the former place are left as they are.
//
// A table moves in one step, so Relocate may be stopped and called again. What
// a sync had staged is given up. Nothing else may use the catalog meanwhile.
// from opens the former lake where that needs options, such as a bucket's
// endpoint; "" means that its location will do, with the options of this lake where
// both are buckets. It returns a
// *ForeignLakeError when a table's files are in neither place, ErrStorage, or
// the store's error; tables before that one have moved.
func (l *Lake) Relocate(ctx context.Context, home, from string) (done Relocated, err error) {
	idents, err := l.catalog.Identifiers(ctx, "table.", nil)
	if err != nil {
		return done, err
	}
	r := &relocation{lake: l, sources: map[string]storage.Store{}, done: &done}
	defer func() { err = errors.Join(err, r.close()) }()
	if from != "" {
		files, root, err := storage.Open(ctx, from, 0, bucket.Limits{})
		if err != nil {
			return done, err
		}
		r.sources[root] = files
	}
	for _, ident := range idents {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if err := r.table(ctx, ident); err != nil {
			return done, fmt.Errorf("table %s: %w", strings.Join(ident, "."), err)
		}
	}
	return done, l.adopt(ctx, home)
}

// adopt ties the catalog and the lake to each other, whatever they were before.
// The instance is a new one: whoever else has the former one stops.
func (l *Lake) adopt(ctx context.Context, home string) error {
	mine := ownership{Instance: uuid.NewString(), Root: l.root, Home: home}
	value, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	if err := storage.Remove(l.files, l.root+"/"+markerName); err != nil {
		return err
	}
	if err := l.mark(mine); err != nil {
		return err
	}
	if err := l.kv.Erase(ctx, ownerKey); err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	if _, err := l.kv.Create(ctx, ownerKey, value, 0); err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	return l.check(ctx, mine)
}

// relocation moves tables one after another.
type relocation struct {
	lake    *Lake
	sources map[string]storage.Store // former lakes by their roots
	done    *Relocated
}

func (r *relocation) close() error {
	var errs []error
	for _, files := range r.sources {
		if c, ok := files.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// source returns the files of a former lake.
func (r *relocation) source(ctx context.Context, root string) (storage.Store, error) {
	if files, ok := r.sources[root]; ok {
		return files, nil
	}
	if strings.HasPrefix(root, "file:") {
		return storage.Disk{}, nil // which makes no folder
	}
	query := url.Values{}
	if strings.HasPrefix(root, "s3:") {
		for option, value := range r.lake.bucket {
			query.Set(option, value)
		}
	}
	files, _, err := storage.Open(ctx, strings.TrimSuffix(root+"?"+query.Encode(), "?"), 0, bucket.Limits{})
	if err != nil {
		return nil, err
	}
	r.sources[root] = files
	return files, nil
}

// table moves one table.
func (r *relocation) table(ctx context.Context, ident table.Identifier) error {
	p, revision, err := r.lake.catalog.Pointer(ctx, ident)
	if err != nil {
		return err
	}
	if below(p.Location, r.lake.root) {
		r.done.Already++
		return nil
	}
	root, ok := rootOf(p.Folder(), ident)
	if !ok {
		return storage.Wrap("find the former lake", fmt.Errorf("%s is no folder of the table", p.Folder()))
	}
	files, err := r.source(ctx, root)
	if err != nil {
		return err
	}
	m := &moving{relocation: r, ctx: ctx, former: files, from: root, to: r.lake.root, manifests: map[string]iceberg.ManifestFile{}, deletes: map[string]iceberg.DataFile{}}
	if err := m.bring(p.Location); err != nil {
		return err
	}
	meta, err := r.lake.catalog.ReadMetadata(m.moved(p.Location))
	if err != nil {
		return err
	}
	next, err := m.metadata(meta)
	if err != nil {
		return err
	}
	if p.Location, err = r.lake.catalog.WriteMetadata(r.lake.files, next, p.Location); err != nil {
		return err
	}
	p.Staged, p.Unswept = nil, true
	if _, err := r.lake.catalog.Swap(ctx, ident, p, revision); err != nil {
		return err
	}
	r.done.Tables++
	return nil
}

// rootOf returns the lake that a table's folder is in.
func rootOf(folder string, ident table.Identifier) (string, bool) {
	for _, place := range []string{kvcatalog.Folders(ident), kvcatalog.FormerFolders(ident)} {
		if root, ok := strings.CutSuffix(folder, "/"+place); ok {
			return root, true
		}
	}
	return "", false
}
