// Package kvcatalog is an Iceberg catalog over a store of keys: a key for each table,
// changed by compare-and-set, holds which metadata file is the table and which
// worker may change it.
package kvcatalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headwater/bus/kv"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/storage"
)

// Tries is how often a caller begins a step again that a kv.ErrConflict ended.
const Tries = 10

// Catalog is an Apache Iceberg catalog over a kv.Store: a key for each table holds
// the place of its metadata file and its fence, and changes by compare-and-set.
// It is safe for concurrent use, by many processes over one store and one lake.
// Parts of identifiers are of [A-Za-z0-9_=-].
type Catalog struct {
	kv    kv.Store
	Files storage.Store // set by tests
	root  string
	Seam  func(step string) // a test's fault, nil otherwise
	of    *Catalog          // whose seam counts, of one that is bound to a context
}

// New returns the catalog of the tables below a root.
func New(keys kv.Store, files storage.Store, root string) *Catalog {
	return &Catalog{kv: keys, Files: files, root: root}
}

// Over returns the catalog with other files, as those whose calls end with a context.
func (c *Catalog) Over(files storage.Store) *Catalog {
	return &Catalog{kv: c.kv, Files: files, root: c.root, of: c}
}

var _ catalog.Catalog = (*Catalog)(nil)

// CatalogType returns "headwater".
func (c *Catalog) CatalogType() catalog.Type { return "headwater" }

// Place is where a new table lies, and where every table of a namespace does
// that this version has made.
func (c *Catalog) Place(ident table.Identifier) string {
	return c.root + "/" + Folders(ident)
}

// Open makes a table of what was loaded. What it writes goes through files.
func (c *Catalog) Open(l Loaded, files storage.Store) *table.Table {
	fs := func(context.Context) (iceio.IO, error) { return files, nil }
	return table.New(l.Ident, l.Meta, l.Pointer.Location, fs, c)
}

// Load returns the table as it is, or an error that satisfies
// catalog.ErrNoSuchTable.
func (c *Catalog) Load(ctx context.Context, ident table.Identifier) (Loaded, error) {
	p, revision, err := c.Pointer(ctx, ident)
	if err != nil {
		return Loaded{}, err
	}
	meta, err := c.ReadMetadata(p.Location)
	if err != nil {
		return Loaded{}, err
	}
	return Loaded{ident, p, revision, meta}, nil
}

// ReadMetadata returns the metadata in a file. It returns parts.ErrStorage.
func (c *Catalog) ReadMetadata(location string) (table.Metadata, error) {
	f, err := c.Files.Open(location)
	if err != nil {
		return nil, storage.Wrap("open the table's metadata", err)
	}
	meta, err := table.ParseMetadata(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, storage.Wrap("read the table's metadata", err)
	}
	return meta, nil
}

// WriteMetadata stores metadata as a new file, durably, and returns its name.
func (c *Catalog) WriteMetadata(files storage.Store, meta table.Metadata, previous string) (string, error) {
	content, err := json.Marshal(meta)
	if err != nil {
		return "", err
	}
	location := fmt.Sprintf("%s/metadata/%05d-%s%s", meta.Location(), MetadataVersion(previous)+1, uuid.New(), MetadataSuffix)
	return location, storage.Wrap("write the table's metadata", files.WriteFile(location, content))
}

// Commit makes updates to the table as it was loaded. mark changes the pointer
// beside its location, and may refuse. Nothing has changed when it fails,
// except with ErrUnknown; a table that moved meanwhile is kv.ErrConflict.
func (c *Catalog) Commit(ctx context.Context, l Loaded, files storage.Store, updates []table.Update, mark func(*Pointer)) (Loaded, error) {
	meta, err := table.UpdateTableMetadata(l.Meta, updates, l.Pointer.Location)
	if err != nil {
		return l, fmt.Errorf("commit to %v: %w", l.Ident, err)
	}
	if d, ok := files.(*manifest.Draft); ok {
		// The metadata is written behind what it names: some readers take the newest.
		if err := d.Settle(meta); err != nil {
			return l, fmt.Errorf("merge manifests of %v: %w", l.Ident, err)
		}
		if err := d.Flush(); err != nil {
			return l, err
		}
		c.At("manifests")
	}
	next := l
	next.Meta = meta
	if next.Pointer.Location, err = c.WriteMetadata(files, meta, l.Pointer.Location); err != nil {
		return l, err
	}
	mark(&next.Pointer)
	c.At("metadata")
	if next.Revision, err = c.Swap(ctx, l.Ident, next.Pointer, l.Revision); err != nil {
		return l, err
	}
	c.At("swapped")
	return next, nil
}

// At is where a test ends the process: "parts" once the Parquet files are
// durable, "manifests" once those and their list are, "metadata" once that is,
// "swapped" once readers see it, "swept" before what nobody needs is removed.
func (c *Catalog) At(step string) {
	if c.of != nil {
		c = c.of
	}
	if c.Seam != nil {
		c.Seam(step)
	}
}

