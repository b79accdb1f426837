package handlers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/projections"
)

func TestSyncLandsEveryTable(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("customers", 7)
	w.source.put("empty", 0)
	w.connect()
	c := w.syncCommand(command.SyncOptions{BatchSize: 10})
	if op := w.do(c); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	w.wantLanded("orders", 0, 100)
	w.wantLanded("customers", 0, 7)
	w.wantLanded("empty", 0, 0)
	w.wantOutcomes("SourceConnected", "SchemaDiscovered", "SyncStarted", "SyncCompleted")
	done := last[*event.SyncCompleted](w)
	if done.Status != "completed" || done.Records != 107 || done.Bytes == 0 || len(done.Tables) != 3 || !done.Operation.Final || done.SyncID != c.SyncID {
		t.Errorf("%+v", done)
	}
	started := last[*event.SyncStarted](w)
	if started.Attempt != 1 || started.Mode != landing.FullRefresh || len(started.Tables) != 3 {
		t.Errorf("%+v", started)
	}
	checkpoints := 0
	name := last[*event.SourceConnected](w).Name
	for _, e := range w.events(w.address) {
		if got := e.Data.Header().SourceName; got != name || name == "" {
			t.Errorf("%s says that the source is %q, not %q", e.Name(), got, name)
		}
		if p, ok := e.Data.(*event.SyncProgressed); ok && p.Table.Status == tableCompleted {
			checkpoints++
		}
	}
	if checkpoints != 3 {
		t.Errorf("%d tables were told of as committed", checkpoints)
	}
	w.idle()
	w.source.memory.AssertSize(t, 0)

	w.source.put("orders", 40)
	w.do(w.syncCommand(command.SyncOptions{}))
	w.wantLanded("orders", 0, 40)
}

func TestSyncGoesOnBehindTheCursor(t *testing.T) {
	o := quick()
	o.CommitBytes = 200 // two batches
	w := newWorld(t, o)
	w.connect()
	options := command.SyncOptions{Mode: landing.Incremental, BatchSize: 10}
	w.do(w.syncCommand(options))
	w.wantLanded("orders", 0, 100)
	done := last[*event.SyncCompleted](w)
	if r := done.Tables[0]; r.Cursor != "99" || r.CursorName != "id" || r.Mode != landing.Incremental || r.Files != 5 || r.Records != 100 {
		t.Errorf("%+v", r)
	}

	w.source.put("orders", 130)
	w.do(w.syncCommand(options))
	w.wantLanded("orders", 0, 130)
	if done := last[*event.SyncCompleted](w); done.Records != 30 {
		t.Errorf("%+v", done)
	}
	w.do(w.syncCommand(options))
	w.wantLanded("orders", 0, 130)
	if done := last[*event.SyncCompleted](w); done.Records != 0 || done.Tables[0].Cursor != "129" {
		t.Errorf("nothing new: %+v", done)
	}
	if w.source.sent("orders") != 130 {
		t.Errorf("%d rows were read for 130", w.source.sent("orders"))
	}
}

// Whatever step a worker dies at, and however often, nothing is lost, nothing
// is landed twice, and the sync ends once.
func TestSyncSurvivesItsWorker(t *testing.T) {
	steps := []struct {
		name string
		nth  int
	}{
		{"appended SyncStarted", 1}, {"wrote", 1}, {"wrote", 7}, {"wrote", 13}, {"committed", 1}, {"committed", 2},
		{"appended SyncProgressed", 1}, {"checkpointed", 1}, {"checkpointed", 2}, {"appended SyncCompleted", 1},
	}
	for _, mode := range []string{landing.FullRefresh, landing.Incremental} {
		for _, step := range steps {
			t.Run(fmt.Sprintf("%s/%s %d", mode, step.name, step.nth), func(t *testing.T) {
				o := quick()
				o.CommitBytes, o.TableParallelism = 200, 1
				w := newWorld(t, o)
				w.source.put("customers", 50)
				w.connect()
				w.seams.kill(step.name, step.nth)
				c := w.syncCommand(command.SyncOptions{Mode: mode, BatchSize: 10})
				if op := w.do(c); op.Status != projections.StatusCompleted {
					t.Fatalf("%+v", op.Targets)
				}
				w.idle()
				w.wantLanded("orders", 0, 100)
				w.wantLanded("customers", 0, 50)
				if w.seams.killed() != 1 {
					t.Error("nothing was killed")
				}
				done := last[*event.SyncCompleted](w)
				if done.Status != "completed" || done.Records != 150 {
					t.Errorf("%+v", done)
				}
				want := []string{"SourceConnected", "SchemaDiscovered", "SyncStarted", "SyncStarted", "SyncCompleted"}
				if step.name == "appended SyncCompleted" {
					want = slices.Delete(want, 3, 4)
				}
				w.wantOutcomes(want...)
				if want := len(want) - 4 + 1; last[*event.SyncStarted](w).Attempt != want {
					t.Errorf("attempt %d, want %d", last[*event.SyncStarted](w).Attempt, want)
				}
				w.do(w.syncCommand(command.SyncOptions{Mode: mode, BatchSize: 10}))
				w.wantLanded("orders", 0, 100)
			})
		}
	}
}

