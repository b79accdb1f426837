package landing

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/extract/collapse"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/landingtest"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/retain"
	"headwater/handlers/landing/storage"
)

func text(s string) *string { return &s }

// logOf makes changes of notes, one transaction each where a position is given.
func logOf(whole bool, all ...logged) driver.Changes {
	c := driver.Changes{Kept: map[int][]int{}, Old: whole}
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(driver.Table{Columns: nullable(notes().Columns)}))
	defer b.Release()
	for row, one := range all {
		c.Ops = append(c.Ops, one.op)
		if one.row.Doc == nil {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.StringBuilder).Append(*one.row.Doc)
		}
		if one.kept {
			c.Kept[row] = []int{0}
		}
		b.Field(1).(*array.StringBuilder).Append(one.row.K)
		if one.row.N < 0 {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.Int32Builder).Append(int32(one.row.N))
		}
		b.Field(3).(*array.Int64Builder).Append(7)
		b.Field(4).(*array.Decimal128Builder).Append(decimal128.FromI64(one.row.Amount))
	}
	c.Record = b.NewRecordBatch()
	c.Ends = []driver.End{{Rows: len(all), Position: "0/1", Committed: time.Unix(5, 0)}}
	return c
}

// notesTarget is a load of notes up to a position.
func notesTarget(change func(*Target)) Target {
	t := Target{Address: home, Table: notes(), SyncID: "syn_1", Fence: 1, Mode: FullRefresh, Key: []string{"k", "part"}, Position: "1"}
	if change != nil {
		change(&t)
	}
	return t
}

