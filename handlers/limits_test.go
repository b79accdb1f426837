package handlers

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
	"headwater/handlers/readmodel"
	"headwater/projections"
)

// A source that hangs is ended by whichever limit comes first, and told so; what
// was committed before stays.
func TestLimitsEndAHangingSource(t *testing.T) {
	for name, c := range map[string]struct {
		options command.SyncOptions
		idle    time.Duration
		says    string
	}{
		"idle":     {command.SyncOptions{}, time.Second, "the source sent nothing for 1s, the idle limit; sync_options.idle_timeout raises it"},
		"timeout":  {command.SyncOptions{Timeout: "900ms"}, time.Hour, "the sync took longer than sync_options.timeout, 900ms"},
		"of table": {command.SyncOptions{TableLimit: "400ms"}, time.Hour, "the table took longer than sync_options.table_timeout, 400ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := quick()
			o.IdleLimit, o.TableRetries, o.CommitBytes = c.idle, -1, 100
			w := newWorld(t, o)
			w.connect()
			w.source.put("orders", 50)
			warm := command.SyncOptions{Mode: landing.Incremental, BatchSize: 10}
			w.completes(warm)
			w.source.put("orders", 100)
			_, release := w.hold(3)
			defer release()
			c.options.Mode, c.options.BatchSize = landing.Incremental, 10
			w.do(w.syncCommand(c.options))
			failed := last[*event.SyncFailed](w)
			r := failed.Tables[0]
			if failed.Reason != event.ReasonTimeout || r.Reason != event.ReasonTimeout || r.Message != c.says || !strings.Contains(failed.Message, c.says) {
				t.Errorf("%s: %s; the table: %s: %s", failed.Reason, failed.Message, r.Reason, r.Message)
			}
			w.wantPrefix("orders", 50, 80)
		})
	}
}

// completes syncs until a sync completes: on a busy machine a short limit may end one.
func (w *world) completes(o command.SyncOptions) {
	w.t.Helper()
	for range 20 {
		op := w.do(w.syncCommand(o))
		if op.Status == projections.StatusCompleted {
			return
		}
		w.t.Logf("it is tried again: %+v", op.Targets)
	}
	w.t.Fatal("no sync completes")
}

func TestCancelEndsAHangingReadSoon(t *testing.T) {
	o := quick()
	o.CommitBytes, o.IdleLimit, o.Grace = 100, time.Hour, time.Hour // none of which is waited for
	w := newWorld(t, o)
	w.connect()
	reached, release := w.hold(3)
	defer release()
	c := w.syncCommand(command.SyncOptions{Mode: landing.Incremental, BatchSize: 10})
	w.send(c)
	<-reached
	w.send(w.cancelCommand(c))
	if op := w.ended(c); op.Status != projections.StatusCancelled {
		t.Errorf("%+v", op.Targets)
	}
	w.idle()
	w.wantPrefix("orders", 0, 30)
	release()
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental, BatchSize: 10}))
	w.wantLanded("orders", 0, 100)
}

// While rows flow, and when they stop, a table tells how far it is.
func TestProgressTellsOfRowsAndOfSilence(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	reached, release := w.hold(3)
	defer release()
	c := w.syncCommand(command.SyncOptions{BatchSize: 10})
	w.send(c)
	<-reached
	var waiting event.TableResult
	w.eventually("the silence to be told of", func() bool {
		for _, e := range w.events(w.address) {
			if p, ok := e.Data.(*event.SyncProgressed); ok && p.Table.WaitingSince != nil && p.Table.RowsRead == 30 { // with fewer, the reader was slow
				waiting = p.Table
				return true
			}
		}
		return false
	})
	if waiting.Records != 0 || waiting.Estimate == nil || *waiting.Estimate != 100 || waiting.LastRowAt == nil || waiting.WaitingSince.After(time.Now()) {
		t.Errorf("%+v", waiting)
	}
	release()
	w.ended(c)
	done := last[*event.SyncCompleted](w).Tables[0]
	if done.WaitingSince != nil || done.RowsRead != 100 || done.Records != 100 || done.Rate == 0 {
		t.Errorf("%+v", done)
	}
	if begun := last[*event.SyncStarted](w); len(begun.Estimates) != 1 || begun.Estimates[0] != 100 {
		t.Errorf("%+v", begun)
	}
}

func TestExcludedColumnsAreNeitherReadNorLanded(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	w.do(w.syncCommand(command.SyncOptions{Columns: map[string]command.Columns{"public.*": {Exclude: []string{"no*"}}}}))
	columns, rows, err := w.lake.Preview(t.Context(), w.address, "public", "orders", 1)
	if err != nil || len(columns) != 1 || columns[0].Name != "id" || len(rows) != 1 {
		t.Errorf("%v %v %v", columns, rows, err)
	}
}

// A workspace that sends very many syncs does not keep another's waiting.
func TestSyncsTakeTurns(t *testing.T) {
	o := quick()
	o.Concurrency, o.SyncsPerWorkspace = map[string]int{"SyncSource": 2}, 1
	w := newWorld(t, o)
	many := 200
	if testing.Short() {
		many = 60
	}
	gate := &gatedState{State: w.handlers.histories.State, step: make(chan struct{})}
	w.handlers.histories.State = gate
	begin := func(workspace string, n int) *command.SyncSource {
		c := w.syncCommand(command.SyncOptions{})
		a := w.address
		a.Workspace, a.Source = workspace, fmt.Sprintf("src_%d", n) // not connected: rejected when its turn comes
		c.Meta.Meta = event.At(a, c.Operation)
		w.send(c)
		return c
	}
	var all []*command.SyncSource
	for n := range many {
		all = append(all, begin("a", n))
	}
	b := begin("b", 0)
	ended := func(c *command.SyncSource) bool {
		op, err := w.store.Operation("acme", c.WorkspaceID, c.Operation.ID)
		return err == nil && op.Ended()
	}
	for deadline := time.Now().Add(patience); !ended(b); {
		select {
		case gate.step <- struct{}{}:
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("b still waits after the turns of %v", gate.passed())
		}
	}
	// The turns before its own: that it has ended may be known later.
	if turns := slices.Index(gate.passed(), "b"); turns < 0 || turns > 12 {
		t.Errorf("b waited for %d turns: %v", turns, gate.passed())
	}
	close(gate.step)
	for _, c := range all {
		if op := w.ended(c); op.Targets[0].Reason != event.ReasonNotFound && op.Targets[0].Reason != event.ReasonSourceRemoved {
			t.Fatalf("%+v", op.Targets)
		}
	}
}

// gatedState lets each sync look at its source when it is told to.
type gatedState struct {
	readmodel.State
	step chan struct{}
	mu   sync.Mutex
	of   []string // the workspaces of those that were let look
}

func (g *gatedState) Source(a event.Address) (readmodel.Source, error) {
	if strings.HasPrefix(a.Source, "src_") && len(a.Source) < 10 {
		<-g.step
		g.mu.Lock()
		g.of = append(g.of, a.Workspace)
		g.mu.Unlock()
	}
	return g.State.Source(a)
}

func (g *gatedState) passed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.of)
}