func TestSyncSkipsWhatAnEarlierAttemptFinished(t *testing.T) {
	o := quick()
	o.TableParallelism = 1
	w := newWorld(t, o)
	w.source.put("customers", 50)
	w.connect()
	w.seams.kill("checkpointed", 1)
	w.do(w.syncCommand(command.SyncOptions{BatchSize: 10}))
	if w.source.sent("orders") != 100 || w.source.sent("customers") != 50 {
		t.Errorf("read %d of 100 and %d of 50", w.source.sent("orders"), w.source.sent("customers"))
	}
	if done := last[*event.SyncCompleted](w); done.Records != 150 {
		t.Errorf("%+v", done)
	}
}

func TestFailingTableLeavesTheOthers(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("secret", 5)
	w.source.put("bad", 5)
	w.source.onBatch = func(_ context.Context, table string, _ int) error {
		switch table {
		case "secret":
			return driver.E(driver.ErrPermission, nil, "permission denied for table secret")
		case "bad":
			panic("a driver's panic")
		}
		return nil
	}
	w.connect()
	op := w.do(w.syncCommand(command.SyncOptions{}))
	if op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	done := last[*event.SyncCompleted](w)
	if done.Status != "partial" || done.Records != 100 {
		t.Errorf("%+v", done)
	}
	for _, r := range done.Tables {
		if r.Name == "secret" && (r.Status != tableFailed || r.Reason != event.ReasonPermission || r.Message != "permission denied for table secret") ||
			r.Name == "bad" && (r.Status != tableFailed || r.Reason != event.ReasonBadData) || r.Name == "orders" && r.Status != tableCompleted {
			t.Errorf("%+v", r)
		}
	}

	w.do(w.syncCommand(command.SyncOptions{Tables: []string{"secret"}}))
	if failed := last[*event.SyncFailed](w); failed.Reason != event.ReasonPermission || !strings.Contains(failed.Message, "public.secret") || len(failed.Tables) != 1 {
		t.Errorf("%+v", failed)
	}
	w.idle()
	w.source.memory.AssertSize(t, 0)
}

func TestPassingFailuresAreTriedAgain(t *testing.T) {
	for _, mode := range []string{landing.FullRefresh, landing.Incremental} {
		o := quick()
		o.CommitBytes = 200
		w := newWorld(t, o)
		w.connect()
		var left, storage atomic.Int64
		left.Store(2)
		w.source.onBatch = func(_ context.Context, _ string, batch int) error {
			if batch == 3 && left.Add(-1) >= 0 {
				return driver.E(driver.ErrUnreachable, nil, "connection reset")
			}
			return nil
		}
		w.faults.commit = func(string, bool) error {
			if storage.Add(1) == 1 {
				return fmt.Errorf("%w: disk full", landing.ErrStorage)
			}
			return nil
		}
		w.do(w.syncCommand(command.SyncOptions{BatchSize: 10, Mode: mode}))
		w.wantLanded("orders", 0, 100)
		if done := last[*event.SyncCompleted](w); done.Status != "completed" || done.Records != 100 {
			t.Errorf("%+v", done)
		}

		left.Store(1000)
		w.source.put("orders", 200)
		w.do(w.syncCommand(command.SyncOptions{BatchSize: 10, Mode: mode}))
		if failed := last[*event.SyncFailed](w); failed.Reason != event.ReasonUnreachable {
			t.Errorf("%+v", failed)
		}
	}
}

