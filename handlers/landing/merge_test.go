package landing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/google/go-cmp/cmp"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/syncstate"
)

// accounts is a table with a key, a version to go by and a mark for deleted
// rows.
func accounts() driver.Table {
	return driver.Table{Namespace: "public", Name: "accounts", PrimaryKey: []string{"id"}, Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64)},
		{Name: "version", Type: driver.Of(driver.Int64)},
		{Name: "gone", Type: driver.Of(driver.Boolean), Nullable: true},
	}}
}

type account struct {
	id, version int64
	gone        bool
}

func accountRows(all ...account) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(accounts()))
	defer b.Release()
	for _, a := range all {
		b.Field(0).(*array.Int64Builder).Append(a.id)
		b.Field(1).(*array.Int64Builder).Append(a.version)
		if a.gone {
			b.Field(2).(*array.BooleanBuilder).Append(true)
		} else if a.id%2 == 0 {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.BooleanBuilder).Append(false)
		}
	}
	return b.NewRecordBatch()
}

func version(v int64) *driver.Cursor {
	text := fmt.Sprint(v)
	return &driver.Cursor{Column: "version", Value: &text}
}

func merging(fence uint64, sync string) Target {
	return Target{Address: home, Table: accounts(), SyncID: sync, Fence: fence, Mode: Incremental, CursorColumn: "version", Merge: true, Key: []string{"id"}, Deleted: "gone"}
}

