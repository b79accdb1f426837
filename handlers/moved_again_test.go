package handlers

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/projections"
)

// slowly has releases at host a come to a function first.
type slowly struct {
	hosts
	before func()
}

func (s slowly) Open(ctx context.Context, a, b string, c, d json.RawMessage, e driver.Limits) (extract.Session, error) {
	one, err := s.hosts.Open(ctx, a, b, c, d, e)
	if err != nil {
		return nil, err
	}
	if logged := one.(*loggedSession); logged.l == s.hosts["a"] {
		return slowSession{logged, s.before}, nil
	}
	return one, nil
}

type slowSession struct {
	*loggedSession
	before func()
}

func (s slowSession) Release(ctx context.Context, reader string) error {
	s.before()
	return s.loggedSession.Release(ctx, reader)
}

// A source is moved away and back while the server that it has left is still letting the log
// go, and takes a log of the same name up there meanwhile, which goes with it: what is told of
// it makes the next sync read whole, rather than fail for a log that is gone.
func TestASourceIsMovedThereAndBack(t *testing.T) {
	w, old, next := twoHosts(t, quick())
	releasing, over := make(chan struct{}), make(chan struct{})
	var came atomic.Bool
	w.handlers.inspector.Connectors = slowly{hosts{"b": next, "a": old}, func() {
		if came.CompareAndSwap(false, true) {
			close(releasing)
			<-over
		}
	}}
	w.do(w.syncCommand(capturing()))
	w.wantEqual(old)
	there := w.move("b")
	w.send(there)
	<-releasing
	w.do(w.move("a"))
	w.do(w.syncCommand(capturing()))
	w.wantEqual(old)
	close(over)
	w.ended(there)
	w.idle()
	if given := w.givenUp(); len(given) != 2 || given[1].Left != 0 || !strings.Contains(given[1].Message, "away from a/ and back") {
		t.Errorf("%+v", given)
	}
	old.do("orders", driver.OpInsert, 90, "later")
	for range 2 {
		if op := w.do(w.syncCommand(capturing())); op.Status != projections.StatusCompleted {
			t.Errorf("%+v", op.Targets)
		}
		w.wantEqual(old)
	}
	if old.reads() != 1 || next.reads() != 0 {
		t.Errorf("%d readers, and %d at the server that was left", old.reads(), next.reads())
	}
}

// Nothing that a sync read at the server that it began at counts at the next: not a table
// without a key, which it reads once, and not one whose log is as long at both.
func TestAMovedSyncReadsEverythingAnew(t *testing.T) {
	w, old := newLog(t, quick(), "orders", "notes")
	next := newLogged("orders", "notes")
	w.handlers.inspector.Connectors = hosts{"a": old, "b": next}
	for n, l := range []*logged{old, next} {
		l.tables["notes"].keyless = true
		for id := range int64(20) {
			l.do("orders", driver.OpInsert, int64(100*n)+id, "order")
		}
		l.do("notes", driver.OpInsert, int64(n), "note")
	}
	runs := make(chan struct{})
	go func() { defer close(runs); w.handlers.RunSchedules(t.Context()) }()
	w.continuously(false)
	for _, at := range []*logged{old, next} {
		if at == next {
			w.do(w.move("b"))
		}
		for table, rows := range at.all() {
			w.eventually(table+" to land", func() bool { return maps.Equal(w.holds(table), rows) })
		}
	}
	w.continuously(true)
	w.idle()
	w.wantMoved(old, next)
	w.handlers.Stop()
	<-runs
}
