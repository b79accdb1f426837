package landing

import (
	"errors"
	"testing"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/storage"
)

func TestBucket(t *testing.T) { bucketTour(t, "mem://"+newNonce()+"/some/folder") }

// bucketTour lands, refreshes, crashes, sweeps and drops in a bucket.
func bucketTour(t *testing.T, url string) {
	t.Helper()
	l := openLakeAt(t, url, kvtest.New())
	w := begin(t, l, incremental(1, "syn_1"))
	write(t, w, 0, 100)
	commit(t, w, behind(99), false)
	write(t, w, 100, 200)
	crash(l, "parts", 1, func() { w.Commit(t.Context(), behind(199), false) })
	if parts, _ := files(t, l); len(parts) != 2 {
		t.Fatalf("parts before the sweep: %v", parts)
	}
	w = begin(t, l, incremental(2, "syn_1"))
	if parts, _ := files(t, l); len(parts) != 1 {
		t.Errorf("parts after the sweep: %v", parts)
	}
	if c := w.Cursor(); c.Value == nil || *c.Value != "99" {
		t.Fatalf("cursor %+v", c)
	}
	write(t, w, 100, 20_000)
	if c := commit(t, w, behind(19_999), true); c.Records != 20_000 {
		t.Errorf("%+v", c)
	}
	wantIDs(t, l, span(0, 20_000))
	w = begin(t, l, full(3, "syn_2"))
	write(t, w, 5, 10)
	commit(t, w, nil, true)
	wantIDs(t, l, span(5, 10))
	if _, rows, err := l.Preview(t.Context(), home, "public", "orders", 3); err != nil || len(rows) != 3 {
		t.Errorf("preview: %v, %v", rows, err)
	}
	w = begin(t, l, full(4, "syn_3"))
	write(t, w, 0, 100)
	if err := w.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Drop(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	if found, err := storage.List(l.files, l.root); err != nil || len(found) != 0 {
		t.Errorf("after the drop: %v, %v", found, err)
	}
	if _, err := l.Count(t.Context(), home, "public", "orders"); !errors.Is(err, ErrNoTable) {
		t.Errorf("count after the drop: %v", err)
	}
}
