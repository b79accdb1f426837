package fold

import (
	"fmt"
	"testing"
)

// TestFilter: what was written is never said not to be, and of the rest nearly
// all is.
func TestFilter(t *testing.T) {
	w := NewFilter()
	const n = 100_000
	for i := range n {
		w.add(fmt.Sprint("key", i))
	}
	wrong := 0
	for i := range n {
		if w.Never(fmt.Append(nil, "key", i)) {
			t.Fatalf("key %d was written", i)
		}
		if !w.Never(fmt.Append(nil, "other", i)) {
			wrong++
		}
	}
	if wrong > n/1000 {
		t.Errorf("%d of %d that were not written are not known", wrong, n)
	}
}
