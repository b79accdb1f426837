package handlers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/handlers/schedule"
	"headwater/handlers/sourcelog"
	"headwater/projections"
)

// newLog returns a world whose source is a log, connected.
func newLog(t *testing.T, o Options, tables ...string) (*world, *logged) {
	t.Helper()
	o.PositionEvery, o.HeartbeatEvery = time.Nanosecond, 50*time.Millisecond
	w := newWorld(t, o)
	l := newLogged(tables...)
	w.handlers.inspector.Connectors = l
	w.connect()
	return w, l
}

func capturing(more ...string) command.SyncOptions {
	return command.SyncOptions{Mode: command.Capture, Reset: more, Maintenance: command.MaintenanceOff}
}

// holds returns what lies in the lake of a table, by id.
func (w *world) holds(table string) map[int64]string {
	w.t.Helper()
	_, rows, err := w.lake.Preview(w.t.Context(), w.address, "public", table, 100_000)
	if errors.Is(err, landing.ErrNoTable) {
		return map[int64]string{}
	}
	w.check(err)
	all := map[int64]string{}
	for _, r := range rows {
		var id int64
		_, err := fmt.Sscan(fmt.Sprint(r[0]), &id)
		w.check(err)
		if _, twice := all[id]; twice {
			w.t.Errorf("%s holds %d twice", table, id)
		}
		all[id] = fmt.Sprint(r[1])
	}
	return all
}

func (w *world) wantEqual(l *logged) {
	w.t.Helper()
	for name, rows := range l.all() {
		if got := w.holds(name); !maps.Equal(got, rows) {
			w.t.Errorf("%s holds %v, the source %v", name, got, rows)
		}
	}
}

// A first sync reads tables whole and takes the log up before it does; the next
// ones land what has changed, and nothing else is read.
func TestChangesLandBehindTheFirstRead(t *testing.T) {
	w, l := newLog(t, quick(), "orders", "carts")
	for id := range int64(5) {
		l.do("orders", driver.OpInsert, id, notesText(id))
	}
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	done := last[*event.SyncCompleted](w)
	if done.Changes == nil || done.Changes.Position != "5" || done.Changes.FreshUntil == nil || done.Mode != "cdc" {
		t.Fatalf("the first sync: %+v", done.Changes)
	}

	l.do("orders", driver.OpUpdate, 1, "changed")
	l.do("orders", driver.OpDelete, 2, "")
	l.do("orders", driver.OpInsert, 9, "new")
	l.do("carts", driver.OpInsert, 1, "a cart")
	before := time.Now()
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	done = last[*event.SyncCompleted](w)
	orders := done.Tables[slices.IndexFunc(done.Tables, func(r event.TableResult) bool { return r.Name == "orders" })]
	if orders.Inserted != 1 || orders.Updated != 1 || orders.Deleted != 1 || orders.Position == "" || orders.Mode != "cdc" || *orders.Total != 5 {
		t.Errorf("orders: %+v", orders)
	}
	if orders.FreshUntil == nil || orders.FreshUntil.Before(before) {
		t.Errorf("orders is fresh until %v, the sync began after %v", orders.FreshUntil, before)
	}
	if c := l.captures[len(l.captures)-1]; c.Landed != "5" || slices.ContainsFunc(c.Tables, func(t driver.CapturedTable) bool { return t.After == "" }) {
		t.Errorf("the second capture: %+v", c)
	}
	s, err := w.store.Source(w.address)
	w.check(err)
	if s.Changes == nil || s.Changes.Position != "9" || l.readers[sourcelog.ReaderOf(w.address)] != 9 {
		t.Errorf("the source stands at %+v, its server has %v", s.Changes, l.readers)
	}
	// Nothing new stays nothing.
	w.do(w.syncCommand(capturing()))
	if got := last[*event.SyncCompleted](w); got.Records != 0 || got.Status != "completed" {
		t.Errorf("nothing new: %d records, %s", got.Records, got.Status)
	}
	l.do("carts", driver.OpTruncate, 0, "")
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
}

