package landing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/reading"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/sweep"
	"headwater/handlers/landing/upkeep"
)

func maintain(t *testing.T, l *Lake, name string, asked bool) Maintained {
	t.Helper()
	done, err := l.Maintain(t.Context(), home, "public", name, asked)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// mergeAccounts merges the same version of accounts from one id up to another.
func mergeAccounts(t *testing.T, l *Lake, fence uint64, ids ...int64) Committed {
	t.Helper()
	w := begin(t, l, merging(fence, fmt.Sprint("syn_", fence)))
	var all []account
	for _, id := range ids {
		all = append(all, account{id, int64(fence), false})
	}
	put(t, w, all...)
	return commit(t, w, version(int64(fence)), true)
}

// Of a table of which 1 % change again and again, readers open few files, and they
// are not much larger than those of a table that was just read anew. Who began to
// read before a maintenance comes to the end.
func TestMergedTableStaysSmall(t *testing.T) {
	l := openLake(t, kvtest.New())
	clock := time.Now()
	l.now = func() time.Time { return clock }
	const rows = 20_000
	random := rand.New(rand.NewPCG(1, 2))
	want := map[int64][]int64{}
	for id := range int64(rows) {
		want[id] = []int64{1}
	}
	mergeAccounts(t, l, 1, slices.Sorted(maps.Keys(want))...)
	var before []kvcatalog.Loaded
	maintained, most := 0, upkeep.Totals{}
	for fence := uint64(2); fence < 52; fence++ {
		var ids []int64
		for range rows / 100 {
			id := random.Int64N(rows)
			if want[id][0] != int64(fence) {
				ids, want[id] = append(ids, id), []int64{int64(fence)}
			}
		}
		clock = clock.Add(15 * time.Second)
		if c := mergeAccounts(t, l, fence, ids...); c.Upkeep {
			at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "public", "accounts"))
			if err != nil {
				t.Fatal(err)
			}
			before = append(before, at)
			if done := maintain(t, l, "accounts", false); done.Left != "" || done.Why == "" || done.Folded == 0 || !done.Did() {
				t.Errorf("a maintenance that was due did %+v", done)
			}
			maintained++
		}
		now := summed(t, l, "accounts")
		most = upkeep.Totals{Files: max(most.Files, now.Files), Deletes: max(most.Deletes, now.Deletes), Gone: max(most.Gone, now.Gone), Size: max(most.Size, now.Size)}
	}
	wantAccounts(t, l, want)
	for i, at := range before {
		if n, err := scanned(t.Context(), l, at); err != nil || n != rows {
			t.Errorf("who read before maintenance %d sees %d rows, %v", i, n, err)
		}
	}
	done := maintain(t, l, "accounts", true)
	fresh := done.BytesAfter
	t.Logf("%d maintenances; at most %+v, %d bytes as one file", maintained, most, fresh)
	if maintained < 3 || most.Files > 16 || most.Deletes > 12 || most.Gone > rows/2 || most.Size > 2*fresh {
		t.Errorf("after %d maintenances at most %+v", maintained, most)
	}
	if done.FilesAfter != 1 || done.DeletesAfter != 0 || done.Rows != rows {
		t.Errorf("asked for, a maintenance leaves %+v", done)
	}
	if again := maintain(t, l, "accounts", true); again.Did() || again.Why != "" {
		t.Errorf("the next one does %+v", again)
	}
	wantAccounts(t, l, want)
	clock = clock.Add(time.Hour)
	if done := maintain(t, l, "accounts", true); done.Expired == 0 || done.Removed == 0 {
		t.Errorf("after the grace %+v", done)
	}
	parts, metadata := filesOf(t, l, "accounts")
	if len(parts) != 1 || len(metadata) > 10 {
		t.Errorf("left are %v and %v", parts, metadata)
	}
}

func filesOf(t *testing.T, l *Lake, name string) (parts, metadata []string) {
	t.Helper()
	found, err := storage.List(l.files, l.catalog.Place(kvcatalog.IdentifierOf(home, "public", name)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if sweep.IsMetadata(f.Base) {
			metadata = append(metadata, f.Base)
		} else {
			parts = append(parts, f.Base)
		}
	}
	return parts, metadata
}

func summed(t *testing.T, l *Lake, name string) upkeep.Totals {
	t.Helper()
	at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "public", name))
	if err != nil {
		t.Fatal(err)
	}
	return upkeep.TotalsOf(at.Meta.CurrentSnapshot().Summary.Properties)
}

