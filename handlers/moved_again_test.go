package handlers

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"headwater/bus/event"
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

func (s slowSession) Release(ctx context.Context, reader, owner string) error {
	s.before()
	return s.loggedSession.Release(ctx, reader, owner)
}

// A source is moved away and back while the server that it has left is still letting the log
// go, and takes a log of the same name up there meanwhile, which goes with it: what is told of
// it makes the next sync read whole, rather than fail for a log that is gone.
func TestASourceIsMovedThereAndBack(t *testing.T) {
	for _, back := range []string{"a", "alias"} {
		for _, told := range []bool{true, false} {
			t.Run(back+map[bool]string{true: "/told"}[told], func(t *testing.T) { movedThereAndBack(t, back, told) })
		}
	}
}

// movedThereAndBack has the server that was left let go after a sync has told of the log that
// it has taken up there, or before.
func movedThereAndBack(t *testing.T, back string, told bool) {
	w, old, next := twoHosts(t, quick())
	releasing, over := make(chan struct{}), make(chan struct{})
	var came atomic.Bool
	w.handlers.inspector.Connectors = slowly{hosts{"b": next, "a": old, "alias": old}, func() {
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
	w.do(w.move(back))
	if told {
		w.do(w.syncCommand(capturing()))
		w.wantEqual(old)
		close(over)
		w.ended(there)
	} else {
		held := w.holdAt("captured", "go on")
		sync := w.syncCommand(capturing())
		w.send(sync)
		<-held
		close(over)
		w.eventually("the log to be let go", func() bool { return old.reads() == 0 })
		w.seams.reached("go on")
		w.ended(there)
		w.ended(sync)
	}
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

// answering has what comes between the answer of host alias, whether it has the log, and the
// decision on it, come then.
type answering struct {
	hosts
	then func()
}

func (s answering) Open(ctx context.Context, a, b string, c, d json.RawMessage, e driver.Limits) (extract.Session, error) {
	one, err := s.hosts.Open(ctx, a, b, c, d, e)
	if logged, ok := one.(*loggedSession); ok && strings.Contains(string(c), "alias") {
		return answeringSession{logged, s.then}, nil
	}
	return one, err
}

type answeringSession struct {
	*loggedSession
	then func()
}

func (s answeringSession) Holds(ctx context.Context, reader string) (bool, error) {
	defer s.then()
	return s.loggedSession.Holds(ctx, reader)
}

// A server says that it has the source's log, and the source is moved to another one before
// that is acted on: the position there is not taken for one in the log of the former.
func TestASourceIsMovedBesideAnotherName(t *testing.T) {
	w, old, next := twoHosts(t, quick())
	var once sync.Once
	w.handlers.inspector.Connectors = answering{hosts{"a": old, "alias": old, "b": next}, func() {
		once.Do(func() {
			w.do(w.move("b"))
			w.do(w.syncCommand(capturing()))
		})
	}}
	w.do(w.syncCommand(capturing()))
	w.do(w.move("alias"))
	w.idle()
	if old.reads() != 0 || next.reads() != 0 || !last[*event.ChangesGivenUp](w).Released || len(w.givenUp()) != 2 {
		t.Errorf("%d readers, and %d at the server that was left; %+v", old.reads(), next.reads(), w.givenUp())
	}
	for range 2 {
		if op := w.do(w.syncCommand(capturing())); op.Status != projections.StatusCompleted {
			t.Errorf("%+v", op.Targets)
		}
		w.wantEqual(old)
		old.do("orders", driver.OpInsert, 91, "later")
	}
}
