package landing

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// memoryKV is a KV in memory. before and after are faults: an error of before
// keeps an update from happening, one of after loses its answer.
type memoryKV struct {
	mu       sync.Mutex
	revision uint64
	entries  map[string]Entry
	before   func(key string, value []byte) error
	after    func(key string, value []byte) error
}

func newMemoryKV() *memoryKV { return &memoryKV{entries: map[string]Entry{}} }

func (m *memoryKV) Get(_ context.Context, key string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if !ok {
		return Entry{}, ErrKeyNotFound
	}
	return e, nil
}

func (m *memoryKV) Create(_ context.Context, key string, value []byte, _ time.Duration) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.entries[key]; ok {
		return 0, ErrKeyExists
	}
	return m.put(key, value), nil
}

func (m *memoryKV) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if m.before != nil {
		if err := m.before(key, value); err != nil {
			return 0, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries[key].Revision != revision {
		return 0, ErrConflict
	}
	next := m.put(key, value)
	if m.after != nil {
		if err := m.after(key, value); err != nil {
			return 0, err
		}
	}
	return next, nil
}

func (m *memoryKV) put(key string, value []byte) uint64 {
	m.revision++
	m.entries[key] = Entry{slices.Clone(value), m.revision}
	return m.revision
}

func (m *memoryKV) Erase(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
	return nil
}

func (m *memoryKV) Keys(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key := range m.entries {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// clone returns a copy, as a copied data directory has.
func (m *memoryKV) clone() *memoryKV {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memoryKV{revision: m.revision, entries: maps.Clone(m.entries)}
}