// A value of any type is the same in the file that took the place of its own, also
// where that was narrower or lacked the column.
func TestMaintenanceKeepsValues(t *testing.T) {
	l := openLake(t, kvtest.New())
	tbl := typesTable()
	w := begin(t, l, Target{Address: home, Table: tbl, SyncID: "syn_1", Fence: 1, Mode: FullRefresh})
	for range 3 {
		rec := typesBatch(tbl)
		err := w.Write(t.Context(), rec)
		rec.Release()
		if err != nil {
			t.Fatal(err)
		}
		commit(t, w, nil, false)
	}
	commit(t, w, nil, true)
	show := func() reading.Shown {
		t.Helper()
		shown, err := l.Show(t.Context(), home, "", "types", 100, Moment{})
		if err != nil {
			t.Fatal(err)
		}
		return shown
	}
	before := show()
	done, err := l.Maintain(t.Context(), home, "", "types", true)
	if err != nil || done.FilesBefore != 3 || done.FilesAfter != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	after := show()
	if diff := cmp.Diff(before.Rows, after.Rows, cmpopts.EquateNaNs()); diff != "" || len(after.Rows) != 9 {
		t.Errorf("%d rows: %s", len(after.Rows), diff)
	}
}

// Columns that came later are NULL in what was there before, and what was widened
// is as wide as the table.
func TestMaintenanceAfterTheSchemaChanged(t *testing.T) {
	l := openLake(t, kvtest.New())
	land := func(fence uint64, columns []driver.Column) {
		t.Helper()
		target := incremental(fence, fmt.Sprint("syn_", fence))
		target.Table.Columns = columns
		w := begin(t, l, target)
		rec := rowsAs(columns, int64(fence)*10, int64(fence)*10+5)
		err := w.Write(t.Context(), rec)
		rec.Release()
		if err != nil {
			t.Fatal(err)
		}
		commit(t, w, behind(int64(fence)*10+4), true)
	}
	narrow := []driver.Column{{Name: "id", Type: driver.Of(driver.Int64)}, {Name: "n", Type: driver.Of(driver.Int32), Nullable: true}}
	wide := []driver.Column{{Name: "id", Type: driver.Of(driver.Int64)}, {Name: "n", Type: driver.Of(driver.Int64), Nullable: true}, {Name: "more", Type: driver.Of(driver.String), Nullable: true}}
	land(1, narrow)
	land(2, narrow)
	land(3, wide)
	before := show(t, l, 100, Moment{})
	if done := maintain(t, l, "orders", true); done.FilesAfter != 1 {
		t.Fatalf("%+v", done)
	}
	if diff := cmp.Diff(before.Rows, show(t, l, 100, Moment{}).Rows); diff != "" {
		t.Error(diff)
	}
	w := begin(t, l, func() Target { x := incremental(4, "syn_4"); x.Table.Columns = wide; return x }())
	if c := w.Cursor(); c.Value == nil || *c.Value != "34" {
		t.Errorf("the next sync goes on at %+v", c)
	}
}

// rowsAs returns rows of an id, a number and whatever columns there are besides.
func rowsAs(columns []driver.Column, from, to int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(driver.Table{Columns: columns}))
	defer b.Release()
	for id := from; id < to; id++ {
		for i := range columns {
			switch f := b.Field(i).(type) {
			case *array.Int64Builder:
				f.Append(id)
			case *array.Int32Builder:
				f.Append(int32(-id))
			case *array.StringBuilder:
				f.Append(fmt.Sprint("more ", id))
			}
		}
	}
	return b.NewRecordBatch()
}

// Of versions of a row that were appended the last stays once they are merged,
// whatever was joined in between.
func TestMaintenanceKeepsTheOrder(t *testing.T) {
	l := openLake(t, kvtest.New())
	appending := func(fence uint64, id int64) {
		t.Helper()
		target := merging(fence, fmt.Sprint("syn_", fence))
		target.Merge, target.Key, target.Deleted = false, nil, ""
		w := begin(t, l, target)
		put(t, w, account{id, int64(fence), false})
		commit(t, w, version(int64(fence)), true)
	}
	for fence := uint64(1); fence <= 9; fence++ {
		appending(fence, int64(fence%2))
		if fence%3 == 0 {
			maintain(t, l, "accounts", true)
		}
	}
	mergeAccounts(t, l, 10, 7)
	wantAccounts(t, l, map[int64][]int64{1: {9}, 0: {8}, 7: {10}})
}

