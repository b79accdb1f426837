package handlers

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/sourcelog"
	"headwater/projections"
)

// holdAt has the worker that comes first to one step wait there until another worker has
// come to the other step. held is closed once it waits.
func (w *world) holdAt(step, until string) (held <-chan struct{}) {
	reached, over := make(chan struct{}), make(chan struct{})
	var came, went atomic.Bool
	w.seams.mu.Lock()
	defer w.seams.mu.Unlock()
	w.seams.at = func(at string) {
		if at == until && came.Load() && went.CompareAndSwap(false, true) {
			close(over)
		}
		if at == step && came.CompareAndSwap(false, true) {
			close(reached)
			select {
			case <-over:
			case <-time.After(patience):
			}
		}
	}
	return reached
}

// twoHosts returns a world whose source is on host a, also known as alias, and can be moved
// to host b. The servers have other rows, and the log of the first is much longer.
func twoHosts(t *testing.T, o Options) (w *world, old, next *logged) {
	t.Helper()
	w, old = newLog(t, o, "orders")
	next = newLogged("orders")
	w.handlers.inspector.Connectors = hosts{"a": old, "alias": old, "b": next}
	for id := range int64(20) {
		old.do("orders", driver.OpInsert, id, "of the old")
	}
	next.do("orders", driver.OpInsert, 70, "of the next")
	w.idle()
	return w, old, next
}

func (w *world) move(host string) *command.ConnectSource {
	return w.connectCommand(`{"host":"`+host+`"}`, `{"password":"hunter2"}`)
}

// wantMoved checks that nothing is left at the server that a source has left, that this was
// told once, and that no position there was told of the server that it has.
func (w *world) wantMoved(old, next *logged) {
	w.t.Helper()
	w.eventually("the old server to keep nothing", func() bool { return old.reads() == 0 })
	w.eventually("that to be told", func() bool { return len(w.givenUp()) > 0 })
	if given := w.givenUp(); len(given) != 1 || !given[0].Released || given[0].Left == 0 || !strings.Contains(given[0].Message, "moved from a") {
		w.t.Errorf("%d are told: %+v", len(given), given[0])
	}
	next.mu.Lock()
	end := len(next.log)
	next.mu.Unlock()
	moved := false
	for _, e := range w.events(w.address) {
		var at *event.Changes
		switch d := e.Data.(type) {
		case *event.SourceConnected:
			moved = moved || d.Moved
		case *event.ChangesLanded:
			at = &d.Changes
		case *event.SyncCompleted:
			at = d.Changes
		case *event.SyncFailed:
			w.t.Errorf("a sync failed: %s", d.Message)
		}
		if !moved || at == nil {
			continue
		}
		if n, err := strconv.Atoi(at.Position); err != nil || n > end {
			w.t.Errorf("%s has position %s, and the log of the server that the source has ends at %d", e.Name(), at.Position, end)
		}
	}
	if !moved {
		w.t.Error("the source was not moved")
	}
}

// A sync takes the log up anew at the server that the source is moved away from meanwhile:
// nothing is left there, and the new server is followed from its own start.
func TestALogIsTakenUpAnewBesideAMove(t *testing.T) { takenUpBesideAMove(t, "anew", "", true) }

// So it is at every step, whoever is killed at whichever step of the move.
func TestALogIsTakenUpBesideAMove(t *testing.T) {
	for _, at := range []string{"captured", "anew", "checkpointed"} {
		for _, kill := range []string{"", "appended SourceConnected", "left", "appended ChangesGivenUp"} {
			for _, goesOn := range []bool{false, true} {
				if testing.Short() && (at != "captured" || goesOn != (kill == "left")) {
					continue
				}
				t.Run(strings.Join([]string{at, kill, map[bool]string{true: "continuous"}[goesOn]}, "/"), func(t *testing.T) {
					takenUpBesideAMove(t, at, kill, goesOn)
				})
			}
		}
	}
}

