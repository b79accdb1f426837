package projections

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
)

// memoryLimit is how many decoded values of one kind are kept between batches.
const memoryLimit = 8192

// memory is what Apply has read and decoded. It is written back at the end of
// each batch and kept, so that a history about the same sources decodes each of
// them once. After a failed batch it is thrown away.
type memory struct {
	sources    cells[Source]
	names      cells[nameEntry]
	scopes     cells[scopeEntry]
	landed     cells[Landed]
	syncs      cells[syncEntry]
	operations cells[Operation]
	targets    cells[Target]
}

// nameEntry says who has a name.
type nameEntry struct {
	id          string // empty after the source was removed
	incarnation uint64 // sequence of the SourceRemoved before, 0 if none
}

// scopeEntry sums up the sources of one owner.
type scopeEntry struct {
	version uint64 // sequence of the last event that changed a document of it
	count   uint64 // sources that are not removed
}

// syncEntry is a Sync and the targets that wait for its end. Began is 0 as long
// as only they know of it.
type syncEntry struct {
	Sync
	Followers []follower `json:"followers,omitempty"`
}

type follower struct {
	Operation string `json:"operation"`
	Target    int    `json:"target"`
}

// newMemory returns an empty memory of a store that has written those keys.
func newMemory(w *written) *memory {
	return &memory{
		sources:    cells[Source]{written: w, decode: decodeSource, encode: encodeSource},
		names:      cells[nameEntry]{written: w, decode: decodeName, encode: encodeName},
		scopes:     cells[scopeEntry]{written: w, decode: decodeScope, encode: encodeScope},
		landed:     cells[Landed]{written: w, decode: decodeJSON[Landed], encode: landedState},
		syncs:      cells[syncEntry]{written: w, decode: decodeSync, encode: encodeSync},
		operations: cells[Operation]{written: w, decode: decodeOperation, encode: encodeOperation},
		targets:    cells[Target]{written: w, decode: decodeJSON[Target], encode: encodeTarget},
	}
}

// trim forgets what has become too much. Only between batches.
func (m *memory) trim() {
	m.sources.trim()
	m.names.trim()
	m.scopes.trim()
	m.landed.trim()
	m.syncs.trim()
	m.operations.trim()
	m.targets.trim()
}

// flush writes back what the batch changed.
func (m *memory) flush(b *pebble.Batch) error {
	return errors.Join(m.sources.flush(b), m.names.flush(b), m.scopes.flush(b), m.landed.flush(b),
		m.syncs.flush(b), m.operations.flush(b), m.targets.flush(b))
}

// cells caches the values under one prefix.
type cells[T any] struct {
	all     map[string]*cell[T]
	dirty   []*cell[T]
	written *written // every key of these that is stored, nil for not known
	decode  func(value []byte) (T, error)
	encode  func(*T) ([]byte, error)
}

// cell is one value. Who changes v calls touch.
type cell[T any] struct {
	key    string
	v      T
	exists bool
	dirty  bool
}

// get returns the cell of a key, with the zero value where nothing is stored.
func (c *cells[T]) get(db pebble.Reader, k []byte) (*cell[T], error) {
	if found := c.all[string(k)]; found != nil {
		return found, nil
	}
	entry := &cell[T]{key: string(k)}
	if !c.written.never(k) {
		if err := c.read(db, k, entry); err != nil {
			return nil, err
		}
	}
	if c.all == nil {
		c.all = make(map[string]*cell[T])
	}
	c.all[entry.key] = entry
	return entry, nil
}

func (c *cells[T]) read(db pebble.Reader, k []byte, entry *cell[T]) error {
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
	if !entry.dirty {
		entry.dirty = true
		c.dirty = append(c.dirty, entry)
	}
}

func (c *cells[T]) flush(b *pebble.Batch) error {
	for _, entry := range c.dirty {
		v, err := c.encode(&entry.v)
		if err != nil {
			return fmt.Errorf("value under %q: %w", entry.key, err)
		}
		if err := b.Set([]byte(entry.key), v, nil); err != nil {
			return err
		}
		c.written.add(entry.key)
		entry.dirty = false
	}
	clear(c.dirty)
	c.dirty = c.dirty[:0]
	return nil
}

func (c *cells[T]) trim() {
	if len(c.all) > memoryLimit {
		c.all = nil
	}
}

func decodeJSON[T any](b []byte) (v T, err error) { return v, json.Unmarshal(b, &v) }

func decodeName(b []byte) (nameEntry, error) {
	if len(b) < 8 {
		return nameEntry{}, errors.New("short name entry")
	}
	return nameEntry{id: string(b[8:]), incarnation: getSequence(b)}, nil
}

func encodeName(n *nameEntry) ([]byte, error) {
	return append(putSequence(nil, n.incarnation), n.id...), nil
}

func decodeScope(b []byte) (scopeEntry, error) {
	if len(b) != 16 {
		return scopeEntry{}, errors.New("scope entry of another size")
	}
	return scopeEntry{version: getSequence(b), count: getSequence(b[8:])}, nil
}

func encodeScope(s *scopeEntry) ([]byte, error) {
	return putSequence(putSequence(nil, s.version), s.count), nil
}

// sourceAt reads one source as it is stored now.
func (s *Store) sourceAt(db pebble.Reader, a event.Address) (Source, error) {
	v, err := s.get(db, addressKey(keySource, a))
	if err != nil {
		return Source{}, err
	}
	src, err := decodeSource(v)
	if err != nil {
		return Source{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return src, nil
}
