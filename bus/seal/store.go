package seal

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

// Store is where a Vault keeps sealed bytes: a key-value store whose Create
// and Erase are visible to every node at once. Keys are made of event.Token
// texts joined by dots.
type Store interface {
	// Get returns ErrKeyNotFound for a key that is missing, erased or expired.
	Get(ctx context.Context, key string) (Entry, error)
	// Create stores a value under a new key and returns its revision, or
	// ErrKeyExists. A ttl of 0 keeps it until it is erased.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error)
	// Update replaces the value if its revision is still the given one, and
	// returns the new revision, or ErrConflict.
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
	ErrKeyNotFound = errors.New("key not found")
	ErrKeyExists   = errors.New("key exists already")
	ErrConflict    = errors.New("another writer was first")
)
