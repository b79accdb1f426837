package landing

import (
	"errors"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
)

func people(e driver.Equality) driver.Table {
	return driver.Table{Name: "people", PrimaryKey: []string{"name"}, Columns: []driver.Column{
		{Name: "name", Type: driver.Of(driver.String), Equality: e}, {Name: "version", Type: driver.Of(driver.Int64)},
	}}
}

// mergePeople lands the names in one sync, all with the version, and returns how
// many rows readers see then.
func mergePeople(t *testing.T, l *Lake, e driver.Equality, v int64, names ...string) (int64, error) {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(people(e)))
	defer b.Release()
	for _, name := range names {
		b.Field(0).(*array.StringBuilder).Append(name)
		b.Field(1).(*array.Int64Builder).Append(v)
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	w := begin(t, l, Target{
		Address: home, Table: people(e), SyncID: fmt.Sprint("syn_", v), Fence: uint64(v), Mode: Incremental,
		CursorColumn: "version", Merge: true, Key: []string{"name"},
	})
	if err := w.Write(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	c, err := w.Commit(t.Context(), version(v), true)
	if err != nil {
		w.Abort(t.Context())
	}
	return c.Total, err
}

func TestMergeByTheSourcesEquality(t *testing.T) {
	for _, c := range []struct {
		equality      driver.Equality
		first, second string
		rows          int64 // after the second sync
	}{
		{"", "a", "A", 2},
		{driver.EqualFolded, "Ada", "ADA", 1},
		{driver.EqualFolded, "Ada", "Adá", 2},
		{driver.EqualPadded, "a", "a  ", 1},
		{driver.EqualNumbers, "7.0", "7", 1},
		{driver.EqualNumbers, "7.0", "70", 2},
		{driver.EqualIntervals, "P1D", "PT24H", 1},
		{driver.EqualCollated, "a", "a ", 1},
		{driver.EqualCollated, "a", "b", 2},
	} {
		l := openLake(t, kvtest.New())
		// Beside it lies a key that is not touched, and whose bounds are far away.
		if _, err := mergePeople(t, l, c.equality, 1, c.first, "5000"); err != nil {
			t.Fatal(err)
		}
		total, err := mergePeople(t, l, c.equality, 2, c.second)
		if err != nil || total != c.rows+1 {
			t.Errorf("%s: after %q and %q there are %d rows, %v; want %d", c.equality, c.first, c.second, total, err, c.rows+1)
		}
	}
}

// Only the source knows whether its collation takes two spellings for one key:
// the merge asks for a whole read, which shows it, and lands nothing by guess.
func TestAKeyInAnotherSpelling(t *testing.T) {
	for _, c := range []struct {
		landed, come []string
		asks         bool
	}{
		{[]string{"marta"}, []string{"märta"}, true},
		{[]string{"Ada"}, []string{"ada"}, true},
		{[]string{"Straße"}, []string{"straße"}, true},
		{[]string{"marta", "märta"}, []string{"marta"}, false}, // they are two
		{[]string{"marta", "märta"}, []string{"marta", "märta"}, false},
		{[]string{"marta", "märta"}, []string{"MARTA"}, true},
		{nil, []string{"marta", "märta"}, false}, // they come from one moment
		{[]string{"zoe"}, []string{"marta"}, false},
	} {
		l := openLake(t, kvtest.New())
		want := int64(len(c.landed))
		if len(c.landed) > 0 {
			if total, err := mergePeople(t, l, driver.EqualCollated, 1, c.landed...); err != nil || total != want {
				t.Fatalf("%d rows, %v", total, err)
			}
		}
		_, err := mergePeople(t, l, driver.EqualCollated, 2, c.come...)
		if asks := errors.Is(err, driver.ErrReplaced); asks != c.asks || err != nil && !asks {
			t.Errorf("%q behind %q: %v; want a whole read: %v", c.come, c.landed, err, c.asks)
		}
	}
}

// A number other than zero marks a deleted row, as a boolean does.
func TestDeletedByNumber(t *testing.T) {
	b := array.NewInt32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues([]int32{0, 1, -1, 7}, []bool{true, true, true, false})
	column := b.NewArray()
	defer column.Release()
	deleted := deletedIn(column)
	for row, want := range []bool{false, true, true, false} {
		if deleted(row) != want {
			t.Errorf("row %d is deleted: %v, want %v", row, deleted(row), want)
		}
	}
}
