package ownership

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
	Tables  int // moved into the lake
	Already int // tables that lay there before
	Copied  int // files copied from the former place
}

// Relocate makes every table of the catalog lie in this lake, and ties the two to
// each other as Own does, whatever they belonged to before. Iceberg's files name each
// other by full paths, so each file that names others is written anew: metadata,
// manifest lists, manifests and position deletes. Files of rows are used if they lie
// below the lake's root, as after a move of the folder; otherwise they are copied
// from where the catalog says they are. Files at the former place stay unchanged.
//
// A table moves in one step, so Relocate may be stopped and called again. Ranges that
// a sync had staged are read again. Nothing else may use the catalog meanwhile.
// from is the URL of the former lake, for options that it needs, such as a bucket's
// endpoint; "" means the location that the catalog knows, with the options of this
// lake if both are buckets. Relocate returns a *ForeignLakeError if a file of a table
// is in neither place, parts.ErrStorage, or the store's error; tables before that one
// have moved.
func (o *Owner) Relocate(ctx context.Context, home, from string) (done Relocated, err error) {
	idents, err := o.catalog.Identifiers(ctx, "table.", nil)
	if err != nil {
		return done, err
	}
	r := &relocation{owner: o, sources: map[string]storage.Store{}, done: &done}
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
	return done, o.adopt(ctx, home)
}

// adopt ties the catalog and the lake to each other, whatever they were before.
// The instance is a new one: whoever else has the former one stops.
func (o *Owner) adopt(ctx context.Context, home string) error {
	mine := record{Instance: uuid.NewString(), Root: o.root, Home: home}
	value, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	if err := storage.Remove(o.files(), o.root+"/"+MarkerName); err != nil {
		return err
	}
	if err := o.mark(mine); err != nil {
		return err
	}
	if err := o.keys.Erase(ctx, ownerKey); err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	if _, err := o.keys.Create(ctx, ownerKey, value, 0); err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	return o.check(ctx, mine)
}

// relocation moves tables one after another.
type relocation struct {
	owner   *Owner
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
		for option, value := range r.owner.bucket {
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
	p, revision, err := r.owner.catalog.Pointer(ctx, ident)
	if err != nil {
		return err
	}
	if storage.Below(p.Location, r.owner.root) {
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
	m := &moving{relocation: r, ctx: ctx, former: files, from: root, to: r.owner.root, manifests: map[string]iceberg.ManifestFile{}, deletes: map[string]iceberg.DataFile{}}
	if err := m.bring(p.Location); err != nil {
		return err
	}
	meta, err := r.owner.catalog.ReadMetadata(m.moved(p.Location))
	if err != nil {
		return err
	}
	next, err := m.metadata(meta)
	if err != nil {
		return err
	}
	if p.Location, err = r.owner.catalog.WriteMetadata(r.owner.files(), next, p.Location); err != nil {
		return err
	}
	p.Staged, p.Unswept = nil, true
	if _, err := r.owner.catalog.Swap(ctx, ident, p, revision); err != nil {
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
