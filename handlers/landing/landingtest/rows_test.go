package landingtest_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/event"
	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/handlers/landing/landingtest"
	"headwater/handlers/landing/parts"
)

var home = event.Address{Organization: "acme", Workspace: "w", Owner: "ada", Source: "src_1"}

// shape is a table of ids with or without its later, wider columns.
func shape(wide bool) driver.Table {
	t := driver.Table{Namespace: "public", Name: "orders", Cursor: "id", Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64)}, {Name: "n", Type: driver.Of(driver.Int32), Nullable: true}}}
	if wide {
		t.Columns[1].Type = driver.Of(driver.Int64)
		t.Columns = append(t.Columns, driver.Column{Name: "note", Type: driver.Of(driver.String), Nullable: true})
	}
	return t
}

// land appends the rows from one id up to another.
func land(t *testing.T, lake *landing.Lake, fence uint64, wide bool, from, to int64) landing.Committed {
	t.Helper()
	w, err := lake.Begin(t.Context(), landing.Target{Address: home, Table: shape(wide), SyncID: fmt.Sprint("syn_", fence),
		Fence: fence, Mode: landing.Incremental, CursorColumn: "id"})
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(shape(wide)))
	defer b.Release()
	for id := from; id < to; id++ {
		b.Field(0).(*array.Int64Builder).Append(id)
		if wide {
			b.Field(1).(*array.Int64Builder).Append(id)
			b.Field(2).(*array.StringBuilder).Append("new")
		} else {
			b.Field(1).(*array.Int32Builder).Append(int32(id))
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	enc := parts.Start(parts.Config{Files: w.Files(), Layout: w.Layout(), Name: w.NextName, Log: slog.New(slog.DiscardHandler)})
	rec.Retain()
	if err := enc.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	made, err := enc.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(made...); err != nil {
		t.Fatal(err)
	}
	last := fmt.Sprint(to - 1)
	c, err := w.Commit(t.Context(), &driver.Cursor{Column: "id", Value: &last}, true)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// read returns the ids of a snapshot, in order, and how many notes are NULL.
func read(t *testing.T, location string, snapshot int64) (ids []int64, nulls int) {
	t.Helper()
	for rec, err := range landingtest.Rows(t.Context(), location, snapshot) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, rec.Column(0).(*array.Int64).Int64Values()...)
		if !slices.Equal(rec.Column(rec.Schema().FieldIndices("n")[0]).(interface{ Int64Values() []int64 }).Int64Values(), ids[len(ids)-int(rec.NumRows()):]) {
			t.Error("the columns of a row do not fit")
		}
		nulls += rec.Column(2).NullN()
	}
	slices.Sort(ids)
	return ids, nulls
}

func TestRows(t *testing.T) {
	lake, err := landing.Open(t.Context(), t.TempDir()+"/la [ke] %20", kvtest.New(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close()
	land(t, lake, 1, false, 0, 40_000)
	first := land(t, lake, 2, true, 40_000, 60_000)
	if ids, nulls := read(t, first.Location, first.SnapshotID); len(ids) != 60_000 || ids[59_999] != 59_999 || nulls != 40_000 {
		t.Fatalf("%d rows, %d without a note", len(ids), nulls)
	}

	// A range over both files and some single rows go by position deletes.
	gone := func(id int64) bool { return id < 3000 && id%3 == 0 || id >= 39_990 && id < 40_010 }
	now := remove(t, lake, gone, 60_000)
	check := func(when string, snapshot int64, rows, withoutNote int, gone func(int64) bool) {
		t.Helper()
		ids, nulls := read(t, first.Location, snapshot)
		if len(ids) != rows || nulls != withoutNote || slices.ContainsFunc(ids, gone) || len(slices.Compact(ids)) != rows {
			t.Errorf("%s: %d rows, %d without a note; want %d and %d", when, len(ids), nulls, rows, withoutNote)
		}
	}
	check("after the deletes", now, 60_000-1020, 40_000-1010, gone)
	later := land(t, lake, 3, true, 60_000, 60_010)
	if newest, err := landingtest.Newest(later.Location); newest != later.SnapshotID || err != nil {
		t.Errorf("the newest snapshot is %d, %v", newest, err)
	}
	check("after more rows", later.SnapshotID, 60_010-1020, 40_000-1010, gone)
	check("the snapshot before", first.SnapshotID, 60_000, 40_000, func(int64) bool { return false })
}

// remove deletes rows by position and returns the snapshot without them.
func remove(t *testing.T, lake *landing.Lake, gone func(int64) bool, below int64) int64 {
	t.Helper()
	var ids []int64
	for id := range below {
		if gone(id) {
			ids = append(ids, id)
		}
	}
	for ident, err := range lake.Catalog().ListTables(t.Context(), table.Identifier{"acme", "w", "ada", "src_1"}) {
		if err != nil {
			t.Fatal(err)
		}
		tbl, err := lake.Catalog().LoadTable(t.Context(), ident)
		if err != nil {
			t.Fatal(err)
		}
		txn := tbl.NewTransaction()
		if err := txn.SetProperties(iceberg.Properties{table.WriteDeleteModeKey: table.WriteModeMergeOnRead}); err != nil {
			t.Fatal(err)
		}
		if err := txn.Delete(t.Context(), iceberg.IsIn(iceberg.Reference("id"), ids...), nil); err != nil {
			t.Fatal(err)
		}
		after, err := txn.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := after.CurrentSnapshot().Summary.Properties["added-position-deletes"]; n != fmt.Sprint(len(ids)) {
			t.Fatalf("%s rows were deleted by position, want %d", n, len(ids))
		}
		return after.CurrentSnapshot().SnapshotID
	}
	t.Fatal("the table is not in the catalog")
	return 0
}

// A snapshot that nothing committed, and files that are not whole, are errors.
func TestRowsOfDamagedTables(t *testing.T) {
	lake, err := landing.Open(t.Context(), t.TempDir(), kvtest.New(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close()
	c := land(t, lake, 1, true, 0, 10)
	fails := func(snapshot int64, want string) {
		t.Helper()
		var last error
		for _, last = range landingtest.Rows(t.Context(), c.Location, snapshot) {
		}
		if last == nil || !strings.Contains(last.Error(), want) {
			t.Errorf("%v, want %q", last, want)
		}
	}
	fails(c.SnapshotID+1, "is the current one of none")
	parts, _ := filepath.Glob(filepath.Join(strings.TrimPrefix(c.Location, "file://"), "data", "*.parquet"))
	for _, p := range parts {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	fails(c.SnapshotID, "no such file")
}