func put(t *testing.T, w *encoding, all ...account) {
	t.Helper()
	rec := accountRows(all...)
	defer rec.Release()
	if err := w.Write(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
}

// readers returns what the table holds, by a scan of Iceberg's and by reading
// the files as the table format says; it fails where the two differ, or the
// count does.
func readers(ctx context.Context, l *Lake, name string) (map[int64][]int64, error) {
	ident := kvcatalog.IdentifierOf(home, "public", name)
	tbl, err := l.catalog.LoadTable(ctx, ident)
	if err != nil {
		return nil, err
	}
	_, batches, err := tbl.Scan().ToArrowRecords(ctx)
	if err != nil {
		return nil, err
	}
	scanned := map[int64][]int64{}
	var n int64
	for rec, err := range batches {
		if err != nil {
			return nil, err
		}
		n += rec.NumRows()
		versionsOf(rec.Columns(), scanned, func(int) bool { return true })
	}
	at, err := l.catalog.Load(ctx, ident)
	if err != nil {
		return nil, err
	}
	rows, deletes, err := manifest.DataFiles(l.files, at.Meta.CurrentSnapshot())
	if err != nil {
		return nil, err
	}
	gone := map[string]bool{}
	for _, f := range deletes {
		columns, err := wholeFile(ctx, l, f)
		if err != nil {
			return nil, err
		}
		last := ""
		for i := range columns[0].Len() {
			at := fmt.Sprintf("%s %020d", columns[0].(*array.String).Value(i), columns[1].(*array.Int64).Value(i))
			if at <= last {
				return nil, fmt.Errorf("position deletes are not ordered: %s after %s", at, last)
			}
			if gone[at] {
				return nil, fmt.Errorf("%s is deleted twice", at)
			}
			gone[at], last = true, at
		}
	}
	own := map[int64][]int64{}
	for _, f := range rows {
		columns, err := wholeFile(ctx, l, f)
		if err != nil {
			return nil, err
		}
		versionsOf(columns, own, func(row int) bool { return !gone[fmt.Sprintf("%s %020d", f.FilePath(), row)] })
	}
	for _, found := range []map[int64][]int64{scanned, own} {
		for _, v := range found {
			slices.Sort(v)
		}
	}
	if diff := cmp.Diff(scanned, own); diff != "" {
		return nil, fmt.Errorf("two readers differ: %s", diff)
	}
	if total, err := l.Count(ctx, home, "public", name); err != nil || total != n {
		return nil, fmt.Errorf("the table holds %d rows and counts %d, %v", n, total, err)
	}
	return own, nil
}

func versionsOf(columns []arrow.Array, into map[int64][]int64, sees func(int) bool) {
	for i := range columns[0].Len() {
		if sees(i) {
			id := columns[0].(*array.Int64).Value(i)
			into[id] = append(into[id], columns[1].(*array.Int64).Value(i))
		}
	}
}

func wholeFile(ctx context.Context, l *Lake, f iceberg.DataFile) ([]arrow.Array, error) {
	in, err := l.files.Open(f.FilePath())
	if err != nil {
		return nil, err
	}
	defer in.Close()
	r, err := file.NewParquetReader(in)
	if err != nil {
		return nil, err
	}
	arrows, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	tbl, err := arrows.ReadTable(ctx)
	if err != nil {
		return nil, err
	}
	var columns []arrow.Array
	for i := range int(tbl.NumCols()) {
		column, err := array.Concatenate(tbl.Column(i).Data().Chunks(), memory.DefaultAllocator)
		if err != nil {
			return nil, err
		}
		columns = append(columns, column)
	}
	return columns, nil
}

func wantAccounts(t *testing.T, l *Lake, want map[int64][]int64) {
	t.Helper()
	got, err := readers(t.Context(), l, "accounts")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestMergeReplacesRowsOfAKey(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, merging(1, "syn_1"))
	put(t, w, account{1, 1, false}, account{2, 1, false}, account{3, 1, false})
	commit(t, w, version(1), false)
	// In one commit: an update, two versions of one row, one that comes and
	// goes, one that goes, and one that goes and comes.
	put(t, w, account{2, 2, false}, account{4, 2, false}, account{5, 2, false}, account{1, 2, true}, account{6, 2, true})
	put(t, w, account{4, 3, false}, account{5, 3, true}, account{6, 3, false})
	c := commit(t, w, version(3), true)
	if c.Total != 4 || c.Records != 11 {
		t.Errorf("%+v", c)
	}
	wantAccounts(t, l, map[int64][]int64{2: {2}, 3: {1}, 4: {3}, 6: {3}})
	_, shown, err := l.Preview(t.Context(), home, "public", "accounts", 100)
	if err != nil || len(shown) != 4 {
		t.Errorf("a preview of %d rows, %v", len(shown), err)
	}

	// Only deletions, of rows that are and are not there.
	w = begin(t, l, merging(2, "syn_2"))
	put(t, w, account{2, 4, true}, account{9, 4, true})
	if c := commit(t, w, version(4), true); c.Total != 3 {
		t.Errorf("%+v", c)
	}
	wantAccounts(t, l, map[int64][]int64{3: {1}, 4: {3}, 6: {3}})

	// A full refresh takes the position deletes away with the rows, also one that
	// finds nothing.
	target := merging(3, "syn_3")
	target.Mode, target.Merge, target.Deleted = FullRefresh, false, ""
	w = begin(t, l, target)
	if c := commit(t, w, version(4), true); c.Total != 0 {
		t.Errorf("%+v", c)
	}
	wantAccounts(t, l, map[int64][]int64{})
	target.SyncID, target.Fence = "syn_3b", 4
	w = begin(t, l, target)
	put(t, w, account{7, 5, false}, account{8, 5, false})
	if c := commit(t, w, version(5), true); c.Total != 2 {
		t.Errorf("%+v", c)
	}
	wantAccounts(t, l, map[int64][]int64{7: {5}, 8: {5}})
	w = begin(t, l, merging(5, "syn_4"))
	if at := w.Cursor(); at.Value == nil || *at.Value != "5" {
		t.Errorf("the cursor of the full refresh is %+v", at)
	}
	put(t, w, account{7, 6, false})
	commit(t, w, version(6), true)
	wantAccounts(t, l, map[int64][]int64{7: {6}, 8: {5}})
}

// A reset replaces, and merges among what it brings.
func TestResetStartsOver(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, merging(1, "syn_1"))
	put(t, w, account{1, 1, false}, account{2, 1, false})
	commit(t, w, version(1), true)
	target := merging(2, "syn_2")
	target.Reset = true
	w = begin(t, l, target)
	if w.Cursor().Value != nil {
		t.Fatalf("a reset goes on at %s", *w.Cursor().Value)
	}
	put(t, w, account{3, 1, false}, account{4, 1, false})
	commit(t, w, version(1), false)
	wantAccounts(t, l, map[int64][]int64{1: {1}, 2: {1}})
	put(t, w, account{3, 2, false}, account{4, 2, true})
	if c := commit(t, w, version(2), true); c.Total != 1 {
		t.Errorf("%+v", c)
	}
	wantAccounts(t, l, map[int64][]int64{3: {2}})
}

// An append that reads versions again shows each once, and a sync that died in
// the middle of it does not make the next one repeat them.
func TestAppendFromAnEarlierCursor(t *testing.T) {
	l := openLake(t, kvtest.New())
	target := merging(1, "syn_1")
	target.Merge, target.Deleted, target.Key = false, "", []string{"id", "version"}
	w := begin(t, l, target)
	put(t, w, account{1, 1, false}, account{2, 2, false}, account{1, 3, false}, account{2, 4, false})
	commit(t, w, version(4), true)

	target.SyncID, target.Fence, target.From = "syn_2", 2, version(1)
	w = begin(t, l, target)
	if at := w.Cursor(); *at.Value != "1" {
		t.Fatalf("the overlap starts at %s", *at.Value)
	}
	put(t, w, account{3, 2, false}, account{2, 2, false}, account{1, 3, false}) // the first is late
	commit(t, w, version(3), false)
	w.Abort(t.Context())

	target.SyncID, target.Fence, target.From = "syn_3", 3, nil
	w = begin(t, l, target)
	if at := w.Cursor(); *at.Value != "3" {
		t.Fatalf("the next sync starts at %s", *at.Value)
	}
	put(t, w, account{2, 4, false}, account{3, 5, false})
	commit(t, w, version(5), true)
	wantAccounts(t, l, map[int64][]int64{1: {1, 3}, 2: {2, 4}, 3: {2, 5}})

	// The overlap is over.
	keyless := target
	keyless.Key, keyless.SyncID, keyless.Fence = nil, "syn_4", 4
	w = begin(t, l, keyless)
	put(t, w, account{3, 6, false})
	commit(t, w, version(6), true)
	wantAccounts(t, l, map[int64][]int64{1: {1, 3}, 2: {2, 4}, 3: {2, 5, 6}})
}

