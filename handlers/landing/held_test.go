package landing

import (
	"testing"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
)

// A small range that is alone costs nothing before its commit, and is read again
// where its worker dies; a large one is staged.
func TestOnlyRangeIsHeld(t *testing.T) {
	l := openLake(t, kvtest.New())
	hold := func(w *encoding, from, to, size int64) {
		t.Helper()
		done, err := made(t.Context(), w.Writer, rows(from, to))
		if err != nil {
			t.Fatal(err)
		}
		if size > 0 {
			done[0].Size = size // as announced
		}
		if err := w.Hold(t.Context(), driver.Range{Token: "all", Rows: -1}, nil, nil, done); err != nil {
			t.Fatal(err)
		}
	}
	w := begin(t, l, full(1, "syn_1"))
	hold(w, 0, 100, 0)
	if parts, _ := files(t, l); len(parts) != 1 || len(w.Staged()) != 1 {
		t.Fatalf("beside its part: %v", parts)
	}
	// The worker dies: nothing of it is known to the next, and nothing stays.
	w = begin(t, l, full(2, "syn_1"))
	if parts, _ := files(t, l); len(parts) != 0 || len(w.Staged()) != 0 {
		t.Fatalf("left: %v, staged %v", parts, w.Staged())
	}
	hold(w, 0, 50, 0)
	if c := commit(t, w, nil, true); c.Records != 50 || c.Files != 1 {
		t.Errorf("%+v", c)
	}
	wantIDs(t, l, span(0, 50))
	w = begin(t, l, full(3, "syn_2"))
	hold(w, 0, 10, heldBytes+1)
	if len(w.stage.segments) != 1 {
		t.Error("a large range was not staged")
	}
}