// Create stores a new table. An existing one is catalog.ErrTableAlreadyExists.
func (c *Catalog) Create(ctx context.Context, ident table.Identifier, p Pointer, sc *iceberg.Schema, cfg catalog.CreateTableCfg) (Loaded, error) {
	meta, err := table.NewMetadata(sc, cfg.PartitionSpec, cfg.SortOrder, c.Place(ident), cfg.Properties)
	if err != nil {
		return Loaded{}, fmt.Errorf("create %v: %w", ident, err)
	}
	if p.Location, err = c.WriteMetadata(c.Files, meta, ""); err != nil {
		return Loaded{}, err
	}
	p.UUID = meta.TableUUID().String()
	value, err := json.Marshal(p)
	if err != nil {
		return Loaded{}, err
	}
	revision, err := c.kv.Create(ctx, TableKey(ident), value, 0)
	if errors.Is(err, kv.ErrKeyExists) {
		return Loaded{}, errors.Join(fmt.Errorf("%w: %v", catalog.ErrTableAlreadyExists, ident), storage.Remove(c.Files, p.Location))
	}
	if err != nil {
		return Loaded{}, fmt.Errorf("the catalog: %w", err)
	}
	return Loaded{ident, p, revision, meta}, nil
}

// CreateTable creates an empty table in an existing namespace.
func (c *Catalog) CreateTable(ctx context.Context, ident table.Identifier, sc *iceberg.Schema, opts ...catalog.CreateTableOpt) (*table.Table, error) {
	if len(ident) < 2 || !legal(ident) {
		return nil, fmt.Errorf("%w: %v", catalog.ErrInvalidIdentifier, ident)
	}
	cfg := catalog.NewCreateTableCfg()
	for _, opt := range opts {
		opt(&cfg)
	}
	if cfg.Location != "" && strings.TrimSuffix(cfg.Location, "/") != c.Place(ident) {
		return nil, fmt.Errorf("%w: tables lie where the lake puts them", errors.ErrUnsupported)
	}
	namespace := catalog.NamespaceFromIdent(ident)
	exists, err := c.CheckNamespaceExists(ctx, namespace)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, fmt.Errorf("%w: %v", catalog.ErrNoSuchNamespace, namespace)
	}
	l, err := c.Create(ctx, ident, Pointer{}, sc, cfg)
	if err != nil {
		return nil, err
	}
	return c.Open(l, c.Files), nil
}

// LoadTable returns the table as it is now.
func (c *Catalog) LoadTable(ctx context.Context, ident table.Identifier) (*table.Table, error) {
	l, err := c.Load(ctx, ident)
	if err != nil {
		return nil, err
	}
	return c.Open(l, c.Files), nil
}

// CommitTable commits for Iceberg's own transactions, as of a tool that
// compacts. It leaves the fence as it is: a sync that commits at the same time
// starts again from what this left. It does not create tables.
func (c *Catalog) CommitTable(ctx context.Context, ident table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	l, err := c.Load(ctx, ident)
	if err != nil {
		return nil, "", err
	}
	for _, r := range reqs {
		if err := r.Validate(l.Meta); err != nil {
			return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
		}
	}
	made := &storage.Recorder{Store: c.Files}
	next, err := c.Commit(ctx, l, made, updates, func(*Pointer) {})
	if errors.Is(err, kv.ErrConflict) {
		return nil, "", errors.Join(fmt.Errorf("%w: %w", table.ErrCommitFailed, err), made.Undo())
	}
	if err != nil {
		return nil, "", err
	}
	return next.Meta, next.Pointer.Location, nil
}

// ListTables yields the tables right in a namespace.
func (c *Catalog) ListTables(ctx context.Context, namespace table.Identifier) iter.Seq2[table.Identifier, error] {
	return func(yield func(table.Identifier, error) bool) {
		exists, err := c.CheckNamespaceExists(ctx, namespace)
		if err == nil && !exists {
			err = fmt.Errorf("%w: %v", catalog.ErrNoSuchNamespace, namespace)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		idents, err := c.Identifiers(ctx, "table.", namespace)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, ident := range idents {
			if len(ident) == len(namespace)+1 && !yield(ident, nil) {
				return
			}
		}
	}
}

// Identifiers returns what the catalog keeps below a namespace, at any depth.
func (c *Catalog) Identifiers(ctx context.Context, kind string, below table.Identifier) ([]table.Identifier, error) {
	prefix := kind
	if len(below) > 0 {
		if !legal(below) {
			return nil, nil
		}
		prefix += strings.Join(below, ".") + "."
	}
	parent := strings.TrimSuffix(prefix, ".")
	keys, err := c.kv.Keys(ctx, parent)
	if err != nil {
		return nil, fmt.Errorf("the catalog: %w", err)
	}
	found := make([]table.Identifier, 0, len(keys))
	for _, key := range keys {
		if key != parent { // a namespace does not lie in itself
			found = append(found, strings.Split(strings.TrimPrefix(key, kind), "."))
		}
	}
	return found, nil
}

// DropTable forgets a table. Its files stay.
func (c *Catalog) DropTable(ctx context.Context, ident table.Identifier) error {
	if _, _, err := c.Pointer(ctx, ident); err != nil {
		return err
	}
	return c.kv.Erase(ctx, TableKey(ident))
}

// RenameTable is not supported: a table lies where its name says.
func (c *Catalog) RenameTable(context.Context, table.Identifier, table.Identifier) (*table.Table, error) {
	return nil, fmt.Errorf("%w: tables of the lake are not renamed", errors.ErrUnsupported)
}

// CheckTableExists reports whether the catalog has the table.
func (c *Catalog) CheckTableExists(ctx context.Context, ident table.Identifier) (bool, error) {
	_, _, err := c.Pointer(ctx, ident)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return false, nil
	}
	return err == nil, err
}
