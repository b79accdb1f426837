// Package reading is what readers see of a lake's tables: their metadata, now or as it
// was, where they lie, some of their rows, and how they stand beside their source. It
// writes nothing.
package reading

import (
	"context"
	"errors"
	"time"

	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/storage"
)

var (
	// ErrNoTable means that the table was never landed, or is gone.
	ErrNoTable = errors.New("no such table in the lake")
	// ErrNoSnapshot means that nothing had landed at that moment.
	ErrNoSnapshot = errors.New("nothing had landed then")
	// ErrExpired means that the snapshot of that moment is not kept any longer, or
	// never was one of the table's, or that its files are gone.
	ErrExpired = errors.New("the table no longer has the snapshot of that moment")
)

// Reader reads the tables of a lake. It is safe for concurrent use.
type Reader struct {
	catalog *kvcatalog.Catalog
	files   storage.Store
	root    string
	now     func() time.Time
	limit   time.Duration // of a preview
}

// New returns a reader of the tables of a catalog, whose files lie below root.
func New(catalog *kvcatalog.Catalog, files storage.Store, root string, now func() time.Time) *Reader {
	return &Reader{catalog: catalog, files: files, root: root, now: now, limit: previewTime}
}

// Taking returns the reader with another limit of the time that a preview may take, for
// machines on which more must be had than on time.
func (l *Reader) Taking(limit time.Duration) *Reader {
	r := *l
	r.limit = limit
	return &r
}

// within returns the reader with requests to its files that end with ctx.
func (l *Reader) within(ctx context.Context) *Reader {
	files, ends := storage.Within(ctx, l.files)
	if !ends {
		return l
	}
	r := *l
	r.catalog, r.files = l.catalog.Over(files), files
	return &r
}
