package projections

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/cockroachdb/pebble/v2"

	"headwater/projections/layout"
)

// Hash returns a hash of everything in the store that derives from the log. Two
// stores that applied the same log up to the same position have equal hashes.
// Hash reads the whole store as of one moment, and returns ctx's error when ctx
// is done.
func (s *Store) Hash(ctx context.Context) (string, error) {
	tables, err := s.HashTables(ctx)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, t := range tables {
		fmt.Fprintf(h, "%s %s\n", t.Table, t.Hash)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// TableHash is the hash of the keys and values with one prefix.
type TableHash struct {
	Table string
	Keys  int
	Hash  string
}

// Differing returns the tables whose hashes differ between a and b, nil for
// none.
func Differing(a, b []TableHash) (tables []string) {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			tables = append(tables, b[i].Table)
		case i >= len(b) || a[i] != b[i]:
			tables = append(tables, a[i].Table)
		}
	}
	return tables
}

// HashTables returns the hash of each table separately, to find where two stores
// differ. It fails as Hash does.
func (s *Store) HashTables(ctx context.Context) ([]TableHash, error) {
	_, all, err := s.HashesAt(ctx, func(ctx context.Context) bool { return ctx.Err() == nil })
	return all, err
}

// HashesAt is HashTables, and also returns the position that the hashes belong to.
// It calls rest again and again, and ends with the cause of ctx when that returns
// false.
func (s *Store) HashesAt(ctx context.Context, rest func(context.Context) bool) (position uint64, all []TableHash, err error) {
	db, done, err := s.using()
	if err != nil {
		return 0, nil, err
	}
	defer done()
	snapshot := db.NewSnapshot()
	defer s.finish(snapshot, &err)
	stored, err := s.get(snapshot, []byte{layout.KeyPosition})
	if err != nil && !isNotFound(err) {
		return 0, nil, err
	}
	for _, table := range layout.Tables() {
		if table.Local {
			continue
		}
		hashed, err := s.hashTable(ctx, snapshot, table, rest)
		if err != nil {
			return 0, nil, fmt.Errorf("hash %s: %w", table.Name, err)
		}
		all = append(all, hashed)
	}
	return layout.GetSequence(stored), all, nil
}

func (s *Store) hashTable(ctx context.Context, db pebble.Reader, table layout.Table, rest func(context.Context) bool) (hashed TableHash, err error) {
	it, err := s.scan(db, []byte{table.Prefix})
	if err != nil {
		return hashed, err
	}
	defer s.finish(it, &err)
	h, keys := sha256.New(), 0
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return hashed, s.fault(err)
		}
		hashPart(h, it.Key())
		hashPart(h, v)
		if keys++; keys%4096 == 0 && !rest(ctx) {
			return hashed, context.Cause(ctx)
		}
	}
	return TableHash{table.Name, keys, hex.EncodeToString(h.Sum(nil))}, s.fault(it.Error())
}

func hashPart(h hash.Hash, part []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(part)))
	h.Write(size[:])
	h.Write(part)
}