// A merge into a table of appended versions leaves the last one of each key, of
// keys that come again and of those that do not, also when nothing new comes.
func TestMergeAfterAppends(t *testing.T) {
	for _, news := range []bool{true, false} {
		l := openLake(t, kvtest.New())
		appending := merging(1, "syn_1")
		appending.Merge, appending.Deleted, appending.Key = false, "", nil
		w := begin(t, l, appending)
		put(t, w, account{1, 1, false}, account{2, 1, false}, account{3, 1, false})
		commit(t, w, version(1), true)
		appending.SyncID, appending.Fence = "syn_2", 2
		w = begin(t, l, appending)
		put(t, w, account{1, 2, false}, account{2, 2, false})
		commit(t, w, version(2), true)
		appending.SyncID, appending.Fence = "syn_3", 3
		w = begin(t, l, appending)
		put(t, w, account{2, 3, true}, account{1, 3, false})
		commit(t, w, version(3), true)
		wantAccounts(t, l, map[int64][]int64{1: {1, 2, 3}, 2: {1, 2, 3}, 3: {1}})

		w = begin(t, l, merging(4, "syn_4"))
		want := map[int64][]int64{1: {3}, 3: {1}}
		if news {
			put(t, w, account{3, 4, false}, account{4, 4, true})
			want[3] = []int64{4}
		}
		c := commit(t, w, version(4), true)
		wantAccounts(t, l, want)
		if deleted := map[bool]int64{true: 1}[news]; c.Deleted != deleted {
			t.Errorf("%d rows came as deleted, want %d", c.Deleted, deleted)
		}
		// From then on it is known, and what was merged is not looked through again.
		at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "public", "accounts"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := syncstate.Of(at.Meta)
		if err != nil || !slices.Equal(s.Key, []string{"id"}) {
			t.Errorf("after a merge the key is %v, %v", s.Key, err)
		}
		appending.SyncID, appending.Fence = "syn_5", 5
		w = begin(t, l, appending)
		put(t, w, account{3, 5, false})
		commit(t, w, version(5), true)
		w = begin(t, l, merging(6, "syn_6"))
		commit(t, w, nil, true)
		want[3] = []int64{5}
		wantAccounts(t, l, want)
	}
}

// A key whose values the source compares in a way that is not known is refused
// before anything is read, and no matter for rows that are appended.
func TestAKeyThatCannotBeCompared(t *testing.T) {
	l := openLake(t, kvtest.New())
	target := merging(1, "syn_1")
	target.Table.Columns[0].Equality = driver.NotComparable + "it holds values of several kinds"
	if _, err := l.Begin(t.Context(), target); !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), "several kinds") {
		t.Errorf("a merge: %v", err)
	}
	target.Merge, target.Deleted, target.Key = false, "", []string{"id", "version"}
	if w, err := l.Begin(t.Context(), target); err != nil {
		t.Error(err)
	} else if err := w.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

