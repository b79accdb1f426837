package fold

import (
	"errors"
	"fmt"
	"io"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// cacheLimit is how many decoded values of one kind stay in the cache between
// batches.
const cacheLimit = 8192

// maxReused is the capacity in bytes up to which a buffer is used again.
const maxReused = 64 << 10

// Cache holds values that batches have read and decoded. A batch writes back
// what it changed when it ends, and the values stay for the next batch, so that
// a history of the same sources decodes each value once. After a failed batch
// the cache must be discarded. It is not safe for concurrent use.
type Cache struct {
	sources    cells[layout.Source]
	names      cells[layout.Name]
	scopes     cells[layout.Scope]
	landed     cells[layout.Landed]
	syncs      cells[layout.SyncEntry]
	times      cells[layout.Moments]
	operations cells[layout.Operation]
	targets    cells[layout.Target]
	tokens     cells[layout.Token]

	Limit     int    // decoded values of a kind that stay between batches
	keyBuffer []byte // holds the last key
	buffer    []byte // holds the last document
}

// key is layout.Key in a buffer that the next call overwrites.
func (c *Cache) key(prefix byte, texts ...string) []byte {
	c.keyBuffer = layout.AppendKey(c.keyBuffer[:0], prefix, texts...)
	return c.keyBuffer
}

// NewCache returns an empty cache for a store whose keys the filter holds. Pass
// nil if they are not known.
func NewCache(w *Filter) *Cache {
	return &Cache{
		Limit:      cacheLimit,
		keyBuffer:  make([]byte, 0, 512),
		sources:    cells[layout.Source]{filter: w, decode: layout.DecodeSource, encode: layout.EncodeSource},
		names:      cells[layout.Name]{filter: w, decode: layout.DecodeName, encode: layout.EncodeName},
		scopes:     cells[layout.Scope]{filter: w, decode: layout.DecodeScope, encode: layout.EncodeScope},
		landed:     cells[layout.Landed]{filter: w, decode: layout.DecodeLanded, encode: layout.EncodeLanded},
		syncs:      cells[layout.SyncEntry]{filter: w, decode: layout.DecodeSync, encode: layout.EncodeSync},
		times:      cells[layout.Moments]{filter: w, decode: layout.DecodeMoments, encode: layout.EncodeMoments},
		operations: cells[layout.Operation]{filter: w, decode: layout.DecodeOperation, encode: layout.EncodeOperation},
		targets:    cells[layout.Target]{filter: w, decode: layout.DecodeTarget, encode: encodeTarget},
		tokens:     cells[layout.Token]{filter: w, decode: layout.DecodeToken, encode: layout.EncodeToken},
	}
}

// trim evicts values above the limit. Call it between batches only.
func (c *Cache) trim() {
	c.sources.trim(c.Limit)
	c.names.trim(c.Limit)
	c.scopes.trim(c.Limit)
	c.landed.trim(c.Limit)
	c.syncs.trim(c.Limit)
	c.times.trim(c.Limit)
	c.operations.trim(c.Limit)
	c.targets.trim(c.Limit)
	c.tokens.trim(c.Limit)
}

// flush writes what the batch changed.
func (c *Cache) flush(out Writer) error {
	return errors.Join(c.sources.flush(out), c.names.flush(out), c.scopes.flush(out), c.landed.flush(out),
		c.syncs.flush(out), c.times.flush(out), c.operations.flush(out), c.targets.flush(out), c.tokens.flush(out))
}

// Begin begins a batch of the events after that sequence. The batch reads db and
// writes to out. Unless count is set, its Effect does not list the changed
// sources. The previous batch must be flushed. After an error of the batch, or
// if out could not be committed, the cache must be discarded.
func (c *Cache) Begin(db Reader, out Writer, after uint64, count bool) *Batch {
	c.trim()
	t := &Batch{
		Cache: c, Effect: Effect{Start: after, Position: after}, db: db, out: out,
		documents: make(map[string]*document), results: make(map[string]*result),
	}
	if count {
		t.Changed = make(map[event.Address]struct{})
	}
	return t
}

// Reader reads stored values.
type Reader interface {
	// Get returns the value under a key, valid until closer is closed. closer is
	// nil if there is no value.
	Get(key []byte) (value []byte, closer io.Closer, err error)
}

// Writer receives what a batch writes; for each key the last call counts. It
// must not keep key or value after it returns. An error ends the batch.
type Writer interface {
	// Set and SetText store a value under a key; Delete removes a key.
	Set(key, value []byte) error
	SetText(key string, value []byte) error // Set, for a key that is a string
	Delete(key []byte) error
}

// cells caches the values under one prefix.
type cells[T any] struct {
	all    map[string]*cell[T]
	dirty  []*cell[T]
	filter *Filter // holds every stored key of this prefix; nil if they are not known
	decode func(value []byte) (T, error)
	encode func(b []byte, v *T) ([]byte, error) // appends to b
	value  []byte                               // buffer of the last encoded value
}

// cell is one value. Code that changes v calls touch.
type cell[T any] struct {
	key    string
	v      T
	exists bool
	kept   bool // in all
	dirty  bool
}

// get returns the cell of a key. If nothing is stored, the cell has the zero
// value and is dropped unless it is touched before the next get.
func (c *cells[T]) get(db Reader, k []byte) (*cell[T], error) {
	if found := c.all[string(k)]; found != nil {
		return found, nil
	}
	entry := &cell[T]{key: string(k)}
	if !c.filter.Never(k) {
		if err := c.read(db, k, entry); err != nil {
			return nil, err
		}
	}
	if entry.exists {
		c.keep(entry)
	}
	return entry, nil
}

func (c *cells[T]) keep(entry *cell[T]) {
	if entry.kept {
		return
	}
	if c.all == nil {
		c.all = make(map[string]*cell[T])
	}
	c.all[entry.key], entry.kept = entry, true
}

func (c *cells[T]) read(db Reader, k []byte, entry *cell[T]) error {
	v, closer, err := db.Get(k)
	if err != nil || closer == nil {
		return err
	}
	entry.exists = true
	entry.v, err = c.decode(v)
	if err = errors.Join(err, closer.Close()); err != nil {
		return fmt.Errorf("%w: value under %q: %w", layout.ErrDamaged, k, err)
	}
	return nil
}

// touch marks the cell as changed, so that it is written.
func (c *cells[T]) touch(entry *cell[T]) {
	entry.exists = true
	c.keep(entry)
	if !entry.dirty {
		entry.dirty = true
		c.dirty = append(c.dirty, entry)
	}
}

func (c *cells[T]) flush(out Writer) error {
	for _, entry := range c.dirty {
		v, err := c.encode(c.value[:0], &entry.v)
		if err != nil {
			return fmt.Errorf("value under %q: %w", entry.key, err)
		}
		if c.value = v; cap(v) > maxReused {
			c.value = nil
		}
		if err := out.SetText(entry.key, v); err != nil {
			return err
		}
		c.filter.add(entry.key)
		entry.dirty = false
	}
	clear(c.dirty)
	c.dirty = c.dirty[:0]
	return nil
}

func (c *cells[T]) trim(limit int) {
	if len(c.all) > limit {
		c.all = nil
	}
}
