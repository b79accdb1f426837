// Package kv is the contract of a key-value store with compare-and-set. The
// vault, the lake's catalog, webhooks and idempotency keys use it; the bus's
// buckets implement it.
package kv

import (
	"context"
	"errors"
	"time"
)

// Entry is a stored value with the revision that Update compares.
type Entry struct {
	Value    []byte
	Revision uint64
}

// Store is a key-value store that all nodes share. A change is durable when its
// call returns, and visible to every node from then on. Keys are tokens of
// [A-Za-z0-9_=-] separated by dots. Errors wrap ErrKeyNotFound, ErrKeyExists or
// ErrConflict; after any other error of a change it is unknown whether the
// change happened. It is safe for concurrent use.
type Store interface {
	// Get returns the newest value, or ErrKeyNotFound for a key that is missing,
	// erased or expired.
	Get(ctx context.Context, key string) (Entry, error)
	// Create stores a value under a new key and returns its revision, or
	// ErrKeyExists. The value expires after ttl, which is at least a second; 0
	// means never.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error)
	// Update replaces the value if its revision is still the given one, and
	// returns the new revision, or ErrConflict. A missing key is also a
	// conflict.
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Erase overwrites the stored bytes of every revision and removes the key. A
	// missing key is not an error.
	Erase(ctx context.Context, key string) error
	// EraseUpTo erases the revisions up to a given one.
	EraseUpTo(ctx context.Context, key string, revision uint64) error
	// Keys returns the keys that equal prefix or begin with prefix and a dot,
	// sorted; all keys for an empty prefix.
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// Errors that a Store wraps.
var (
	// ErrKeyNotFound says that there is no such key, or no longer.
	ErrKeyNotFound = errors.New("key not found")
	// ErrKeyExists says that the key has a value already.
	ErrKeyExists = errors.New("key exists already")
	// ErrConflict says that the value has changed since the caller read it: read
	// again and decide again.
	ErrConflict = errors.New("another writer was first")
)