func TestSyncOptionsThatCannotBeMet(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	for _, c := range []struct {
		options command.SyncOptions
		reason  event.Reason
		says    string
	}{
		{command.SyncOptions{Tables: []string{"order", "nosuch*"}}, event.ReasonNotFound, `none of the tables of sync_options.tables is there: order (the source has no such table, and nothing of one has landed), nosuch* (`},
		{command.SyncOptions{Tables: []string{"[a"}}, event.ReasonNotFound, `is there: [a (`},
		{command.SyncOptions{Exclude: []string{"*"}}, event.ReasonInvalidConfig, `exclude: leaves no table to sync`},
		{command.SyncOptions{Reset: []string{"nosuch"}}, event.ReasonNotFound, `reset[0]: no table matches "nosuch"; the source has public.orders`},
		{command.SyncOptions{Mode: "merge"}, event.ReasonInvalidConfig, `sync_options.mode: is "merge"`},
		{command.SyncOptions{Mode: "incremental", CursorField: map[string]string{"orders": "when"}}, event.ReasonInvalidConfig, `no column "when"`},
		{command.SyncOptions{Mode: "incremental", CursorField: map[string]string{"people": "id"}}, event.ReasonNotFound, `no table "people"`},
	} {
		op := w.do(w.syncCommand(c.options))
		got := op.Targets[0]
		if got.Status != projections.StatusFailed || got.Reason != c.reason || !strings.Contains(got.Message, c.says) {
			t.Errorf("%+v: %+v", c.options, got)
		}
	}
	if w.source.sent("orders") != 0 {
		t.Error("rows were read")
	}
	if w.landed("orders") != nil {
		t.Error("a table was made")
	}
}

func TestIncrementalWithoutAColumnToGoBy(t *testing.T) {
	w := newWorld(t, quick())
	w.source.mu.Lock()
	w.source.tables[0].Cursor = ""
	w.source.mu.Unlock()
	w.connect()
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	if r := last[*event.SyncCompleted](w).Tables[0]; r.Mode != landing.FullRefresh || !strings.Contains(r.Message, "cursor_columns") {
		t.Errorf("%+v", r)
	}
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental, CursorField: map[string]string{"public.orders": "id"}}))
	if r := last[*event.SyncCompleted](w).Tables[0]; r.Mode != landing.Incremental || r.Cursor != "99" {
		t.Errorf("%+v", r)
	}
	w.wantLanded("orders", 0, 100)
}

