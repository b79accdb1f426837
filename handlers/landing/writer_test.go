package landing

import (
	"errors"
	"testing"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
)

func TestIncrementalGoesOnBehindItsCursor(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, incremental(1, "syn_1"))
	if c := w.Cursor(); c.Column != "id" || c.Value != nil {
		t.Fatalf("the first read starts at %+v", c)
	}
	write(t, w, 0, 100)
	first := commit(t, w, behind(99), false)
	if first.Records != 100 || first.Total != 100 || first.Files != 1 || first.Bytes == 0 || first.SnapshotID == 0 {
		t.Errorf("first commit: %+v", first)
	}
	wantIDs(t, l, span(0, 100))
	write(t, w, 100, 150)
	last := commit(t, w, behind(149), true)
	if last.Records != 150 || last.Total != 150 || last.Files != 2 {
		t.Errorf("last commit: %+v", last)
	}
	wantIDs(t, l, span(0, 150))

	w = begin(t, l, incremental(2, "syn_2"))
	if c := w.Cursor(); c.Value == nil || *c.Value != "149" {
		t.Fatalf("the second sync starts at %+v", c)
	}
	if _, finished := w.Finished(); finished {
		t.Error("a new sync is taken for finished")
	}
	nothing := commit(t, w, nil, true)
	if nothing.Records != 0 || nothing.Total != 150 || *nothing.Cursor.Value != "149" {
		t.Errorf("a sync that found nothing: %+v", nothing)
	}
	wantIDs(t, l, span(0, 150))

	again := begin(t, l, incremental(3, "syn_2"))
	if c, finished := again.Finished(); !finished || *c.Cursor.Value != "149" || c.Total != 150 {
		t.Errorf("the next attempt of a finished sync: %+v, %v", c, finished)
	}
}

// The part behind a checkpoint is begun while the checkpoint is committed: if it
// never gets into the table, Abort removes it.
func TestAbortRemovesWhatWasBegunBeforeACommit(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, incremental(1, "syn_1"))
	write(t, w, 0, 100)
	name := w.NextName()
	part, err := w.Files().Create(name)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, w, behind(99), false)
	if err := part.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if parts, _ := files(t, l); len(parts) != 1 {
		t.Errorf("the lake holds %v, want the one part that was committed", parts)
	}
	wantIDs(t, l, span(0, 100))
}

func TestFullRefreshReplaces(t *testing.T) {
	l := openLake(t, kvtest.New())
	for i, n := range []int64{100, 30, 0, 7} {
		w := begin(t, l, full(uint64(i+1), "syn_"+string(rune('a'+i))))
		write(t, w, 0, n)
		before := ids(t, l)
		staged := commit(t, w, nil, false)
		if staged.SnapshotID != 0 || len(ids(t, l)) != len(before) {
			t.Fatalf("a full refresh shows before its end: %+v", staged)
		}
		done := commit(t, w, nil, true)
		if done.Records != n || done.Total != n {
			t.Errorf("refresh %d: %+v", i, done)
		}
		wantIDs(t, l, span(0, n))
		if got, err := l.Count(t.Context(), home, "public", "orders"); err != nil || got != n {
			t.Errorf("count: %d, %v", got, err)
		}
	}
}

// An incremental sync that cannot tell what it has already must not append.
func TestIncrementalWithoutAPlaceToGoOnReplaces(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 100)
	commit(t, w, nil, true)

	w = begin(t, l, incremental(2, "syn_2"))
	if w.Cursor().Value != nil {
		t.Fatalf("a cursor out of nowhere: %+v", w.Cursor())
	}
	write(t, w, 0, 60)
	commit(t, w, behind(59), false)
	wantIDs(t, l, span(0, 100))
	write(t, w, 60, 120)
	if c := commit(t, w, behind(119), true); c.Total != 120 {
		t.Errorf("what replaced 100 rows: %+v", c)
	}
	wantIDs(t, l, span(0, 120))

	w = begin(t, l, incremental(3, "syn_3"))
	write(t, w, 120, 130)
	commit(t, w, behind(129), true)
	wantIDs(t, l, span(0, 130))
}

