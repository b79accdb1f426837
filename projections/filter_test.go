package projections

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/projections/layout"
)

// TestStoredAreWritten: a store that is opened knows what it holds of cells.
func TestStoredAreWritten(t *testing.T) {
	fs := vfs.NewMem()
	s := openOn(t, fs)
	h := life(20)
	apply(t, s, h.events[:30]...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openOn(t, fs)
	cells := 0
	for _, k := range allKeys(t, s) {
		switch k[0] {
		case layout.KeyTime, layout.KeySource, layout.KeyName, layout.KeyScope, layout.KeyLanded, layout.KeySync, layout.KeyOperation, layout.KeyTarget:
			if cells++; s.exists.Never(k) {
				t.Errorf("%q is stored", k)
			}
		}
	}
	if cells < 30 || !s.exists.Never(layout.Key(layout.KeyOperation, "acme", "w1", "op_none")) {
		t.Errorf("%d keys, or nothing is known of what is not there", cells)
	}
	apply(t, s, h.events[30:]...)
	whole := openMem(t)
	apply(t, whole, h.events...)
	if hashOf(t, s) != hashOf(t, whole) {
		t.Error("another store")
	}
}

func allKeys(t *testing.T, s *Store) (all [][]byte) {
	t.Helper()
	it, err := s.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		all = append(all, bytes.Clone(it.Key()))
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}
