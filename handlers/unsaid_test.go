package handlers

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// A sync that is ended between the taking up of a log and the event that says so leaves no
// reader at the server, whether its worker lives or is killed.
func TestASyncThatIsEndedLeavesNoReader(t *testing.T) {
	for _, kill := range []bool{false, true} {
		for _, how := range []string{"SyncCancelled", "SourceRemoved", "SourceRemoved at once"} {
			t.Run(how+map[bool]string{true: "/killed"}[kill], func(t *testing.T) {
				o := quick()
				if how == "SourceRemoved" {
					o.Keep = time.Hour
				}
				w, l := newLog(t, o, "orders")
				l.do("orders", driver.OpInsert, 1, "one")
				until := "appended " + strings.Fields(how)[0]
				held := w.holdAt("captured", until)
				sync := w.syncCommand(capturing())
				w.send(sync)
				<-held
				if kill {
					w.seams.kill(until, 1)
				}
				if strings.HasPrefix(how, "SourceRemoved") {
					w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
				} else {
					w.send(w.cancelCommand(sync))
				}
				w.ended(sync)
				w.eventually("nothing to be left", func() bool { return l.reads() == 0 })
				w.idle()
				if l.reads() != 0 || slices.Contains(w.names(w.address), "ChangesLanded") {
					t.Errorf("%d readers; %v", l.reads(), w.names(w.address))
				}
			})
		}
	}
}

// A worker that was taken for lost lives on. It leaves the log alone that the next sync has
// taken up, and leaves no reader at a server that the source has left meanwhile.
func TestALostWorkerTakesALogUp(t *testing.T) {
	for _, moved := range []bool{false, true} {
		t.Run(map[bool]string{true: "of a server that was left"}[moved], func(t *testing.T) {
			o := quick()
			o.StaleAfter = time.Nanosecond
			w, old, next := twoHosts(t, o)
			step := "captured"
			if moved {
				step = "capturing"
			}
			held := w.holdAt(step, "appended SyncCompleted")
			w.send(w.syncCommand(capturing()))
			<-held
			move := w.move("b")
			if moved {
				w.send(move)
				w.eventually("the source to be moved", func() bool {
					s, err := w.store.Source(w.address)
					return err == nil && s.Moved != 0
				})
			}
			w.do(w.syncCommand(capturing()))
			if moved {
				w.ended(move)
			}
			w.idle()
			if moved {
				old, next = next, old
				w.eventually("nothing to be left", func() bool { return next.reads() == 0 })
			}
			w.wantEqual(old)
			old.do("orders", driver.OpInsert, 90, "later")
			w.do(w.syncCommand(capturing()))
			w.wantEqual(old)
			if c := old.captures[len(old.captures)-1]; old.reads() != 1 || c.Tables[0].After == "" {
				t.Errorf("%d readers, %+v", old.reads(), c.Tables[0])
			}
		})
	}
}

// A sync that is cancelled after it took the log up, while another of another mode runs by
// the time that its worker notices, leaves no reader: that other sync would not let it go.
func TestALogIsLeftBesideASyncOfAnotherMode(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	over := make(chan struct{})
	held := w.holdAt("captured", "appended SyncStarted")
	sync := w.syncCommand(capturing())
	w.send(sync)
	<-held
	l.mu.Lock()
	l.onRead = func(ctx context.Context, _ string) {
		select {
		case <-over:
		case <-ctx.Done():
		}
	}
	l.mu.Unlock()
	w.send(w.cancelCommand(sync))
	w.ended(sync)
	whole := w.syncCommand(command.SyncOptions{})
	w.send(whole)
	w.eventually("the first worker to end", func() bool { return w.seams.deliveries("SyncSource") >= 2 && w.seams.running.Load() == 1 })
	close(over)
	w.ended(whole)
	w.idle()
	if l.reads() != 0 {
		t.Errorf("%d readers; %v", l.reads(), w.names(w.address))
	}
}

// A sync takes its mode from the source's options, which are changed after its worker took
// the log up and was killed: the next attempt, of another mode, lets the log go.
func TestTheNextAttemptIsOfAnotherMode(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	l.do("orders", driver.OpInsert, 1, "one")
	c := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
	c.Sync = &command.SyncOptions{Mode: command.Capture}
	w.do(c)
	held := w.holdAt("captured", "appended SourceConnected")
	sync := w.syncCommand(command.SyncOptions{})
	w.send(sync)
	<-held
	w.seams.kill("appended SourceConnected", 1)
	c = w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
	c.Sync = &command.SyncOptions{Mode: "full_refresh"}
	w.do(c)
	w.ended(sync)
	w.idle()
	if l.reads() != 0 {
		t.Errorf("%d readers; %v", l.reads(), w.names(w.address))
	}
}
