package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/sourcelog"
)

// halting plays a server that says once why it does not let its log go, and then nothing more.
type halting struct {
	*logged
	said  error
	asked atomic.Int32
}

func (h *halting) Open(context.Context, string, string, json.RawMessage, json.RawMessage, driver.Limits) (extract.Session, error) {
	return haltingSession{&loggedSession{l: h.logged}, h}, nil
}

type haltingSession struct {
	*loggedSession
	h *halting
}

func (s haltingSession) Release(ctx context.Context, _, _ string) error {
	if s.h.asked.Add(1) == 1 {
		return s.h.said
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// A server that is asked again while the time for it runs out has said before what is wrong:
// that is what people are told.
func TestWhyALogWasNotReleasedIsTold(t *testing.T) {
	o := quick()
	o.Keep, o.ReleaseLimit = time.Hour, 100*time.Millisecond
	w, l := newLog(t, o, "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(capturing()))
	w.idle()
	h := &halting{logged: l, said: driver.E(driver.ErrUnreachable, nil, "process 7 of the server reads the slot")}
	w.handlers.inspector.Connectors = h
	w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
	notes := strings.Join(last[*event.SourceRemoved](w).Notes, " ")
	if !strings.Contains(notes, "in time; before that: process 7 of the server reads the slot") {
		t.Errorf("it says %q after %d tries", notes, h.asked.Load())
	}
	w.handlers.inspector.Connectors = l
}

// begins puts a sync of mode cdc into the history whose worker was killed after it had taken the
// log up at a server, and that was cancelled; its command does not come again.
func (w *world) begins(at *logged) {
	w.t.Helper()
	w.idle()
	id := fmt.Sprintf("syn_%d", w.lastID.Add(1))
	meta := w.operation(event.KindSync).Meta
	over := meta
	over.Operation.Final = true
	for n, data := range []event.Data{
		&event.SyncStarted{Meta: meta, SyncID: id, Attempt: 1, Mode: command.Capture, Tables: []string{}},
		&event.SyncCancelled{Meta: over, SyncID: id, Reason: event.ReasonCancelled, Message: "the sync was cancelled"},
	} {
		after, err := w.bus.LastSequence(w.t.Context(), w.address)
		w.check(err)
		sequence, err := w.bus.Append(w.t.Context(), after, &event.Event{ID: fmt.Sprintf("0190a000-0000-7000-8000-%012d", w.lastID.Add(1)+int64(n)), Time: time.Now().UTC(), Data: data})
		w.check(err)
		w.check(w.store.Wait(w.t.Context(), sequence))
	}
	at.mu.Lock()
	at.readers[sourcelog.ReaderOf(w.address)] = 0
	at.mu.Unlock()
}

// Whoever removes, moves or syncs a source lets go of a log of which no position was ever told,
// because its worker was killed: that a sync had begun is in the history.
func TestALogOfWhichNothingWasToldIsLetGo(t *testing.T) {
	remove := func(purge bool) func(*world) {
		return func(w *world) { w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup), Purge: purge}) }
	}
	for name, c := range map[string]struct {
		how  func(*world)
		fail int // so many first tries to release it
	}{
		"purge":          {how: remove(true)},
		"cleanup":        {how: remove(false)},
		"cleanup, later": {how: remove(false), fail: 1},
		"cleanup, then purge": {how: func(w *world) {
			w.handlers.logs.RetryDelay = time.Hour // that is tried again is another case
			remove(false)(w)
			remove(true)(w)
		}, fail: 1},
		"moved":        {how: func(w *world) { w.do(w.move("b")) }},
		"another mode": {how: func(w *world) { w.do(w.syncCommand(command.SyncOptions{})) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick()
			o.Keep = time.Hour
			w, old, next := twoHosts(t, o)
			w.begins(old)
			fail := c.fail
			old.onRelease = func() error {
				if fail--; fail >= 0 {
					return driver.E(driver.ErrPermission, nil, "must be superuser")
				}
				return nil
			}
			c.how(w)
			w.eventually("nothing to be left", func() bool { return old.reads() == 0 })
			if next.reads() != 0 {
				t.Errorf("%d readers at the other server", next.reads())
			}
			if name == "cleanup, later" {
				w.idle()
				if notes := strings.Join(last[*event.SourceRemoved](w).Notes, " "); !strings.Contains(notes, "may have taken up the log") || !strings.Contains(notes, "superuser; this is tried again") {
					t.Errorf("it says %q", notes)
				}
			}
		})
	}
}

