package landing

import (
	"context"
	"time"
)

// Entry is the value of a key and the revision to update it by.
type Entry struct {
	Value    []byte
	Revision uint64
}

// KV keeps the catalog: a key for each table and namespace, changed by
// compare-and-set. Keys are tokens of [A-Za-z0-9_=-] joined by dots. Every
// answer is durable before it is given. Errors satisfy errors.Is with
// ErrKeyNotFound, ErrKeyExists and ErrConflict; any other error means that the
// outcome is unknown. It is safe for concurrent use.
type KV interface {
	// Get returns the newest value, or ErrKeyNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// Create stores a key that does not exist, else ErrKeyExists. A ttl of 0
	// keeps it for ever.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error)
	// Update replaces the value of that revision, else ErrConflict. A key that
	// is gone is a conflict too, or ErrKeyNotFound.
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Erase removes the key and every value it ever had. A missing key is no
	// error.
	Erase(ctx context.Context, key string) error
	// Keys returns the keys that begin with prefix, which ends with a dot.
	Keys(ctx context.Context, prefix string) ([]string, error)
}
