// Package landing writes what a sync reads into tables of Apache Iceberg. Rows arrive as
// Parquet files; one atomic commit of a table makes them visible together with the cursor
// from which the next sync goes on.
package landing

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/apache/iceberg-go"

	"headwater/bus/kv"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/keyindex"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/ownership"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/tablekeys"
	"headwater/handlers/landing/upkeep"
)

// Lake is a folder or bucket of tables. It is safe for concurrent use, also by
// many processes that share the files and the key-value store.
type Lake struct {
	*ownership.Owner

	catalog  *kvcatalog.Catalog
	kv       kv.Store
	files    storage.Store
	root     string
	log      *slog.Logger
	now      func() time.Time
	passKeys int64         // how many keys of a merge are in memory at a time
	patience time.Duration // how long a maintenance waits for a sync of its table
	close    func() error
	idle     *upkeep.Idle
	index    *keyindex.Index               // nil for none
	worth    func(rows, landed int64) bool // whether a merge into so many rows uses it
	bucket   map[string]string
}

// Option changes how a lake is opened.
type Option func(*options)

type options struct {
	mode   fs.FileMode
	limits bucket.Limits
	index  *keyindex.Index
}

// FileMode sets the mode of the files of a lake that is a directory, 0640 by
// default. Whoever may read its files may also enter its folders. A bucket ignores it.
func FileMode(mode fs.FileMode) Option { return func(o *options) { o.mode = mode } }

// Limits bounds the requests to a bucket; a zero field means its default. A
// directory ignores them.
func Limits(limits bucket.Limits) Option { return func(o *options) { o.limits = limits } }

// KeyIndex has merges look keys up in an index on this node's disk, so that their cost
// depends on what changes, not on what the table holds. Without an index, or if it does
// not fit, a merge reads the keys of the table.
func KeyIndex(index *keyindex.Index) Option { return func(o *options) { o.index = index } }

// Open opens the lake at a directory path, a file:// URL or a bucket URL such as
// s3://bucket/folder?region=R&endpoint=URL. The credentials of a bucket come
// from the environment, as the AWS tools take them. A directory is created. A
// nil log is silent. Open returns an error that names what is wrong with the URL, or
// ErrStorage if the lake cannot be opened. The caller closes the lake.
func Open(ctx context.Context, url string, kv kv.Store, log *slog.Logger, opts ...Option) (*Lake, error) {
	o := options{mode: 0o640}
	for _, opt := range opts {
		opt(&o)
	}
	files, root, err := storage.Open(ctx, url, o.mode, o.limits)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	catalog, settings := kvcatalog.New(kv, files, root), storage.BucketOptions(url)
	return &Lake{
		Owner:    ownership.New(kv, catalog, root, settings, log),
		catalog:  catalog,
		kv:       kv,
		files:    files,
		root:     root,
		bucket:   settings,
		log:      log,
		now:      time.Now,
		passKeys: passKeys,
		patience: upkeep.Patience,
		index:    o.index,
		worth:    worthIndex,
		idle:     &upkeep.Idle{},
		close: sync.OnceValue(func() error {
			if c, ok := files.(io.Closer); ok {
				return c.Close()
			}
			return nil
		}),
	}, nil
}

// within returns the lake with requests to its files that end with ctx.
func (l *Lake) within(ctx context.Context) *Lake {
	files, ends := storage.Within(ctx, l.files)
	if !ends {
		return l
	}
	within := *l
	within.files = files
	within.catalog = l.catalog.Over(files)
	return &within
}

// readingAhead returns the lake with those files opened before anybody asks, where
// that saves time. The caller calls end when it has read.
func (l *Lake) readingAhead(files ...iceberg.DataFile) (reading *Lake, end func()) {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.FilePath()
	}
	ahead := *l
	ahead.files, end = storage.ReadAhead(l.files, names)
	return &ahead, end
}

// Close closes the connections to a bucket. It is safe to call twice. All Writers have
// ended before.
func (l *Lake) Close() error { return l.close() }

// Catalog returns the lake's Iceberg catalog.
func (l *Lake) Catalog() *kvcatalog.Catalog { return l.catalog }

// Bucket returns what a reader of the lake's bucket must know beside its address:
// region, endpoint and use_path_style, as far as the lake's URL has them; nil for a
// folder.
func (l *Lake) Bucket() map[string]string { return l.bucket }

// Location returns the lake's root as a URL.
func (l *Lake) Location() string { return l.root }

// TableKeys returns what has the store of a lake in a bucket give out keys to single
// tables, nil for a folder.
func (l *Lake) TableKeys(s tablekeys.Settings) *tablekeys.Issuer {
	b, ok := l.files.(*bucket.Bucket)
	if !ok {
		return nil
	}
	return tablekeys.New(b, l.root, l.root+"/"+ownership.MarkerName, s, l.log)
}