// afterwards has what comes after the first release of a log at host a come then.
type afterwards struct {
	hosts
	then func()
}

func (s afterwards) Open(ctx context.Context, a, b string, c, d json.RawMessage, e driver.Limits) (extract.Session, error) {
	one, err := s.hosts.Open(ctx, a, b, c, d, e)
	if logged, ok := one.(*loggedSession); ok && logged.l == s.hosts["a"] {
		return afterSession{logged, s.then}, nil
	}
	return one, err
}

type afterSession struct {
	*loggedSession
	then func()
}

func (s afterSession) Release(ctx context.Context, reader, owner string) error {
	defer s.then()
	return s.loggedSession.Release(ctx, reader, owner)
}

// Another sync takes the log up after a removal has had it let go, and is ended by it: the log
// is let go once more.
func TestALogThatIsTakenUpBesideARemoval(t *testing.T) {
	w, old, next := twoHosts(t, quick())
	var once sync.Once
	w.handlers.inspector.Connectors = afterwards{hosts{"b": next, "a": old}, func() {
		once.Do(func() {
			held := w.holdAt("captured", "go on")
			w.send(w.syncCommand(capturing()))
			<-held
		})
	}}
	w.begins(old)
	w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
	if old.reads() != 0 {
		t.Errorf("%d readers; %v", old.reads(), w.names(w.address))
	}
	w.seams.reached("go on")
	w.idle()
}

// A purge ends a sync whose worker takes the log up only after the server was asked to let go,
// and is killed then: the server is asked once more before the secrets are destroyed.
func TestALogThatIsTakenUpAfterAPurgeHasAsked(t *testing.T) {
	o := quick()
	o.Lease = 2 * time.Second
	w, l := newLog(t, o, "orders")
	removed, over, capturing1 := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once, first sync.Once
	w.seams.mu.Lock()
	w.seams.at = func(at string) {
		switch at {
		case "capturing":
			first.Do(func() { close(capturing1) })
			<-removed
		case "appended SourceRemoved":
			once.Do(func() { close(removed) })
		case "captured": // as if it were killed
			<-over
		}
	}
	w.seams.mu.Unlock()
	w.send(w.syncCommand(capturing()))
	<-capturing1
	w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
	if l.reads() != 0 || len(l.captures) != 1 || l.releases != 2 {
		t.Errorf("%d readers after %d captures and %d releases", l.reads(), len(l.captures), l.releases)
	}
	close(over)
	w.idle()
}

// A sync whose workers are killed again and again after they took the log up is given up: it
// leaves no reader.
func TestASyncThatIsGivenUpLeavesNoReader(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	w.idle()
	j := w.handlers.histories.Job(&command.Command{ID: "0190a000-0000-7000-8000-999999999999", Time: time.Now(), Data: w.syncCommand(capturing())})
	sync := j.Data.(*command.SyncSource)
	after, err := w.bus.LastSequence(t.Context(), w.address)
	w.check(err)
	sequence, err := w.bus.Append(t.Context(), after, &event.Event{ID: "0190a000-0000-7000-8000-999999999998", Time: time.Now().UTC(), Data: &event.SyncStarted{
		Meta: j.Meta(false), SyncID: sync.SyncID, Attempt: 1, Mode: command.Capture, Tables: []string{},
	}})
	w.check(err)
	w.check(w.store.Wait(t.Context(), sequence))
	l.mu.Lock()
	l.readers[sourcelog.ReaderOf(w.address)] = 0
	l.mu.Unlock()
	w.check(w.handlers.failTarget(t.Context(), j, &bus.UnansweredError{Workers: 5}))
	if l.reads() != 0 || !strings.Contains(last[*event.SyncFailed](w).Message, "ended 5 times") {
		t.Errorf("%d readers; %v", l.reads(), w.names(w.address))
	}
}
