// Package kvtest has a key-value store in memory for tests.
package kvtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"headwater/bus/kv"
)

var _ kv.Store = (*Memory)(nil)

// Memory is a kv.Store in memory, which keeps no history and lets nothing
// expire. It may be used concurrently; Before and After are set before that.
type Memory struct {
	// Before and After are faults of Update: an error of Before keeps it from
	// happening, one of After loses its answer. Both may be nil.
	Before, After func(key string, value []byte) error

	mu       sync.Mutex
	revision uint64
	entries  map[string]kv.Entry
}

// New returns an empty store.
func New() *Memory { return &Memory{entries: map[string]kv.Entry{}} }

// Clone returns a copy without the faults, as a copied data directory has.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{revision: m.revision, entries: maps.Clone(m.entries)}
}

// Get is kv.Store's.
func (m *Memory) Get(_ context.Context, key string) (kv.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if !ok {
		return kv.Entry{}, kv.ErrKeyNotFound
	}
	return e, nil
}

// Create is kv.Store's.
func (m *Memory) Create(_ context.Context, key string, value []byte, _ time.Duration) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.entries[key]; ok {
		return 0, kv.ErrKeyExists
	}
	return m.put(key, value), nil
}

// Update is kv.Store's, with the faults. It fails when ctx has ended.
func (m *Memory) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if m.Before != nil {
		if err := m.Before(key, value); err != nil {
			return 0, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries[key].Revision != revision {
		return 0, kv.ErrConflict
	}
	next := m.put(key, value)
	if m.After != nil {
		if err := m.After(key, value); err != nil {
			return 0, err
		}
	}
	return next, nil
}

func (m *Memory) put(key string, value []byte) uint64 {
	m.revision++
	m.entries[key] = kv.Entry{Value: slices.Clone(value), Revision: m.revision}
	return m.revision
}

// Erase is kv.Store's.
func (m *Memory) Erase(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
	return nil
}

// EraseUpTo is kv.Store's.
func (m *Memory) EraseUpTo(_ context.Context, key string, revision uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries[key].Revision <= revision {
		delete(m.entries, key)
	}
	return nil
}

// Keys is kv.Store's.
func (m *Memory) Keys(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for key := range m.entries {
		if prefix == "" || key == prefix || strings.HasPrefix(key, prefix+".") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}
