package landing

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/parts"
)

func loading(fence uint64, sync, position string) Target {
	return Target{Address: home, Table: accounts(), SyncID: sync, Fence: fence, Mode: FullRefresh, Key: []string{"id"}, Position: position}
}

func behindLog(fence uint64, sync string) Target {
	return Target{Address: home, Table: accounts(), SyncID: sync, Fence: fence, Mode: Changes, Key: []string{"id"}}
}

func follower(t *testing.T, l *Lake, target Target) *Writer {
	t.Helper()
	w, err := l.Begin(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Abort(context.Background()) })
	return w
}

// encoded makes durable parts of a batch, in a layout.
func encoded(t *testing.T, w *Writer, layout parts.Layout, rec arrow.RecordBatch) []parts.Part {
	t.Helper()
	if rec == nil {
		return nil
	}
	enc := parts.Start(parts.Config{Files: w.Files(), Layout: layout, Name: w.NextName, Log: w.lake.log})
	err := enc.Put(t.Context(), rec)
	made, failed := enc.Finish()
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return made
}

func accountKeys(ids ...int64) arrow.RecordBatch {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.AppendValues(ids, nil)
	return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil), []arrow.Array{b.NewArray()}, int64(len(ids)))
}

// changed makes one batch of changes.
func changed(t *testing.T, w *Writer, truncated bool, gone []int64, rows ...account) parts.Changes {
	t.Helper()
	c := parts.Changes{Truncated: truncated}
	if len(rows) > 0 {
		c.Rows = encoded(t, w, w.Layout(), accountRows(rows...))
	}
	if len(gone) > 0 {
		c.Gone = encoded(t, w, parts.Layout{Schema: arrow.NewSchema(w.Layout().Schema.Fields()[:1], nil)}, accountKeys(gone...))
	}
	return c
}

func landed(t *testing.T, l *Lake, target Target, all ...account) Committed {
	t.Helper()
	w := begin(t, l, target)
	put(t, w, all...)
	return commit(t, w, nil, true)
}

// holds compares what readers see, by id, with versions.
func holds(t *testing.T, l *Lake, want map[int64]int64) {
	t.Helper()
	seen, err := readers(t.Context(), l, "accounts")
	if err != nil {
		t.Fatal(err)
	}
	got := map[int64]int64{}
	for id, versions := range seen {
		if len(versions) != 1 {
			t.Errorf("%d is there %d times", id, len(versions))
		}
		got[id] = versions[0]
	}
	if !maps.Equal(got, want) {
		t.Fatalf("readers see %v, want %v", got, want)
	}
}

// A load notes its position; changes go on from there, in commits that note theirs.
func TestChangesFollowALoad(t *testing.T) {
	l := openLake(t, kvtest.New())
	if w := follower(t, l, behindLog(1, "syn_1")); w.Position() != "" {
		t.Fatalf("a table that never landed is complete up to %q", w.Position())
	}
	landed(t, l, loading(1, "syn_1", "0/10"), account{1, 1, false}, account{2, 1, false}, account{3, 1, false})
	w := follower(t, l, behindLog(1, "syn_1"))
	if _, finished := w.Finished(); finished || w.Position() != "0/10" {
		t.Fatalf("after the load: position %q, finished %t", w.Position(), finished)
	}
	if err := w.Change("0/20", changed(t, w, false, []int64{2}, account{1, 2, false}, account{4, 1, false}), changed(t, w, false, []int64{4}, account{2, 5, false})); err != nil {
		t.Fatal(err)
	}
	w.At("0/20", time.Unix(1000, 0))
	c, err := w.Commit(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, l, map[int64]int64{1: 2, 2: 5, 3: 1})
	if c.Total != 3 || c.Records != 8 || c.Deleted != 2 {
		t.Errorf("committed %+v", c)
	}
	at, s := w.Position(), c.SnapshotID
	if c, err = w.Commit(t.Context(), nil, false); err != nil || at != "0/20" || c.SnapshotID != s {
		t.Errorf("a commit of nothing at %q made snapshot %d of %d: %v", at, c.SnapshotID, s, err)
	}
	if err := w.Change("0/30", changed(t, w, false, nil, account{7, 7, false}), changed(t, w, true, nil, account{9, 9, false}), changed(t, w, false, []int64{9}, account{8, 8, false})); err != nil {
		t.Fatal(err)
	}
	if c, err = w.Commit(t.Context(), nil, true); err != nil || c.Total != 1 {
		t.Fatal(c, err)
	}
	holds(t, l, map[int64]int64{8: 8})
	again := follower(t, l, behindLog(1, "syn_1"))
	if _, finished := again.Finished(); !finished || again.Position() != "0/30" {
		t.Errorf("after the end: position %q, finished %t", again.Position(), finished)
	}
	next := follower(t, l, behindLog(2, "syn_2"))
	if _, finished := next.Finished(); finished || next.Position() != "0/30" {
		t.Errorf("the next sync: position %q, finished %t", next.Position(), finished)
	}
}

// What no change may be applied to is to be read whole.
func TestWhatIsToBeReadWhole(t *testing.T) {
	other := accounts()
	other.Identity = "another"
	retyped := accounts()
	retyped.Columns[1].Type.Kind++
	for name, change := range map[string]func(*Target){
		"reset":    func(t *Target) { t.Reset = true },
		"key":      func(t *Target) { t.Key = []string{"id", "version"} },
		"soft":     func(t *Target) { t.Soft = true },
		"log":      func(t *Target) { t.Log = true },
		"identity": func(t *Target) { t.Table = other },
		"retyped":  func(t *Target) { t.Table = retyped },
	} {
		l := openLake(t, kvtest.New())
		first := loading(1, "syn_1", "0/10")
		first.Table.Identity = "one"
		landed(t, l, first, account{1, 1, false})
		target := behindLog(2, "syn_2")
		if change(&target); target.Table.Identity == "" {
			target.Table.Identity = "one"
		}
		w := follower(t, l, target)
		if w.Position() != "" {
			t.Errorf("%s: changes go on behind %q", name, w.Position())
		}
		if err := w.Change("0/20"); err == nil {
			t.Errorf("%s: changes are taken", name)
		}
		w.Abort(t.Context())
		same := behindLog(2, "syn_2")
		same.Table.Identity = "one"
		if w := follower(t, l, same); w.Position() != "0/10" {
			t.Errorf("%s: what had landed is lost", name)
		}
	}
}

// A sync of another kind breaks the chain.
func TestOtherSyncsClearThePosition(t *testing.T) {
	for name, target := range map[string]Target{"full": full(2, "syn_2"), "incremental": merging(2, "syn_2")} {
		l := openLake(t, kvtest.New())
		landed(t, l, loading(1, "syn_1", "0/10"), account{1, 1, false})
		target.Table = accounts()
		landed(t, l, target, account{1, 2, false})
		if w := follower(t, l, behindLog(3, "syn_3")); w.Position() != "" {
			t.Errorf("after a sync of mode %s changes go on behind %q", name, w.Position())
		}
	}
}