func takenUpBesideAMove(t *testing.T, at, kill string, goesOn bool) {
	w, old, next := twoHosts(t, quick())
	held := w.holdAt(at, "appended SourceConnected")
	sync := w.syncCommand(capturing())
	runs := make(chan struct{})
	if goesOn {
		go func() { defer close(runs); w.handlers.RunSchedules(t.Context()) }()
		w.continuously(false)
	} else {
		close(runs)
		w.send(sync)
	}
	<-held
	if kill != "" {
		w.seams.kill(kill, 1)
	}
	if op := w.do(w.move("b")); op.Status != projections.StatusCompleted || op.Targets[0].Result.Unchanged {
		t.Errorf("the move is %s: %+v", op.Status, op.Targets[0].Result)
	}
	w.eventually("the other server's rows to land", func() bool { return maps.Equal(w.holds("orders"), next.all()["orders"]) })
	if goesOn {
		next.do("orders", driver.OpInsert, 71, "more of the next")
		w.eventually("its changes to land", func() bool { return maps.Equal(w.holds("orders"), next.all()["orders"]) })
		w.wantMoved(old, next)
		w.continuously(true)
	} else if op := w.ended(sync); op.Status != projections.StatusCompleted {
		t.Errorf("the sync is %s: %+v", op.Status, op.Targets)
	}
	w.idle()
	w.wantMoved(old, next)
	if kill != "" && w.seams.killed() == 0 {
		t.Error("nothing was killed")
	}
	if next.reads() != 1 {
		t.Errorf("%d readers at the next server", next.reads())
	}
	w.handlers.Stop()
	<-runs
}

// The same without a sync under way: the connect lets the log go by itself.
func TestAnIdleSourceIsMoved(t *testing.T) {
	for _, kill := range []string{"", "appended SourceConnected", "left", "appended ChangesGivenUp"} {
		t.Run(kill, func(t *testing.T) {
			w, old, next := twoHosts(t, quick())
			w.do(w.syncCommand(capturing()))
			w.wantEqual(old)
			before, err := w.store.Source(w.address)
			w.check(err)
			if kill != "" {
				w.seams.kill(kill, 1)
			}
			if op := w.do(w.move("b")); op.Status != projections.StatusCompleted || op.Targets[0].Result.Unchanged || op.Targets[0].Result.ConfigVersion != 2 {
				t.Errorf("the move is %s: %+v", op.Status, op.Targets[0].Result)
			}
			w.idle()
			w.wantMoved(old, next)
			if _, err := w.vault.Open(t.Context(), w.address, before.SecretRef); err == nil {
				t.Error("the secrets of the server that was left are kept")
			}
			w.do(w.syncCommand(capturing()))
			w.wantEqual(next)
			w.wantMoved(old, next)
		})
	}
}

// Another name of the same server changes nothing for a sync that takes its log up just then.
func TestALogIsTakenUpBesideAnotherName(t *testing.T) {
	w, old, _ := twoHosts(t, quick())
	held := w.holdAt("captured", "appended SourceConnected")
	sync := w.syncCommand(capturing())
	w.send(sync)
	<-held
	w.do(w.move("alias"))
	w.ended(sync)
	w.wantEqual(old)
	old.do("orders", driver.OpInsert, 30, "later")
	w.do(w.syncCommand(capturing()))
	w.wantEqual(old)
	if c := old.captures[len(old.captures)-1]; old.reads() != 1 || len(w.givenUp()) != 0 || c.Tables[0].After == "" {
		t.Errorf("%d readers, %v, %+v", old.reads(), w.givenUp(), c.Tables[0])
	}
}

// A server that does not let its log go is told of, with what to do there, and the new one is
// followed.
func TestAMovedSyncLeavesAServerThatRefuses(t *testing.T) {
	o := quick()
	o.ReleaseLimit = patience
	w, old, next := twoHosts(t, o)
	w.handlers.logs.LetGo = func(string) string { return "SELECT drop('%s')" }
	old.onRelease = func() error { return driver.E(driver.ErrPermission, nil, "must be superuser") }
	held := w.holdAt("captured", "appended SourceConnected")
	sync := w.syncCommand(capturing())
	w.send(sync)
	<-held
	w.do(w.move("b"))
	w.ended(sync)
	w.wantEqual(next)
	w.idle()
	given := w.givenUp()
	if len(given) != 1 || given[0].Released || !strings.Contains(given[0].Message, "superuser; drop it there: SELECT drop('"+sourcelog.ReaderOf(w.address)+"')") {
		t.Errorf("%+v", given)
	}
}

// A first read that would take hours ends when its source is moved.
func TestAMoveEndsAWholeRead(t *testing.T) {
	w, old, next := twoHosts(t, quick())
	w.handlers.syncs.Options.HeartbeatEvery = time.Hour
	reads := make(chan struct{}, 1)
	old.onRead = func(ctx context.Context, _ string) {
		select {
		case reads <- struct{}{}:
		default:
		}
		<-ctx.Done()
	}
	sync := w.syncCommand(capturing())
	w.send(sync)
	<-reads
	w.do(w.move("b"))
	if op := w.ended(sync); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	w.wantEqual(next)
	w.idle()
	w.wantMoved(old, next)
}

