package handlers

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/sourcelog"
	"headwater/projections"
)

// hosts plays the servers of several hosts; one may have two names.
type hosts map[string]*logged

func (h hosts) Open(_ context.Context, _, _ string, config, _ json.RawMessage, _ driver.Limits) (extract.Session, error) {
	var at struct{ Host string }
	if err := json.Unmarshal(config, &at); err != nil {
		return nil, err
	}
	l := h[at.Host]
	if l == nil {
		return nil, driver.E(driver.ErrUnreachable, nil, "no connection to %s", at.Host)
	}
	return &loggedSession{l: l}, nil
}

func (hosts) Forget(string) {}

func (l *logged) reads() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.readers)
}

func (w *world) givenUp() (all []*event.ChangesGivenUp) {
	for _, e := range w.events(w.address) {
		if d, ok := e.Data.(*event.ChangesGivenUp); ok {
			all = append(all, d)
		}
	}
	return all
}

// Once syncs of other modes have read every table, nothing is left at the server.
func TestAnotherModeLetsTheLogGo(t *testing.T) {
	w, l := newLog(t, quick(), "orders", "carts")
	l.do("orders", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(capturing()))
	w.do(w.syncCommand(command.SyncOptions{Tables: []string{"orders"}}))
	if l.reads() != 1 || len(w.givenUp()) != 0 {
		t.Fatalf("one table still follows the log: %d readers, %v", l.reads(), w.givenUp())
	}
	refuse := true
	l.onRelease = func() error {
		if refuse {
			return driver.E(driver.ErrPermission, nil, "must be superuser")
		}
		return nil
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	if last[*event.SyncCompleted](w).Status != "completed" || l.reads() != 1 {
		t.Fatal("a log that cannot be released keeps the sync from landing")
	}
	refuse = false
	w.do(w.syncCommand(command.SyncOptions{}))
	if given := w.givenUp(); l.reads() != 0 || len(given) != 1 || !given[0].Released {
		t.Fatalf("%d readers, %v", l.reads(), given)
	}
	if s, err := w.store.Source(w.address); err != nil || s.Changes.Position != "" {
		t.Errorf("it stands at %+v, %v", s.Changes, err)
	}
	l.do("orders", driver.OpInsert, 2, "two")
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
}

// A source that is moved to another server leaves nothing at the one that it was on,
// or says what; another name of the same server changes nothing.
func TestAMovedSourceLetsItsLogGo(t *testing.T) {
	o := quick()
	o.ReleaseLimit = patience
	w, old := newLog(t, o, "orders")
	next, last := newLogged("orders"), newLogged("orders")
	w.handlers.inspector.Connectors = hosts{"a": old, "alias": old, "b": next, "c": last}
	w.handlers.logs.LetGo = func(string) string { return "SELECT drop('%s')" }
	old.do("orders", driver.OpInsert, 1, "of the old")
	next.do("orders", driver.OpInsert, 2, "of the next")
	last.do("orders", driver.OpInsert, 3, "of the last")
	move := func(host string) {
		t.Helper()
		if op := w.do(w.connectCommand(`{"host":"`+host+`"}`, `{"password":"hunter2"}`)); op.Status != projections.StatusCompleted {
			t.Fatalf("%s: %+v", host, op.Targets)
		}
	}
	w.do(w.syncCommand(capturing()))
	move("alias")
	if old.reads() != 1 || len(w.givenUp()) != 0 {
		t.Fatalf("the same server by another name: %v", w.givenUp())
	}
	move("b")
	if given := w.givenUp(); old.reads() != 0 || len(given) != 1 || !given[0].Released || !strings.Contains(given[0].Message, "moved from alias") {
		t.Fatalf("%d readers, %+v", old.reads(), given)
	}
	w.do(w.syncCommand(capturing()))
	w.wantEqual(next)
	next.onRelease = func() error { return driver.E(driver.ErrPermission, nil, "must be superuser") }
	move("c")
	if given := w.givenUp(); len(given) != 2 || given[1].Released || !strings.Contains(given[1].Message, "superuser; drop it there: SELECT drop('"+sourcelog.ReaderOf(w.address)+"')") {
		t.Fatalf("%+v", given[1])
	}
	w.do(w.syncCommand(capturing()))
	w.wantEqual(last)
}

// A sync that goes on follows its source to another server, and is not fooled by
// what it knew of the old one.
func TestAMovedSourceIsFollowed(t *testing.T) {
	w, old := newLog(t, quick(), "orders")
	next := newLogged("orders")
	w.handlers.inspector.Connectors = hosts{"a": old, "b": next}
	go w.handlers.RunSchedules(t.Context())
	w.continuously(false)
	for id := range int64(5) {
		old.do("orders", driver.OpInsert, id, notesText(id))
	}
	w.eventually("the changes to land", func() bool { return maps.Equal(w.holds("orders"), old.all()["orders"]) })
	next.do("orders", driver.OpInsert, 70, "of the next")
	w.do(w.connectCommand(`{"host":"b"}`, `{"password":"hunter2"}`))
	old.do("orders", driver.OpInsert, 6, "too late")
	w.eventually("the other server's rows to land", func() bool { return maps.Equal(w.holds("orders"), next.all()["orders"]) })
	next.do("orders", driver.OpInsert, 71, "more of the next")
	w.eventually("its changes to land", func() bool { return maps.Equal(w.holds("orders"), next.all()["orders"]) })
	if old.reads() != 0 || next.reads() != 1 || slices.Contains(w.outcomes(w.address), "SyncFailed") {
		t.Errorf("%d readers at the old server, %d at the next; %v", old.reads(), next.reads(), w.outcomes(w.address))
	}
	w.continuously(true)
	w.idle()
}

// What a first sync has landed is not in the history yet if its worker died after the
// commit. The next one does not take the log for one that no table follows.
func TestAFirstSyncWhoseWorkerDiedKeepsItsLog(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	w.seams.kill("committed", 1)
	w.do(w.syncCommand(capturing()))
	w.idle()
	if w.seams.killed() == 0 {
		t.Error("nothing was killed")
	}
	if l.reads() != 1 || len(w.givenUp()) != 0 {
		t.Fatalf("%d readers, %v", l.reads(), w.givenUp())
	}
	l.do("orders", driver.OpInsert, 2, "two")
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	if c := l.captures[len(l.captures)-1]; c.Tables[0].After == "" {
		t.Error("the table was read whole again")
	}
}
