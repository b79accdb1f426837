package projections

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
)

// Hash returns a fingerprint of everything that follows from the log alone:
// two stores that applied the same log up to the same position have the same.
// It reads the whole store, as of one moment, and stops when ctx ends.
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

// TableHash is the fingerprint of one kind of key.
type TableHash struct {
	Table string
	Keys  int
	Hash  string
}

// HashTables returns the fingerprint of each kind of key by itself, to tell
// where two stores differ.
func (s *Store) HashTables(ctx context.Context) (all []TableHash, err error) {
	db, done, err := s.using()
	if err != nil {
		return nil, err
	}
	defer done()
	snapshot := db.NewSnapshot()
	defer s.finish(snapshot, &err)
	for _, table := range keyTables() {
		if table.local {
			continue
		}
		it, err := s.scan(snapshot, []byte{table.prefix})
		if err != nil {
			return nil, err
		}
		defer s.finish(it, &err)
		h, keys := sha256.New(), 0
		for ok := it.First(); ok; ok = it.Next() {
			v, err := it.ValueAndErr()
			if err != nil {
				return nil, s.fault(err)
			}
			hashPart(h, it.Key())
			hashPart(h, v)
			if keys++; keys%4096 == 0 && ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
		}
		if err := s.fault(it.Error()); err != nil {
			return nil, err
		}
		all = append(all, TableHash{table.name, keys, hex.EncodeToString(h.Sum(nil))})
	}
	return all, nil
}

func hashPart(h hash.Hash, part []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(part)))
	h.Write(size[:])
	h.Write(part)
}
