// Package kv is the contract of a key-value store with compare-and-set: what the
// vault, the lake's catalog, webhooks and idempotency keys need of one. The bus's
// buckets are such stores.
package kv

import (
	"context"
	"errors"
	"time"
)

// Entry is one stored value with the revision that Update compares.
type Entry struct {
	Value    []byte
	Revision uint64
}

// Store is a key-value store that all nodes share. A change is durable when its
// call returns, and visible to every node from then on. Keys are tokens of
// [A-Za-z0-9_=-] joined by dots. Errors satisfy errors.Is with ErrKeyNotFound,
// ErrKeyExists and ErrConflict; after any other error of a change it is unknown
// whether the change happened. It may be used concurrently.
type Store interface {
	// Get returns the newest value, or ErrKeyNotFound for a key that is missing,
	// erased or expired.
	Get(ctx context.Context, key string) (Entry, error)
	// Create stores a value under a new key and returns its revision, or
	// ErrKeyExists. A ttl of 0 keeps it until it is erased; the shortest is a
	// second.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error)
	// Update replaces the value if its revision is still the given one, and
	// returns the new revision, or ErrConflict. A key that is gone is a conflict.
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Erase overwrites the stored bytes of every revision and forgets the key.
	// A missing key is no error.
	Erase(ctx context.Context, key string) error
	// EraseUpTo is Erase that leaves what was stored after a revision.
	EraseUpTo(ctx context.Context, key string, revision uint64) error
	// Keys returns the keys that are prefix or begin with prefix and a dot,
	// sorted; all of them for an empty prefix.
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// What a Store returns, wrapped.
var (
	// ErrKeyNotFound says that there is no such key, or none any more.
	ErrKeyNotFound = errors.New("key not found")
	// ErrKeyExists says that another value is stored under the key.
	ErrKeyExists = errors.New("key exists already")
	// ErrConflict says that the value changed since the caller read it: read
	// again and decide again.
	ErrConflict = errors.New("another writer was first")
)