// A worker that dies anywhere is followed by one that loses and doubles nothing.
func TestChangesSurviveEveryStep(t *testing.T) {
	for _, step := range []string{"captured", "wrote", "committed", "appended ChangesLanded", "checkpointed", "confirmed"} {
		t.Run(step, func(t *testing.T) {
			w, l := newLog(t, quick(), "orders", "carts")
			for id := range int64(4) {
				l.do("orders", driver.OpInsert, id, notesText(id))
			}
			for n := range 2 {
				w.seams.kill(step, 2)
				w.do(w.syncCommand(capturing()))
				w.idle()
				w.wantEqual(l)
				for id := range int64(8) {
					l.do("orders", driver.OpUpdate, id, fmt.Sprintf("round %d of %d", n, id))
					l.do("carts", driver.OpInsert, int64(n)*100+id, "x")
				}
				l.do("orders", driver.OpDelete, 3, "")
			}
			w.seams.kill(step, 1)
			w.do(w.syncCommand(capturing()))
			w.wantEqual(l)
			if w.seams.killed() == 0 {
				t.Error("nothing was killed")
			}
			if given := w.givenUp(); len(given) > 0 {
				t.Errorf("a log that is followed was given up: %s", given[0].Message)
			}
		})
	}
}

// A connection that is lost amid the changes is taken up again where the history
// says.
func TestChangesGoOnAfterALostConnection(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	w.do(w.syncCommand(capturing()))
	for id := range int64(10) {
		l.do("orders", driver.OpInsert, id, notesText(id))
	}
	failed := 0
	l.onFlush = func(n int) error {
		if n == 1 && failed < 2 {
			failed++
			return driver.E(driver.ErrUnreachable, nil, "the connection was lost")
		}
		return nil
	}
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	if failed != 2 || len(l.captures) != 4 {
		t.Errorf("%d losses, %d captures", failed, len(l.captures))
	}
	l.onFlush = func(int) error { return driver.E(driver.ErrUnreachable, nil, "the connection was lost") }
	w.do(w.syncCommand(capturing()))
	if got := last[*event.SyncFailed](w); got.Reason != event.ReasonUnreachable {
		t.Errorf("a source that stays away: %+v", got)
	}
}

// A log that is not there any more fails the sync, which says the way out; that is
// one.
func TestALostLogIsToldAndReadAnew(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(capturing()))
	delete(l.readers, sourcelog.ReaderOf(w.address))
	l.do("orders", driver.OpInsert, 2, "two")
	w.do(w.syncCommand(capturing()))
	if got := last[*event.SyncFailed](w); got.Reason != event.ReasonSchemaChanged || !strings.Contains(got.Message, `sync_options.reset ["*"]`) {
		t.Fatalf("%+v", got)
	}
	w.do(w.syncCommand(capturing("*")))
	w.wantEqual(l)
	l.do("orders", driver.OpDelete, 1, "")
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
}

// What the log has gone on without is read whole by the next sync that takes it:
// a table that was refused, that could not be landed, or that a sync left out.
func TestTablesSetAsideAreReadWhole(t *testing.T) {
	w, l := newLog(t, quick(), "orders", "carts", "users")
	for _, name := range []string{"orders", "carts", "users"} {
		l.do(name, driver.OpInsert, 1, "one")
	}
	w.do(w.syncCommand(capturing()))
	change := func() {
		for _, name := range []string{"orders", "carts", "users"} {
			l.do(name, driver.OpInsert, int64(len(l.log)), "more")
		}
	}
	change()
	l.refuse["orders"] = driver.E(driver.ErrPermission, nil, "orders has no replica identity")
	w.faults.commit = func(table string, _ bool) error {
		if table == "carts" {
			return fmt.Errorf("%w: no such column", landing.ErrBadTable)
		}
		return nil
	}
	w.do(w.syncCommand(capturing()))
	done := last[*event.SyncCompleted](w)
	aside := map[string]bool{}
	for _, r := range done.Tables {
		aside[r.Name] = r.SetAside
	}
	if done.Status != "partial" || !aside["orders"] || !aside["carts"] || aside["users"] || !maps.Equal(w.holds("users"), l.all()["users"]) {
		t.Fatalf("%s: %v", done.Status, done.Tables)
	}
	change()
	l.refuse, w.faults.commit = map[string]error{}, nil
	only := capturing()
	only.Tables = []string{"orders"}
	w.do(w.syncCommand(only))
	if got := w.holds("orders"); !maps.Equal(got, l.all()["orders"]) {
		t.Errorf("orders holds %v", got)
	}
	change()
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	c := l.captures[len(l.captures)-1]
	for _, ct := range c.Tables {
		if whole := ct.After == ""; whole != (ct.Name != "orders") {
			t.Errorf("%s was captured after %q", ct.Name, ct.After)
		}
	}
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
}