func TestSyncTellsOfAChangedSchema(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	w.source.put("orders", 100, column("price", driver.Float64))
	w.do(w.syncCommand(command.SyncOptions{}))
	w.wantOutcomes("SourceConnected", "SchemaDiscovered", "SyncStarted", "SchemaDiscovered", "SyncCompleted")
	if e := last[*event.SchemaDiscovered](w); e.Version != 2 || e.Cause != "sync" || e.SyncID == "" || e.Operation.Final ||
		!slices.Equal(e.Diff.Added, []string{"public.orders.price"}) {
		t.Errorf("%+v", e)
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	if e := last[*event.SchemaDiscovered](w); e.Version != 2 {
		t.Errorf("a new version without a change: %+v", e)
	}
}

// A column whose type was found in a sample is read as what it was landed as,
// and the outcome says so.
func TestSampledColumnStaysAsItLanded(t *testing.T) {
	w := newWorld(t, quick())
	sampled := func(kind driver.Kind) driver.Column {
		return driver.Column{Name: "extra", Type: driver.Of(kind), SourceType: "x", Nullable: true, Sampled: true}
	}
	w.source.put("orders", 100, sampled(driver.JSON))
	w.connect()
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	w.source.put("orders", 150, sampled(driver.Int64)) // which lands as JSON, not as int64
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	r := last[*event.SyncCompleted](w).Tables[0]
	if r.Records != 50 || !strings.Contains(r.Message, `column "extra" stays json, as it was landed before, and is int64 now`) {
		t.Errorf("%+v", r)
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	if r := last[*event.SyncCompleted](w).Tables[0]; r.Status != tableCompleted || r.Message != "" {
		t.Errorf("a full refresh: %+v", r)
	}
}

func TestSyncOfNothing(t *testing.T) {
	w := newWorld(t, quick())
	if op := w.do(w.syncCommand(command.SyncOptions{})); op.Targets[0].Reason != event.ReasonSourceRemoved {
		t.Errorf("a source that never was: %+v", op.Targets)
	}
	w.source.mu.Lock()
	w.source.dropLocked("orders")
	w.source.mu.Unlock()
	w.connect()
	if op := w.do(w.syncCommand(command.SyncOptions{})); op.Status != projections.StatusFailed || op.Targets[0].Reason != event.ReasonNotFound {
		t.Errorf("a source without tables: %+v", op.Targets)
	}
}

// A source that lost tables is told of: one of them beside the others, all of
// them as a failure that leaves the schema as it was known.
func TestSyncWhoseTablesAreGone(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("carts", 5)
	w.connect()
	w.do(w.syncCommand(command.SyncOptions{}))
	gone := func(table string) {
		w.source.mu.Lock()
		defer w.source.mu.Unlock()
		w.source.dropLocked(table)
		delete(w.source.rows, table)
	}
	gone("carts")
	w.do(w.syncCommand(command.SyncOptions{Tables: []string{"orders"}}))
	if e := last[*event.SyncCompleted](w); len(e.Tables) != 1 {
		t.Errorf("a table that the sync does not take: %+v", e.Tables)
	}
	w.source.put("carts", 5)
	w.do(w.syncCommand(command.SyncOptions{}))
	gone("carts")
	w.do(w.syncCommand(command.SyncOptions{}))
	e := last[*event.SyncCompleted](w)
	if e.Status != "completed" || len(e.Tables) != 2 || e.Tables[0].Status != "completed" {
		t.Fatalf("one table is gone: %+v", e)
	}
	if r := e.Tables[1]; r.Name != "carts" || r.Namespace != "public" || r.Status != "skipped" || r.Reason != event.ReasonNotFound || !strings.Contains(r.Message, "no longer") {
		t.Errorf("the table that is gone: %+v", r)
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	if e := last[*event.SyncCompleted](w); len(e.Tables) != 2 || e.Tables[1].Status != "skipped" {
		t.Errorf("what lies in the lake of it is told of once: %+v", e.Tables)
	}
	w.do(w.syncCommand(command.SyncOptions{Exclude: []string{"carts"}}))
	if e := last[*event.SyncCompleted](w); len(e.Tables) != 1 {
		t.Errorf("it is excluded: %+v", e.Tables)
	}
	w.do(w.syncCommand(command.SyncOptions{Tables: []string{"carts", "orders", "new"}, Mode: "incremental", CursorField: map[string]string{"carts": "id"}, Reset: []string{"car*"}}))
	if e := last[*event.SyncCompleted](w); e.Status != "completed" || len(e.Tables) != 3 || e.Tables[0].Name != "orders" || e.Tables[1].Name != "carts" || e.Tables[2].Name != "new" || e.Tables[2].Status != "skipped" {
		t.Errorf("named beside another: %+v", e)
	}
	w.do(w.syncCommand(command.SyncOptions{Tables: []string{"carts"}}))
	if e := last[*event.SyncFailed](w); e.Reason != event.ReasonNotFound || !strings.Contains(e.Message, "public.carts (the source no longer shows this table") || len(e.Tables) != 1 {
		t.Errorf("named alone: %+v", e)
	}
	version := last[*event.SchemaDiscovered](w).Version

	gone("orders")
	if op := w.do(w.syncCommand(command.SyncOptions{})); op.Status != projections.StatusFailed {
		t.Fatalf("no table is left: %+v", op)
	}
	if e := last[*event.SyncFailed](w); e.Reason != event.ReasonNotFound || !strings.Contains(e.Message, "public.orders") || !strings.Contains(e.Message, "grants") {
		t.Errorf("no table is left: %+v", e)
	}
	if last[*event.SchemaDiscovered](w).Version != version {
		t.Error("the schema was replaced by an empty one")
	}
	w.source.put("orders", 100)
	if op := w.do(w.syncCommand(command.SyncOptions{Tables: []string{"orders"}})); op.Status != projections.StatusCompleted {
		t.Errorf("the table is back: %+v", op.Targets)
	}
}

func TestSyncThatTakesTooLong(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("quick", 5)
	w.connect()
	w.source.onBatch = func(ctx context.Context, table string, batch int) error {
		if table == "orders" && batch == 2 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	var done *event.SyncCompleted
	// The quick table lands before the deadline; on a busy machine, before a later one.
	for limit := 3 * time.Second; limit <= 2*patience && done == nil; limit *= 3 {
		c := w.syncCommand(command.SyncOptions{BatchSize: 10})
		c.Deadline = time.Now().Add(limit)
		w.do(c)
		if names := w.outcomes(w.address); names[len(names)-1] == "SyncCompleted" {
			done = last[*event.SyncCompleted](w)
		}
	}
	if done == nil {
		t.Fatalf("no sync landed the quick table: %v", w.outcomes(w.address))
	}
	if done.Status != "partial" || done.Records != 5 {
		t.Errorf("%+v", done)
	}
	for _, r := range done.Tables {
		if r.Name == "orders" && r.Reason != event.ReasonTimeout {
			t.Errorf("%+v", r)
		}
	}
}

func TestSilentSourceIsCut(t *testing.T) {
	o := quick()
	o.IdleLimit, o.TableRetries = 100*time.Millisecond, -1
	w := newWorld(t, o)
	w.connect()
	_, release := w.hold(2)
	defer release()
	if op := w.do(w.syncCommand(command.SyncOptions{BatchSize: 10})); op.Targets[0].Reason != event.ReasonTimeout {
		t.Errorf("%+v", op.Targets)
	}
}

// A source may take the end of its context for the end of its rows: what it sent
// until then is not the table.
func TestCutReadIsNoEnd(t *testing.T) {
	o := quick()
	o.IdleLimit, o.TableRetries = 500*time.Millisecond, -1
	w := newWorld(t, o)
	w.connect()
	w.completes(command.SyncOptions{})
	w.faults.deaf = true
	w.source.put("orders", 200)
	w.source.onBatch = func(ctx context.Context, _ string, batch int) error {
		if batch < 5 {
			return nil
		}
		<-ctx.Done()
		return errEnd
	}
	for _, mode := range []string{landing.FullRefresh, landing.Incremental} {
		if op := w.do(w.syncCommand(command.SyncOptions{BatchSize: 10, Mode: mode})); op.Targets[0].Reason != event.ReasonTimeout {
			t.Errorf("%s: %+v", mode, op.Targets)
		}
		w.wantLanded("orders", 0, 100)
	}
}

func TestProgressWhileRowsFlow(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	var once atomic.Bool
	w.source.onBatch = func(ctx context.Context, _ string, batch int) error {
		if batch != 5 || !once.CompareAndSwap(false, true) {
			return nil
		}
		for ctx.Err() == nil { // until somebody was told of the rows so far
			sync, err := w.store.Sync("acme", "w1", "syn_watched")
			if err == nil && sync.Records > 0 {
				return nil
			}
			time.Sleep(2 * time.Millisecond)
		}
		return ctx.Err()
	}
	c := w.syncCommand(command.SyncOptions{BatchSize: 10})
	c.SyncID = "syn_watched"
	w.do(c)
	w.wantLanded("orders", 0, 100)
}

func TestSyncOutlivesATroubledHistory(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	var failures atomic.Int64
	w.faults.append = func(e *event.Event) error {
		if e.Name() == "SyncCompleted" && failures.Add(1) <= 2 {
			return errors.New("no answer")
		}
		return nil
	}
	if op := w.do(w.syncCommand(command.SyncOptions{})); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	if got := w.source.sent("orders"); got != 100 {
		t.Errorf("%d rows were read for 100", got)
	}
	w.wantLanded("orders", 0, 100)
}