// Keys of every type, and of several columns, are told apart by their values.
func TestKeysOfEveryType(t *testing.T) {
	for _, c := range []struct {
		of   driver.Type
		a, b string // JSON
	}{
		{driver.Of(driver.Int32), `-1`, `1`},
		{driver.Of(driver.Int64), `-9223372036854775808`, `9223372036854775807`},
		{driver.DecimalOf(10, 2), `"-1.25"`, `"1.25"`},
		{driver.DecimalOf(38, 0), `"-99999999999999999999999999999999999999"`, `"18446744073709551616"`},
		{driver.Of(driver.String), `""`, `"a"`},
		{driver.Of(driver.Bytes), `"AA=="`, `"AAA="`},
		{driver.Of(driver.Date), `"1969-12-31"`, `"2024-01-02"`},
		{driver.Of(driver.Time), `"00:00:00"`, `"23:59:59.999999"`},
		{driver.Of(driver.Timestamp), `"1969-12-31 23:59:59.999999"`, `"2024-01-02 03:04:05"`},
		{driver.Of(driver.TimestampTZ), `"1969-12-31 23:59:59.999999Z"`, `"2024-01-02 03:04:05Z"`},
		{driver.Of(driver.UUID), `"00000000-0000-0000-0000-000000000000"`, `"00000000-0000-0000-0000-000000000001"`},
		{driver.Of(driver.Boolean), `false`, `true`},
		{driver.Of(driver.Float64), `-0.5`, `0.5`},
	} {
		for _, composite := range []bool{false, true} {
			t.Run(fmt.Sprint(c.of, composite), func(t *testing.T) {
				l := openLake(t, kvtest.New())
				tbl := driver.Table{Namespace: "public", Name: "keyed", Columns: []driver.Column{
					{Name: "version", Type: driver.Of(driver.Int64)}, {Name: "k", Type: c.of}, {Name: "more", Type: driver.Of(driver.String)},
				}}
				key := []string{"k"}
				if composite {
					key = []string{"more", "k"}
				}
				for i, rows := range [][]string{
					{`{"version":1,"more":"x","k":` + c.a + `}`, `{"version":2,"more":"x","k":` + c.b + `}`},
					{`{"version":3,"more":"x","k":` + c.b + `}`},
					{`{"version":4,"more":"x","k":` + c.a + `}`, `{"version":5,"more":"y","k":` + c.a + `}`},
				} {
					w := begin(t, l, Target{Address: home, Table: tbl, SyncID: fmt.Sprint("syn_", i), Fence: uint64(i + 1), Mode: Incremental, CursorColumn: "version", Merge: true, Key: key})
					b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(tbl))
					for _, row := range rows {
						if err := b.UnmarshalJSON([]byte(row)); err != nil {
							t.Fatal(err)
						}
						rec := b.NewRecordBatch()
						if err := w.Write(t.Context(), rec); err != nil {
							t.Fatal(err)
						}
					}
					commit(t, w, version(int64(i)), true)
				}
				_, rows, err := l.Preview(t.Context(), home, "public", "keyed", 10)
				if err != nil {
					t.Fatal(err)
				}
				var versions []int64
				for _, r := range rows {
					versions = append(versions, r[0].(int64))
				}
				slices.Sort(versions)
				want := []int64{3, 5}
				if composite {
					want = []int64{3, 4, 5}
				}
				if !slices.Equal(versions, want) {
					t.Errorf("versions %v, want %v", versions, want)
				}
			})
		}
	}
}

// A key that grew wider is the same key.
func TestKeyWidens(t *testing.T) {
	l := openLake(t, kvtest.New())
	for i, k := range []driver.Type{driver.Of(driver.Int32), driver.Of(driver.Int64), driver.Of(driver.Int32)} {
		tbl := driver.Table{Namespace: "public", Name: "accounts", Columns: []driver.Column{{Name: "id", Type: k}, {Name: "version", Type: driver.Of(driver.Int64)}}}
		w := begin(t, l, Target{Address: home, Table: tbl, SyncID: fmt.Sprint("syn_", i), Fence: uint64(i + 1), Mode: Incremental, CursorColumn: "version", Merge: true, Key: []string{"id"}})
		b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(tbl))
		if err := b.UnmarshalJSON(fmt.Appendf(nil, `{"id":-7,"version":%d}`, i)); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(t.Context(), b.NewRecordBatch()); err != nil {
			t.Fatal(err)
		}
		if c := commit(t, w, version(int64(i)), true); c.Total != 1 {
			t.Errorf("%d: %+v", i, c)
		}
	}
	_, rows, err := l.Preview(t.Context(), home, "public", "accounts", 10)
	if err != nil || len(rows) != 1 || rows[0][1] != int64(2) {
		t.Errorf("%v %v", rows, err)
	}
}

func TestBadKeys(t *testing.T) {
	l := openLake(t, kvtest.New())
	for name, change := range map[string]func(*Target){
		"none":           func(x *Target) { x.Key = nil },
		"unknown":        func(x *Target) { x.Key = []string{"nope"} },
		"twice":          func(x *Target) { x.Key = []string{"id", "id"} },
		"NULL in a row":  func(x *Target) { x.Key = []string{"id", "gone"} },
		"NULL in a load": func(x *Target) { x.Key, x.Reset = []string{"gone"}, true },
	} {
		target := merging(1, "syn_1")
		change(&target)
		w, err := beginEncoding(t.Context(), l, target)
		if err == nil {
			put(t, w, account{2, 1, false})
			_, err = w.Commit(t.Context(), version(1), true)
			w.Abort(t.Context())
			if err != nil && !strings.Contains(err.Error(), `"gone"`) {
				t.Errorf("%s: the column is not named: %v", name, err)
			}
		}
		if !errors.Is(err, ErrBadKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