// Columns that change are found, recorded and followed.
func TestChangedColumnsAreFollowed(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(capturing()))
	l.mu.Lock()
	l.tables["orders"].extra = append(l.tables["orders"].extra, column("more", driver.String))
	l.told = "orders"
	l.mu.Unlock()
	l.do("orders", driver.OpInsert, 2, "two")
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	if got := last[*event.SchemaDiscovered](w); got.Version != 2 {
		t.Errorf("schema %d", got.Version)
	}
	l.onFlush = func(int) error { return driver.E(driver.ErrRetyped, nil, "table orders has other columns") }
	w.do(w.syncCommand(capturing()))
	if got := last[*event.SyncFailed](w); !strings.Contains(got.Message, "other columns") {
		t.Errorf("columns that change for ever: %+v", got)
	}
}

// A source that keeps too much of its log is told of once, and again when that is
// over; beyond the limit the log is given up, and the next sync reads anew.
func TestLagIsToldAndLimited(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	o := capturing()
	o.LagWarn, o.LagLimit = 1<<20, 1<<30
	l.do("orders", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(o))
	for _, retained := range []int64{2 << 20, 3 << 20, 0} {
		l.retained = retained
		l.do("orders", driver.OpInsert, int64(len(l.log)), "more")
		w.do(w.syncCommand(o))
	}
	var told []bool
	for _, e := range w.events(w.address) {
		if d, ok := e.Data.(*event.ChangesLagging); ok {
			told = append(told, d.Over)
		}
	}
	if !slices.Equal(told, []bool{false, true}) {
		t.Errorf("told %v", told)
	}
	l.retained = 2 << 30
	l.do("orders", driver.OpInsert, int64(len(l.log)), "more")
	w.do(w.syncCommand(o))
	if got := last[*event.SyncFailed](w); got.Reason != event.ReasonLimit || l.releases != 1 {
		t.Errorf("%+v, %d releases", got, l.releases)
	}
	if got := last[*event.ChangesGivenUp](w); !got.Released || got.Reader != sourcelog.ReaderOf(w.address) {
		t.Errorf("%+v", got)
	}
	l.retained = 0
	w.do(w.syncCommand(o))
	w.wantEqual(l)
}

// continuously gives the source a schedule that goes on, or changes it.
func (w *world) continuously(paused bool) {
	w.t.Helper()
	op := w.do(&command.ChangeSchedule{Meta: w.operation(event.KindSchedule), Schedule: &event.Schedule{Continuous: true, Missed: schedule.Once, Overlap: schedule.Attach, Paused: paused}})
	if op.Status != projections.StatusCompleted {
		w.t.Fatalf("schedule: %+v", op.Targets)
	}
}

// A continuous schedule begins a sync that goes on, is fenced and taken over as
// every other, ends when it is paused, and begins again when it is resumed.
func TestAContinuousSyncGoesOn(t *testing.T) {
	o := quick()
	w, l := newLog(t, o, "orders")
	runs := make(chan struct{})
	go func() { defer close(runs); w.handlers.RunSchedules(t.Context()) }()
	w.continuously(false)
	landed := func() {
		t.Helper()
		w.eventually("the changes to land", func() bool { return maps.Equal(w.holds("orders"), l.all()["orders"]) })
	}
	for id := range int64(7) {
		l.do("orders", driver.OpInsert, id, notesText(id))
	}
	landed()
	w.seams.kill("committed", 1)
	l.do("orders", driver.OpUpdate, 3, "changed")
	landed()
	w.eventually("another worker to go on", func() bool { return w.seams.deliveries("FollowSource") > 1 && w.seams.killed() == 1 })
	l.do("orders", driver.OpDelete, 4, "")
	landed()

	// A sync beside it ends once what there was has landed.
	l.do("orders", driver.OpInsert, 50, "before the sync")
	if op := w.do(w.syncCommand(command.SyncOptions{})); op.Status != projections.StatusCompleted || op.Targets[0].Attached {
		t.Errorf("a sync beside it: %s %+v", op.Status, op.Targets)
	}
	if !maps.Equal(w.holds("orders"), l.all()["orders"]) {
		t.Error("a sync beside it ended before its rows had landed")
	}
	w.eventually("the first sync to be told of", func() bool { return slices.Contains(w.names(w.address), "SyncCompleted") })
	before := len(w.outcomes(w.address))
	w.continuously(true)
	w.eventually("the sync to end", func() bool { return slices.Contains(w.outcomes(w.address)[before:], "SyncCompleted") })
	l.do("orders", driver.OpInsert, 100, "while it is paused")
	if got := last[*event.SyncCompleted](w); got.Status != "completed" || got.Changes == nil {
		t.Errorf("%+v", got)
	}
	w.continuously(false)
	landed()
	// A worker that stops gives back what it waits for.
	l.mu.Lock()
	l.onFlush = func(int) error { time.Sleep(time.Second); return nil }
	l.mu.Unlock()
	waiting := w.syncCommand(command.SyncOptions{})
	w.send(waiting)
	w.eventually("it to wait", func() bool { return w.seams.deliveries("SyncSource") > 1 })
	w.handlers.Stop()
	w.eventually("it to be given back", func() bool { return w.seams.deliveries("SyncSource") > 2 })
	if slices.ContainsFunc(w.events(w.address), func(e *event.Event) bool { return e.Data.Header().Operation.ID == waiting.Operation.ID }) {
		t.Error("what waits was ended by a worker that stops")
	}
	<-runs
}

