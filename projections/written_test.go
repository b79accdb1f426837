package projections

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/projections/layout"
)

// TestWritten: what was written is never said not to be, also by a store that was
// opened with it, and of the rest nearly all is.
func TestWritten(t *testing.T) {
	w := newWritten()
	const n = 100_000
	for i := range n {
		w.add(fmt.Sprint("key", i))
	}
	wrong := 0
	for i := range n {
		if w.never(fmt.Append(nil, "key", i)) {
			t.Fatalf("key %d was written", i)
		}
		if !w.never(fmt.Append(nil, "other", i)) {
			wrong++
		}
	}
	if wrong > n/1000 {
		t.Errorf("%d of %d that were not written are not known", wrong, n)
	}

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
			if cells++; s.written.never(k) {
				t.Errorf("%q is stored", k)
			}
		}
	}
	if cells < 30 || !s.written.never(layout.Key(layout.KeyOperation, "acme", "w1", "op_none")) {
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