func TestFullRefreshMayLeaveACursor(t *testing.T) {
	l := openLake(t, kvtest.New())
	target := full(1, "syn_1")
	target.CursorColumn = "id"
	w := begin(t, l, target)
	write(t, w, 0, 50)
	commit(t, w, behind(49), true)
	w = begin(t, l, incremental(2, "syn_2"))
	if c := w.Cursor(); c.Value == nil || *c.Value != "49" {
		t.Fatalf("the cursor of the full refresh is lost: %+v", c)
	}
}

func TestRowsWithoutACursorAreNotCommitted(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, incremental(1, "syn_1"))
	write(t, w, 0, 10)
	// Between rows that share a cursor value there is no place to resume.
	if c := commit(t, w, nil, false); c.SnapshotID != 0 {
		t.Errorf("committed without a cursor: %+v", c)
	}
	wantIDs(t, l, span(0, 0))
	write(t, w, 10, 20)
	commit(t, w, behind(19), false)
	wantIDs(t, l, span(0, 20))
	write(t, w, 20, 30)
	if _, err := w.Commit(t.Context(), nil, true); !errors.Is(err, ErrNoCursor) {
		t.Errorf("rows ended without a cursor: %v", err)
	}
	if _, err := w.Commit(t.Context(), &driver.Cursor{Column: "note"}, true); !errors.Is(err, ErrNoCursor) {
		t.Errorf("a cursor of another column: %v", err)
	}
	commit(t, w, behind(29), true)
	wantIDs(t, l, span(0, 30))
	if _, err := w.Commit(t.Context(), nil, true); !errors.Is(err, ErrClosed) {
		t.Errorf("a commit after the final one: %v", err)
	}
}

func TestBeginRefusesNonsense(t *testing.T) {
	l := openLake(t, kvtest.New())
	for name, c := range map[string]struct {
		change func(*Target)
		want   error
	}{
		"no cursor column":  {func(x *Target) { x.CursorColumn = "" }, ErrNoCursor},
		"unknown column":    {func(x *Target) { x.CursorColumn = "nope" }, ErrNoCursor},
		"no columns":        {func(x *Target) { x.Table.Columns = nil; x.Mode = FullRefresh; x.CursorColumn = "" }, ErrBadTable},
		"nameless column":   {func(x *Target) { x.Table.Columns[1].Name = "" }, ErrBadTable},
		"two of a name":     {func(x *Target) { x.Table.Columns[1].Name = "id" }, ErrBadTable},
		"name that no text": {func(x *Target) { x.Table.Columns[1].Name = "a\xff" }, ErrBadTable},
		"no order":          {func(x *Target) { x.Table.Columns[0].Type = driver.Of(driver.Boolean) }, ErrNoCursor},
	} {
		target := incremental(1, "syn_1")
		c.change(&target)
		if _, err := l.Begin(t.Context(), target); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, incremental(1, "syn_1"))
	write(t, w, 0, 100)
	commit(t, w, behind(99), false)
	write(t, w, 100, 200)
	if _, err := w.Commit(t.Context(), nil, false); err != nil {
		t.Fatal(err)
	}
	write(t, w, 200, 300)
	for range 2 {
		if err := w.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	parts, _ := files(t, l)
	if len(parts) != 1 {
		t.Errorf("after the abort: %v", parts)
	}
	wantIDs(t, l, span(0, 100))
	if err := w.Write(t.Context(), rows(0, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("a write after the abort: %v", err)
	}
}

func TestPartsAreCutBySize(t *testing.T) {
	l := openLake(t, kvtest.New())
	const n = 600_000
	w := begin(t, l, incremental(1, "syn_1"))
	w.size = 100 << 10
	for from := int64(0); from < n; from += 50_000 {
		write(t, w, from, from+50_000)
	}
	c := commit(t, w, behind(n-1), true)
	if c.Files < 3 || c.Files > 12 || c.Records != n {
		t.Errorf("%+v", c)
	}
	parts, _ := files(t, l)
	if len(parts) != c.Files {
		t.Errorf("%d files, %d committed", len(parts), c.Files)
	}
	wantIDs(t, l, span(0, n))
}

// A commit does not wait for the encoder to notice that rows are gone: the
// caller may release its batch as soon as Write returned.
func TestWriteKeepsItsOwnReference(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, full(1, "syn_1"))
	for i := range int64(50) {
		write(t, w, 100*i, 100*i+100)
	}
	commit(t, w, nil, true)
	wantIDs(t, l, span(0, 5000))
}