func TestAPurgedSourceLeavesNoLog(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(capturing()))
	w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup), Purge: true})
	w.idle()
	if len(l.readers) != 0 || l.releases != 1 {
		t.Errorf("%v is left at the server", l.readers)
	}
}

// A removed source lets its log go; where its server refuses, that is told and
// tried again; restored, it reads its tables whole.
func TestARemovedSourceLetsItsLogGo(t *testing.T) {
	o := quick()
	o.Keep, o.ReleaseLimit = time.Hour, patience
	w, l := newLog(t, o, "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(capturing()))
	refusals := 0
	l.mu.Lock()
	l.onRelease = func() error {
		if refusals++; refusals < 4 {
			return driver.E(driver.ErrPermission, nil, "must be superuser")
		}
		return nil
	}
	l.mu.Unlock()
	op := w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
	notes := strings.Join(op.Targets[0].Result.Notes, " ")
	if !strings.Contains(notes, sourcelog.ReaderOf(w.address)) || !strings.Contains(notes, "superuser") {
		t.Errorf("the answer says %q", notes)
	}
	w.eventually("the log to be let go", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.readers) == 0
	})
	w.eventually("that to be told", func() bool { return slices.Contains(w.names(w.address), "ChangesGivenUp") })
	op = w.do(&command.RestoreSource{Meta: w.operation(event.KindRestore)})
	if notes := strings.Join(op.Targets[0].Result.Notes, " "); !strings.Contains(notes, "whole") {
		t.Errorf("the restore says %q", notes)
	}
	l.do("orders", driver.OpDelete, 1, "")
	l.do("orders", driver.OpInsert, 2, "two")
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
}

// verify compares a table that follows its log, and says why it does not one that
// holds more than its source does.
func TestVerifyOfFollowedTables(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	l.do("orders", driver.OpInsert, 2, "two")
	w.do(w.syncCommand(capturing()))
	l.do("orders", driver.OpDelete, 1, "")
	w.do(w.syncCommand(capturing()))
	verified := func() event.Verification {
		t.Helper()
		w.do(&command.VerifySource{Meta: w.operation(event.KindVerify)})
		return last[*event.TableVerified](w).Table
	}
	if got := verified(); got.Status != event.VerifiedEqual {
		t.Errorf("%+v", got)
	}
	l.do("orders", driver.OpInsert, 3, "three")
	if got := verified(); got.Status != event.VerifiedDifferent || !strings.Contains(got.Message, `source's log`) || !strings.Contains(got.Message, `sync_options.mode cdc and sync_options.reset ["public.orders"] reads it anew`) {
		t.Errorf("%+v", got)
	}
	// What it advises beside a sync that goes on is not what that sync forbids.
	w.continuously(false)
	if got := verified(); !strings.Contains(got.Message, "headwater schedule pause shop") {
		t.Errorf("%+v", got)
	}
	w.continuously(true)
	log := capturing()
	log.Changes = command.AppendChanges
	if op := w.do(w.syncCommand(log)); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	if got := verified(); got.Status != event.Unverified || !strings.Contains(got.Message, "log of its changes") {
		t.Errorf("%+v", got)
	}
}
