package projections

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestWritten: what was written is never said not to be, and of the rest nearly
// all is. Only a store that began empty has one.
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
	if s.written == nil {
		t.Error("a store that began empty knows nothing")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openOn(t, fs)
	if s.written != nil {
		t.Error("a store that was opened with content says what it never wrote")
	}
	apply(t, s, h.events[30:]...)
	whole := openMem(t)
	apply(t, whole, h.events...)
	if hashOf(t, s) != hashOf(t, whole) {
		t.Error("another store")
	}
}