// So does a pause before a server that cannot be reached is tried again.
func TestAMoveEndsAPause(t *testing.T) {
	w, old, next := twoHosts(t, quick())
	failed := make(chan struct{}, 1)
	old.onFlush = func(int) error {
		select {
		case failed <- struct{}{}:
		default:
		}
		return driver.E(driver.ErrUnreachable, nil, "connection refused")
	}
	w.handlers.syncs.Options.RetryDelay = time.Hour
	w.handlers.syncs.Options.HeartbeatEvery = time.Hour
	w.handlers.syncs.Options.TableRetries = 5
	sync := w.syncCommand(capturing())
	w.send(sync)
	<-failed
	w.do(w.move("b"))
	if op := w.ended(sync); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	w.wantEqual(next)
	w.idle()
	w.wantMoved(old, next)
}

// A sync of another mode lets a log go that no table follows any more, while its source is
// moved: what is told of that log is told once, and nothing of the next server's.
func TestALogIsLeftBesideAMove(t *testing.T) {
	w, old, next := twoHosts(t, quick())
	w.do(w.syncCommand(capturing()))
	releasing, over := make(chan struct{}), make(chan struct{})
	var first, connected atomic.Bool
	w.seams.mu.Lock()
	w.seams.at = func(at string) {
		if at == "appended SourceConnected" && connected.CompareAndSwap(false, true) {
			close(over)
		}
	}
	w.seams.mu.Unlock()
	old.mu.Lock()
	old.onRelease = func() error {
		if first.CompareAndSwap(false, true) {
			close(releasing)
			<-over
		}
		return nil
	}
	old.mu.Unlock()
	whole := w.syncCommand(command.SyncOptions{})
	w.send(whole)
	<-releasing
	w.do(w.move("b"))
	w.ended(whole)
	w.idle()
	w.wantMoved(old, next)
	w.do(w.syncCommand(capturing()))
	w.wantEqual(next)
	w.wantMoved(old, next)
}

// Whatever a sync was about to tell of the log at a server that the source has left is not
// told.
func TestWhatASyncTellsOfItsLogBesideAMove(t *testing.T) {
	for name, retained := range map[string]int64{"SyncCompleted": 0, "ChangesLagging": 2 << 20, "ChangesGivenUp": 2 << 30} {
		t.Run(name, func(t *testing.T) {
			w, old, next := twoHosts(t, quick())
			old.retained = retained
			held, over := make(chan struct{}), make(chan struct{})
			var came, went atomic.Bool
			w.seams.mu.Lock()
			w.seams.at = func(at string) {
				if at == "appended SourceConnected" && went.CompareAndSwap(false, true) {
					close(over)
				}
			}
			w.seams.mu.Unlock()
			w.faults.append = func(e *event.Event) error {
				if e.Name() == name && came.CompareAndSwap(false, true) {
					close(held)
					<-over
				}
				return nil
			}
			o := capturing()
			o.LagWarn, o.LagLimit = 1<<20, 1<<30
			sync := w.syncCommand(o)
			w.send(sync)
			<-held
			w.do(w.move("b"))
			if op := w.ended(sync); op.Status != projections.StatusCompleted {
				t.Errorf("%+v", op.Targets)
			}
			w.idle()
			w.wantMoved(old, next)
			if slices.Contains(w.names(w.address), "ChangesLagging") {
				t.Error("it lags behind a log that the source has left")
			}
			if s, err := w.store.Source(w.address); err != nil || name == "SyncCompleted" && s.Changes.Position != "" {
				t.Errorf("it stands at %+v, %v", s.Changes, err)
			}
			w.do(w.syncCommand(capturing()))
			w.wantEqual(next)
			w.wantMoved(old, next)
		})
	}
}

// A connect does not wait for ever for a sync that goes on at the old server. It comes again
// once that has ended.
func TestAMoveThatIsNotWaitedFor(t *testing.T) {
	o := quick()
	o.ReleaseLimit = 100 * time.Millisecond
	w, old, next := twoHosts(t, o)
	held := w.holdAt("captured", "go on")
	sync := w.syncCommand(capturing())
	w.send(sync)
	<-held
	if op := w.do(w.move("b")); op.Status != projections.StatusCompleted || old.reads() != 1 {
		t.Errorf("%d readers, %+v", old.reads(), op.Targets)
	}
	w.send(w.cancelCommand(sync))
	w.eventually("the old server to keep nothing", func() bool { return old.reads() == 0 })
	w.seams.reached("go on")
	w.idle()
	w.wantMoved(old, next)
	w.do(w.syncCommand(capturing()))
	w.wantEqual(next)
}
