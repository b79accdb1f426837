package landing

import (
	"fmt"
	"testing"

	"github.com/apache/iceberg-go"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/storage"
)

// Merged manifests say of each file what was said when it was added, and every
// snapshot goes on being read as it was.
func TestManifestsAreMerged(t *testing.T) {
	l := openLake(t, kvtest.New())
	ident := kvcatalog.IdentifierOf(home, "public", "orders")
	type known struct{ sequence, snapshot int64 }
	said := map[string]known{}
	var before []kvcatalog.Loaded
	var rowsOf []int
	rows := 0
	for i := range uint64(30) {
		target, from, to, next := incremental(i+1, "syn_"+newNonce()), int64(rows), int64(rows+10), behind(int64(rows+9))
		switch {
		case i == 20:
			target, from, to, next = full(i+1, "syn_"+newNonce()), 0, 50, behind(49)
			target.CursorColumn, rows = "id", 50
		case i%5 == 4:
			target, from, to, next = mergedOrders(i+1, "syn_"+newNonce()), from-7, to-7, behind(int64(rows+2))
			rows += 3
		default:
			rows += 10
		}
		w := begin(t, l, target)
		write(t, w, from, to)
		commit(t, w, next, true)
		at, err := l.catalog.Load(t.Context(), ident)
		if err != nil {
			t.Fatal(err)
		}
		s := at.Meta.CurrentSnapshot()
		before, rowsOf = append(before, at), append(rowsOf, rows)
		manifests, err := s.Manifests(l.files)
		if err != nil {
			t.Fatal(err)
		}
		if most := 3 + 3 + 2; len(manifests) > most {
			t.Fatalf("commit %d: %d manifests", i, len(manifests))
		}
		read, err := manifest.Entries(l.files, manifests, false)
		if err != nil {
			t.Fatal(err)
		}
		for m, entries := range read {
			least := manifests[m].SequenceNum()
			for _, e := range entries {
				name, now := e.DataFile().FilePath(), known{e.SequenceNum(), e.SnapshotID()}
				switch e.Status() {
				case iceberg.EntryStatusADDED:
					if _, before := said[name]; before && manifests[m].SnapshotID() == s.SnapshotID || !before && now != (known{s.SequenceNumber, s.SnapshotID}) {
						t.Errorf("commit %d adds %+v in %d", i, now, s.SnapshotID)
					}
					said[name] = now
				case iceberg.EntryStatusEXISTING:
					if now != said[name] {
						t.Errorf("commit %d: %s was added as %+v and is %+v", i, name, said[name], now)
					}
				case iceberg.EntryStatusDELETED:
					if e.SnapshotID() != s.SnapshotID {
						t.Errorf("commit %d still names a file that %d removed", i, e.SnapshotID())
					}
					continue
				}
				least = min(least, e.SequenceNum())
			}
			if min := manifests[m].MinSequenceNum(); min > least {
				t.Errorf("commit %d: files of %d in a manifest that begins at %d", i, least, min)
			}
		}
	}
	wantIDs(t, l, span(0, int64(rows)))
	for i, at := range before {
		_, batches, err := l.catalog.Open(at, l.files).Scan().ToArrowRecords(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		for rec, err := range batches {
			if err != nil {
				t.Fatal(err)
			}
			n += rec.NumRows()
		}
		if n != int64(rowsOf[i]) {
			t.Errorf("who reads what commit %d made sees %d rows, want %d", i, n, rowsOf[i])
		}
	}
	if left, err := orphans(t.Context(), l, "orders"); err != nil || len(left) > 0 {
		t.Errorf("orphans %v, %v", left, err)
	}
}

// The requests of a sync do not grow with the number of those before it.
func TestRequestsAfterManySyncs(t *testing.T) {
	l, proxy := bucketLake(t, "many")
	again := func() *Lake { // as after a restart, with nothing in memory
		return openLakeAt(t, "s3://lab/many?region=us-east-1&endpoint="+proxy.URL, l.kv)
	}
	fence := uint64(0)
	land := func(l *Lake, target func(uint64, string) Target, from, to int64) {
		t.Helper()
		fence++
		w := begin(t, l, target(fence, "syn_"+newNonce()))
		write(t, w, from, to)
		var next *driver.Cursor
		if w.target.Mode == Incremental {
			next = behind(to - 1)
		}
		commit(t, w, next, true)
	}
	count := func(what string, most int, do func()) {
		t.Helper()
		proxy.Requests()
		do()
		if n, by := proxy.Requests(); n > most {
			t.Errorf("%s: %d requests %v, want at most %d", what, n, by, most)
		} else {
			t.Logf("%s: %d requests %v", what, n, by)
		}
	}
	appends := int64(130)
	if testing.Short() {
		appends = 30
	}
	for i := range appends {
		land(l, mergedOrders, i*10, i*10+10)
	}
	end := appends * 10
	count("append", 4, func() { land(l, incremental, end, end+10) })
	count("merge", 10, func() { land(l, mergedOrders, end+5, end+15) })
	// The merges before have left deletes, and their files are named by a few manifests.
	count("merge after a restart", 13, func() { land(again(), mergedOrders, end+10, end+20) })
	count("append after a restart", 8, func() { land(again(), incremental, end+20, end+30) })
	wantIDs(t, l, span(0, end+30))
	count("full refresh after a restart", 11, func() { land(again(), full, 0, 10) })
	count("full refresh", 8, func() { land(again(), full, 0, 20) })
	wantIDs(t, l, span(0, 20))
	found, err := storage.List(l.files, l.root)
	if err != nil {
		t.Fatal(err)
	}
	count(fmt.Sprintf("purge of %d files", len(found)), 8, func() {
		if _, err := l.Drop(t.Context(), home); err != nil {
			t.Fatal(err)
		}
	})
	if found, err = storage.List(l.files, l.root); err != nil || len(found) > 0 {
		t.Errorf("%d files are left, %v", len(found), err)
	}
}