// A sync that merges while files are written anew deletes rows of the old ones:
// they are deleted in the new one. A sync that began before and commits after finds
// its rows there, too.
func TestMaintenanceBesideSyncs(t *testing.T) {
	l := openLake(t, kvtest.New())
	l.patience = 0
	for fence := uint64(1); fence <= 4; fence++ {
		mergeAccounts(t, l, fence, 1, 2, 3, int64(10+fence), int64(20+fence))
	}
	meanwhile := false
	l.catalog.Seam = func(step string) {
		if step == "rewritten" && !meanwhile {
			meanwhile = true
			mergeAccounts(t, l, 5, 2, 12, 24, 30)
		}
	}
	done := maintain(t, l, "accounts", true)
	l.catalog.Seam = nil
	if !meanwhile || done.Left != "" {
		t.Fatalf("%v, %+v", meanwhile, done)
	}
	want := map[int64][]int64{1: {4}, 2: {5}, 3: {4}, 11: {1}, 12: {5}, 13: {3}, 14: {4}, 21: {1}, 22: {2}, 23: {3}, 24: {5}, 30: {5}}
	wantAccounts(t, l, want)

	mergeAccounts(t, l, 6, 3)
	w := begin(t, l, merging(7, "syn_7"))
	put(t, w, account{1, 7, false}, account{13, 7, false})
	if done := maintain(t, l, "accounts", false); done.Left == "" || done.Did() {
		t.Errorf("beside a sync, by itself: %+v", done)
	}
	if done := maintain(t, l, "accounts", true); !done.Did() {
		t.Errorf("beside a sync, asked for: %+v", done)
	}
	commit(t, w, version(7), true)
	want[1], want[3], want[13] = []int64{7}, []int64{6}, []int64{7}
	wantAccounts(t, l, want)
	if left, err := orphans(t.Context(), l, "accounts"); err != nil || len(left) > 0 {
		t.Errorf("orphans %v, %v", left, err)
	}
}

// What was replaced as a whole, or dropped, while files were written anew ends a
// maintenance, and nothing of it is left.
func TestMaintenanceYields(t *testing.T) {
	for name, meanwhile := range map[string]func(*testing.T, *Lake){
		"to a full refresh": func(t *testing.T, l *Lake) {
			w := begin(t, l, full(9, "syn_9"))
			write(t, w, 0, 7)
			commit(t, w, nil, true)
		},
		"to another maintenance": func(t *testing.T, l *Lake) { maintain(t, l, "orders", true) },
	} {
		t.Run(name, func(t *testing.T) {
			l := openLake(t, kvtest.New())
			for fence := uint64(1); fence <= 3; fence++ {
				w := begin(t, l, incremental(fence, fmt.Sprint("syn_", fence)))
				write(t, w, int64(fence)*10, int64(fence)*10+5)
				commit(t, w, behind(int64(fence)*10+4), true)
			}
			first := true
			l.catalog.Seam = func(step string) {
				if step == "rewritten" && first {
					first = false
					meanwhile(t, l)
				}
			}
			if done := maintain(t, l, "orders", true); done.Left == "" {
				t.Errorf("%+v", done)
			}
			l.catalog.Seam = nil
			if left, err := orphans(t.Context(), l, "orders"); err != nil || len(left) > 0 {
				t.Errorf("orphans %v, %v", left, err)
			}
		})
	}
	l := openLake(t, kvtest.New())
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 7)
	commit(t, w, nil, true)
	if _, err := l.Drop(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Maintain(t.Context(), home, "public", "orders", true); !errors.Is(err, ErrNoTable) {
		t.Errorf("of a dropped table: %v", err)
	}
}

