package projections

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// memoryLimit is how many decoded values of one kind are kept between batches.
const memoryLimit = 8192

// valueRoom is how large a value may be for its memory to be used again.
const valueRoom = 64 << 10

// memory is what Apply has read and decoded. It is written back at the end of
// each batch and kept, so that a history about the same sources decodes each of
// them once. After a failed batch it is thrown away.
type memory struct {
	sources    cells[Source]
	names      cells[layout.Name]
	scopes     cells[layout.Scope]
	landed     cells[Landed]
	syncs      cells[layout.SyncEntry]
	times      cells[layout.Moments]
	operations cells[Operation]
	targets    cells[Target]

	limit   int    // memoryLimit
	keyRoom []byte // of the last key
	room    []byte // of the last document
}

// key is the function key in memory that the next call uses again.
func (m *memory) key(prefix byte, texts ...string) []byte {
	m.keyRoom = layout.AppendKey(m.keyRoom[:0], prefix, texts...)
	return m.keyRoom
}

// newMemory returns an empty memory of a store that has written those keys.
func newMemory(w *written) *memory {
	return &memory{
		limit:      memoryLimit,
		keyRoom:    make([]byte, 0, 512),
		sources:    cells[Source]{written: w, decode: layout.DecodeSource, encode: layout.EncodeSource},
		names:      cells[layout.Name]{written: w, decode: layout.DecodeName, encode: layout.EncodeName},
		scopes:     cells[layout.Scope]{written: w, decode: layout.DecodeScope, encode: layout.EncodeScope},
		landed:     cells[Landed]{written: w, decode: layout.DecodeLanded, encode: layout.EncodeLanded},
		syncs:      cells[layout.SyncEntry]{written: w, decode: layout.DecodeSync, encode: layout.EncodeSync},
		times:      cells[layout.Moments]{written: w, decode: layout.DecodeMoments, encode: layout.EncodeMoments},
		operations: cells[Operation]{written: w, decode: layout.DecodeOperation, encode: layout.EncodeOperation},
		targets:    cells[Target]{written: w, decode: layout.DecodeTarget, encode: encodeTarget},
	}
}

// trim forgets what has become too much. Only between batches.
func (m *memory) trim() {
	m.sources.trim(m.limit)
	m.names.trim(m.limit)
	m.scopes.trim(m.limit)
	m.landed.trim(m.limit)
	m.syncs.trim(m.limit)
	m.times.trim(m.limit)
	m.operations.trim(m.limit)
	m.targets.trim(m.limit)
}

// flush writes back what the batch changed.
func (m *memory) flush(b *pebble.Batch) error {
	return errors.Join(m.sources.flush(b), m.names.flush(b), m.scopes.flush(b), m.landed.flush(b),
		m.syncs.flush(b), m.times.flush(b), m.operations.flush(b), m.targets.flush(b))
}

// getter is what is stored.
type getter interface {
	Get(key []byte) (value []byte, closer io.Closer, err error)
}

// cells caches the values under one prefix.
type cells[T any] struct {
	all     map[string]*cell[T]
	dirty   []*cell[T]
	written *written // every key of these that is stored, nil for not known
	decode  func(value []byte) (T, error)
	encode  func(b []byte, v *T) ([]byte, error) // appends to b
	value   []byte                               // that was encoded last
}

// cell is one value. Who changes v calls touch.
type cell[T any] struct {
	key    string
	v      T
	exists bool
	kept   bool // in all
	dirty  bool
}

// get returns the cell of a key, with the zero value where nothing is stored. One
// of those is forgotten unless it is touched, so whoever means to change it does
// so before the next get.
func (c *cells[T]) get(db getter, k []byte) (*cell[T], error) {
	if found := c.all[string(k)]; found != nil {
		return found, nil
	}
	entry := &cell[T]{key: string(k)}
	if !c.written.never(k) {
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

func (c *cells[T]) read(db getter, k []byte, entry *cell[T]) error {
	v, closer, err := db.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	entry.exists = true
	entry.v, err = c.decode(v)
	if err = errors.Join(err, closer.Close()); err != nil {
		return fmt.Errorf("%w: value under %q: %w", ErrDamaged, k, err)
	}
	return nil
}

// touch says that the cell was changed and is to be written.
func (c *cells[T]) touch(entry *cell[T]) {
	entry.exists = true
	c.keep(entry)
	if !entry.dirty {
		entry.dirty = true
		c.dirty = append(c.dirty, entry)
	}
}

func (c *cells[T]) flush(b *pebble.Batch) error {
	for _, entry := range c.dirty {
		v, err := c.encode(c.value[:0], &entry.v)
		if err != nil {
			return fmt.Errorf("value under %q: %w", entry.key, err)
		}
		if c.value = v; cap(v) > valueRoom {
			c.value = nil
		}
		if err := set(b, entry.key, v); err != nil {
			return err
		}
		c.written.add(entry.key)
		entry.dirty = false
	}
	clear(c.dirty)
	c.dirty = c.dirty[:0]
	return nil
}

// set is b.Set without a copy of the key.
func set(b *pebble.Batch, k string, v []byte) error {
	op := b.SetDeferred(len(k), len(v))
	copy(op.Key, k)
	copy(op.Value, v)
	return op.Finish()
}

func (c *cells[T]) trim(limit int) {
	if len(c.all) > limit {
		c.all = nil
	}
}

// sourceAt reads one source as it is stored now.
func (s *Store) sourceAt(db pebble.Reader, a event.Address) (Source, error) {
	v, err := s.get(db, layout.AddressKey(layout.KeySource, a))
	if err != nil {
		return Source{}, err
	}
	src, err := layout.DecodeSource(v)
	if err != nil {
		return Source{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return src, nil
}