// behind lands changes behind a load, and returns what the commit says.
func apply(t *testing.T, l *Lake, target Target, batches ...driver.Changes) (Committed, error) {
	t.Helper()
	target.Mode, target.Position = Changes, ""
	w := follower(t, l, target)
	c, err := collapse.New(collapse.Config{Table: w.Table(), Layout: w.Layout(), Key: target.Key, Log: target.Log, Files: writing{w}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var sealed []parts.Changes
	for _, b := range batches { // each sealed by itself
		if err := c.Take(b); err != nil {
			return Committed{}, err
		}
		made, err := c.Seal().Encode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, made)
	}
	if err := w.Change("2", sealed...); err != nil {
		t.Fatal(err)
	}
	return w.Commit(t.Context(), nil, true)
}

func wantNotes(t *testing.T, c Committed, want map[string]note) {
	t.Helper()
	got, err := seen(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A value that is kept of a row that is not there is never NULL: the table is no
// longer what its log goes on from.
func TestNoValueIsKeptOfARowThatIsNotThere(t *testing.T) {
	l := openLake(t, kvtest.New())
	loadNotes(t, l, notesTarget(nil), map[string]note{"a": {K: "a", Doc: text("one")}})
	_, err := apply(t, l, notesTarget(nil), logOf(false, logged{driver.OpUpdate, note{K: "b"}, true, false}))
	if !errors.Is(err, driver.ErrReplaced) {
		t.Errorf("a row that is not there: %v", err)
	}
	gone, kept := logged{driver.OpDelete, note{K: "a", N: -1}, false, false}, logged{driver.OpUpdate, note{K: "a"}, true, false}
	if _, err = apply(t, l, notesTarget(nil), logOf(false, gone), logOf(false, kept)); !errors.Is(err, driver.ErrReplaced) {
		t.Errorf("a row that went before: %v", err)
	}
	if _, err = apply(t, l, notesTarget(nil), logOf(false, gone, kept)); !errors.Is(err, driver.ErrBadData) {
		t.Errorf("a row that went just before: %v", err)
	}
	wantNotes(t, Committed{Location: l.catalog.Place(kvcatalog.IdentifierOf(home, "public", "notes")), SnapshotID: snapshotOf(t, l, "notes")}, map[string]note{"a": {K: "a", Doc: text("one")}})
}

func snapshotOf(t *testing.T, l *Lake, name string) int64 {
	t.Helper()
	at, err := l.catalog.Load(t.Context(), kvcatalog.IdentifierOf(home, "public", name))
	if err != nil {
		t.Fatal(err)
	}
	return at.Meta.CurrentSnapshot().SnapshotID
}

// A TRUNCATE leaves the rows where deleted ones stay.
func TestTruncateLeavesDeletedRows(t *testing.T) {
	soft := func(t *Target) { t.Soft = true }
	l := openLake(t, kvtest.New())
	loadNotes(t, l, notesTarget(soft), map[string]note{"a": {K: "a", Doc: text("one"), N: 1}, "b": {K: "b", N: 2}, "c": {K: "c", N: 3}})
	c, err := apply(t, l, notesTarget(soft), logOf(false, logged{driver.OpDelete, note{K: "c", N: -1}, false, false}, logged{op: driver.OpTruncate}, logged{driver.OpInsert, note{K: "b", N: 9}, false, false}))
	if err != nil {
		t.Fatal(err)
	}
	wantNotes(t, c, map[string]note{"a": {K: "a", Doc: text("one"), N: 1, Deleted: true}, "b": {K: "b", N: 9}, "c": {K: "c", N: 3, Deleted: true}})
}

// A deleted row of which nothing had landed does not stay, and fails nothing.
func TestADeletedRowThatNeverLanded(t *testing.T) {
	soft := func(t *Target) { t.Soft = true }
	l := openLake(t, kvtest.New())
	loadNotes(t, l, notesTarget(soft), map[string]note{"a": {K: "a", N: 1}})
	c, err := apply(t, l, notesTarget(soft), logOf(false, logged{driver.OpDelete, note{K: "z", N: -1}, false, false}))
	if err != nil {
		t.Fatal(err)
	}
	wantNotes(t, c, map[string]note{"a": {K: "a", N: 1}})
}

// Two rows may swap their keys in one statement, where the source checks them at the
// end of the transaction: each half finds its own row.
func TestRowsSwapTheirKeys(t *testing.T) {
	l := openLake(t, kvtest.New())
	loadNotes(t, l, notesTarget(nil), map[string]note{"a": {K: "a", Doc: text("one"), N: 1}, "b": {K: "b", Doc: text("two"), N: 2}})
	c, err := apply(t, l, notesTarget(nil), logOf(true,
		logged{driver.OpOldKey, note{K: "a", Doc: text("one"), N: 1}, false, false}, logged{driver.OpUpdate, note{K: "b", Doc: text("one"), N: 1}, false, false},
		logged{driver.OpOldKey, note{K: "b", Doc: text("two"), N: 2}, false, false}, logged{driver.OpUpdate, note{K: "a", Doc: text("two"), N: 2}, true, false},
	))
	if err != nil {
		t.Fatal(err)
	}
	wantNotes(t, c, map[string]note{"a": {K: "a", Doc: text("two"), N: 2}, "b": {K: "b", Doc: text("one"), N: 1}})
	// By way of a third key, where it checks at once, documents stay where they are.
	l = openLake(t, kvtest.New())
	loadNotes(t, l, notesTarget(nil), map[string]note{"a": {K: "a", Doc: text("one"), N: 1}, "b": {K: "b", Doc: text("two"), N: 2}})
	c, err = apply(t, l, notesTarget(nil), logOf(false,
		logged{driver.OpOldKey, note{K: "a", N: -1}, false, false}, logged{driver.OpUpdate, note{K: "tmp", N: 1}, true, false},
		logged{driver.OpOldKey, note{K: "b", N: -1}, false, false}, logged{driver.OpUpdate, note{K: "a", N: 2}, true, false},
		logged{driver.OpOldKey, note{K: "tmp", N: -1}, false, false}, logged{driver.OpUpdate, note{K: "b", N: 1}, true, false},
	))
	if err != nil {
		t.Fatal(err)
	}
	wantNotes(t, c, map[string]note{"a": {K: "a", Doc: text("two"), N: 2}, "b": {K: "b", Doc: text("one"), N: 1}})
}

// A log keeps every change in its order, with what the source's log has of it.
func TestALogKeepsEveryChange(t *testing.T) {
	asLog := func(t *Target) { t.Log, t.Key = true, nil }
	l := openLake(t, kvtest.New())
	loadNotes(t, l, notesTarget(asLog), map[string]note{"a": {K: "a", Doc: text("one"), N: 1}})
	c, err := apply(t, l, notesTarget(asLog),
		logOf(false, logged{driver.OpInsert, note{K: "b", Doc: text("two"), N: 2}, false, false}, logged{driver.OpUpdate, note{K: "b", N: 3}, true, false}),
		logOf(false, logged{driver.OpOldKey, note{K: "b", N: -1}, false, false}, logged{driver.OpUpdate, note{K: "c", N: 3}, true, false}, logged{driver.OpDelete, note{K: "c", N: -1}, false, false}, logged{driver.OpTruncate, note{K: "x", Doc: text("x")}, false, false}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for rec, err := range landingtest.Rows(t.Context(), c.Location, c.SnapshotID) {
		if err != nil {
			t.Fatal(err)
		}
		for row := range int(rec.NumRows()) {
			line := []string{}
			for _, i := range []int{0, 1, 2, 5, 6, 7, 8} {
				line = append(line, rec.Column(i).ValueStr(row))
			}
			got = append(got, strings.Join(line, " "))
		}
	}
	at := "0/1 1970-01-01T00:00:05Z "
	want := []string{
		"one a 1 (null) (null) (null) (null)",
		"two b 2 insert " + at + "(null)",
		`(null) b 3 update ` + at + `["doc"]`,
		"(null) b (null) delete " + at + "(null)",
		`(null) c 3 update ` + at + `["doc"]`,
		"(null) c (null) delete " + at + "(null)",
		"(null) (null) (null) truncate " + at + "(null)",
	}
	if at := slices.Index(got, want[0]); at > 0 { // files come in any order
		got = slices.Concat(want[:1], got[:at], got[at+1:])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Of a column that was added, rows that were there are NULL, or the table is read
// whole.
func TestColumnsThatWereAddedToAFollowedTable(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Target)
		goesOn bool
	}{
		"added": {func(t *Target) {
			t.Table.Columns = append(t.Table.Columns, driver.Column{Name: "x", Type: driver.Of(driver.Int64), Nullable: true, Identity: "9"})
		}, true},
		"filled": {func(t *Target) {
			t.Table.Columns = append(t.Table.Columns, driver.Column{Name: "x", Type: driver.Of(driver.Int64), Nullable: true, Identity: "9", Filled: true})
		}, false},
		"filled and kept": {func(t *Target) {
			t.KeepRows = true
			t.Table.Columns = append(t.Table.Columns, driver.Column{Name: "x", Type: driver.Of(driver.Int64), Nullable: true, Identity: "9", Filled: true})
		}, true},
		"renamed":   {func(t *Target) { t.Table.Columns[0].Name = "x"; t.Table.Columns[0].Identity = "9" }, false},
		"made anew": {func(t *Target) { t.Table.Columns[0].Identity = "9" }, false},
		"dropped":   {func(t *Target) { t.Table.Columns = t.Table.Columns[1:] }, true},
	} {
		l := openLake(t, kvtest.New())
		identified := func(t *Target) {
			t.Table.Columns = slices.Clone(t.Table.Columns)
			for i := range t.Table.Columns {
				t.Table.Columns[i].Identity = fmt.Sprint(i + 1)
			}
		}
		loadNotes(t, l, notesTarget(identified), map[string]note{"a": {K: "a", N: 1}})
		target := notesTarget(identified)
		target.Mode, target.Position = Changes, ""
		c.change(&target)
		if w := follower(t, l, target); (w.Position() != "") != c.goesOn {
			t.Errorf("%s: changes go on behind %q: %v", name, w.Position(), w.Notes())
		}
	}
}

// A writer that goes on for hours sweeps what its table does not need any more, and
// nothing that it may still commit.
func TestAWriterThatGoesOnSweeps(t *testing.T) {
	l := openLake(t, kvtest.New())
	landed(t, l, loading(1, "syn_1", "0/10"), account{1, 1, false}, account{2, 1, false})
	late := time.Duration(0)
	l.now = func() time.Time { return time.Now().Add(late) }
	w := follower(t, l, behindLog(1, "syn_1"))
	held := changed(t, w, false, []int64{1}, account{7, 7, false}) // of a transaction that does not end for long
	for i := range 14 {
		if i >= 12 { // long after, and once more
			late += 2 * retain.Grace
		}
		if err := w.Change(fmt.Sprintf("0/%d", 20+i), changed(t, w, i%3 == 0, []int64{2}, account{3, int64(i), false})); err != nil {
			t.Fatal(err)
		}
		if c, err := w.Commit(t.Context(), nil, false); err != nil || c.SnapshotID == 0 {
			t.Fatal(c, err)
		}
		if i == 8 {
			if m, err := l.Maintain(t.Context(), home, "public", "accounts", true); err != nil || m.Left != "" {
				t.Fatal(m, err)
			}
		}
		if len(w.names) > 8 {
			t.Fatalf("%d names are held after %d commits", len(w.names), i)
		}
	}
	found, err := storage.List(l.files, w.folder+"/data")
	if err != nil || len(found) > 6 {
		t.Errorf("%d parts are there: %v", len(found), err)
	}
	if err := w.Change("0/99", held); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context(), nil, true); err != nil {
		t.Fatal(err)
	}
	holds(t, l, map[int64]int64{3: 13, 7: 7})
}

// What no child of ours has made is refused.
func TestAPartThatDoesNotSayWhatIsKept(t *testing.T) {
	l := openLake(t, kvtest.New())
	landed(t, l, loading(1, "syn_1", "0/10"), account{1, 1, false})
	w := follower(t, l, behindLog(1, "syn_1"))
	for _, layout := range []parts.Layout{w.Layout(), {Schema: arrow.NewSchema(w.Layout().Schema.Fields()[:1], nil)}} {
		rec := accountRows(account{1, 2, false})
		if layout.Schema.NumFields() == 1 {
			rec = accountKeys(1)
		}
		w.follow.batches = nil
		if err := w.Change("0/20", parts.Changes{Kept: encoded(t, w, layout, rec)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(t.Context(), nil, false); !errors.Is(err, ErrStorage) {
			t.Errorf("a part without a mark: %v", err)
		}
		w.failed = nil
	}
}

// Ranges that were read before one position do not go with those before another, and a
// look at a table's position leaves them.
func TestStagedRangesAreOfOnePosition(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := follower(t, l, loading(1, "syn_1", "0/10"))
	part, err := made(t.Context(), w, accountRows(account{1, 1, false}))
	if err == nil {
		err = w.Stage(t.Context(), driver.Range{Token: "a"}, nil, nil, part)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Abort(t.Context())
	follower(t, l, behindLog(2, "syn_1")).Abort(t.Context())
	again := follower(t, l, loading(3, "syn_1", "0/10"))
	if got := again.Staged(); len(got) != 1 {
		t.Errorf("at the same position %v are staged", got)
	}
	again.Abort(t.Context())
	if got := follower(t, l, loading(4, "syn_1", "0/20")).Staged(); len(got) != 0 {
		t.Errorf("at another position %v are staged", got)
	}
}