// A maintenance that was killed leaves files; those go with the next sweep, also a
// sync's, once it is sure that it does not go on. One that stood still for that
// long gives up.
func TestSweepEndsAMaintenance(t *testing.T) {
	l := openLake(t, kvtest.New())
	for fence := uint64(1); fence <= 3; fence++ {
		w := begin(t, l, incremental(fence, fmt.Sprint("syn_", fence)))
		write(t, w, int64(fence)*10, int64(fence)*10+5)
		commit(t, w, behind(int64(fence)*10+4), true)
	}
	want := ids(t, l)
	first := true
	l.catalog.Seam = func(step string) {
		if step != "rewritten" || !first {
			return
		}
		first = false
		ident := kvcatalog.IdentifierOf(home, "public", "orders")
		if _, _, err := l.sweeper().Sweep(context.WithoutCancel(t.Context()), ident, 0, nil); err != nil {
			t.Error(err)
		}
		if parts, _ := files(t, l); len(parts) != 4 {
			t.Errorf("a sweep beside it leaves %v", parts)
		}
		l.now = func() time.Time { return time.Now().Add(retain.Grace + time.Minute) }
		if _, _, err := l.sweeper().Sweep(context.WithoutCancel(t.Context()), ident, 0, nil); err != nil {
			t.Error(err)
		}
		if parts, _ := files(t, l); len(parts) != 3 {
			t.Errorf("a sweep after the grace leaves %v", parts)
		}
	}
	if done := maintain(t, l, "orders", true); done.Left == "" {
		t.Errorf("%+v", done)
	}
	wantIDs(t, l, want)
}

// A table is due while its files call for it, and once more when the grace of what its
// last commit replaced has passed; then it is left alone until it is another one.
func TestUpkeepDue(t *testing.T) {
	l := openLake(t, kvtest.New())
	clock := time.Now()
	l.now = func() time.Time { return clock }
	due := func(want string) {
		t.Helper()
		occasion, due, err := l.UpkeepDue(t.Context(), home, "public", "orders")
		if err != nil || due != (want != "") || !strings.HasSuffix(occasion, want) {
			t.Fatalf("due is %q, %v, %v; want %q", occasion, due, err, want)
		}
	}
	land := func(fence uint64) {
		t.Helper()
		w := begin(t, l, incremental(fence, fmt.Sprint("syn_", fence)))
		write(t, w, int64(fence)*10, int64(fence)*10+5)
		commit(t, w, behind(int64(fence)*10+4), true)
	}
	due("")
	land(1)
	clock = clock.Add(upkeep.SyncOver + time.Minute)
	due(" sweep")
	clock = clock.Add(-upkeep.SyncOver - time.Minute)
	for fence := uint64(2); fence <= 7; fence++ {
		land(fence)
	}
	land(8)
	due(" files")
	w := begin(t, l, incremental(9, "syn_9")) // a sync under way, or one that died
	due("")
	clock = clock.Add(upkeep.SyncOver + time.Minute)
	due(" files")
	if done := maintain(t, l, "orders", false); done.Left != "" || done.FilesAfter != 1 {
		t.Fatalf("behind a sync that died: %+v", done)
	}
	w.Abort(t.Context())
	clock = clock.Add(upkeep.Every + time.Minute)
	land(10) // by the system's time, an hour ago
	due(" snapshots")
	if done := maintain(t, l, "orders", false); done.Expired == 0 || done.Removed == 0 {
		t.Fatalf("after the grace: %+v", done)
	}
	for range 3 {
		clock = clock.Add(2 * time.Hour)
		due("")
	}
	if parts, metadata := files(t, l); len(parts) != 2 || len(metadata) > 10 {
		t.Errorf("left are %v and %v", parts, metadata)
	}
}

// The files of a table are joined by another rule while each sync replaces all of them,
// also after a maintenance of it.
func TestUpkeepOfRefreshes(t *testing.T) {
	l := openLake(t, kvtest.New())
	rule := func(want upkeep.Rule) {
		t.Helper()
		at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "public", "orders"))
		if err != nil {
			t.Fatal(err)
		}
		if got := upkeep.RuleFor(at.Meta.CurrentSnapshot()); got != want {
			t.Errorf("the rule is %+v", got)
		}
	}
	w := begin(t, l, full(1, "syn_1"))
	for from := int64(1); from < 5; from++ {
		write(t, w, from*10, from*10+5)
	}
	commit(t, w, nil, true)
	rule(upkeep.Replaced)
	maintain(t, l, "orders", true)
	rule(upkeep.Replaced)
	w = begin(t, l, incremental(2, "syn_2"))
	write(t, w, 100, 105)
	commit(t, w, behind(104), true)
	rule(upkeep.ByItself)
}
