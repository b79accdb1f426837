package handlers

import (
	"context"
	"slices"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
	"headwater/projections"
)

func (w *world) cancelCommand(c *command.SyncSource) *command.CancelOperation {
	return &command.CancelOperation{Meta: w.operation(event.KindCancel), Cancels: c.Operation.ID, SyncID: c.SyncID}
}

func TestCancelStopsARunningSync(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	reached, release := w.hold(3)
	defer release()
	c := w.syncCommand(command.SyncOptions{BatchSize: 10})
	w.send(c)
	<-reached
	cancel := w.cancelCommand(c)
	w.send(cancel)
	op := w.ended(c)
	if op.Status != projections.StatusCancelled || op.Targets[0].Reason != event.ReasonCancelled {
		t.Errorf("%+v", op.Targets)
	}
	w.idle()
	names := w.names(w.address)
	if names[len(names)-1] != "SyncCancelled" {
		t.Errorf("something was said after the end: %v", names)
	}
	if e := last[*event.SyncCancelled](w); e.By != "ada" || e.Operation.ID != c.Operation.ID || !e.Operation.Final {
		t.Errorf("%+v", e)
	}
	w.wantLanded("orders", 0, 0)
	w.source.memory.AssertSize(t, 0)

	w.send(w.cancelCommand(c))
	release()
	if op := w.do(w.syncCommand(command.SyncOptions{})); op.Status != projections.StatusCompleted {
		t.Errorf("the next sync: %+v", op.Targets)
	}
	if got := slices.Index(w.names(w.address), "SyncCancelled"); slices.Contains(w.names(w.address)[got+1:], "SyncCancelled") {
		t.Error("cancelled twice")
	}
}

// accept tells of an operation before any of its commands was begun.
func (w *world) accept(m event.Meta, target event.Target) {
	w.t.Helper()
	address := m.Address()
	address.Source = m.Operation.ID
	_, err := w.bus.Append(w.t.Context(), 0, &event.Event{
		ID: "accepted " + m.Operation.ID, Time: time.Now().UTC(),
		Data: &event.OperationAccepted{Meta: event.At(address, m.Operation), Accepted: []event.Target{target}},
	})
	w.check(err)
}

func TestCancelOfAQueuedSync(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	c := w.syncCommand(command.SyncOptions{})
	w.accept(c.Meta.Meta, event.Target{SourceID: w.address.Source, Name: "shop", SyncID: c.SyncID})
	w.send(w.cancelCommand(c))
	if op := w.ended(c); op.Status != projections.StatusCancelled {
		t.Errorf("%+v", op.Targets)
	}
	w.send(c)
	w.eventually("the queued command to be taken", func() bool { return w.seams.deliveries("SyncSource") > 0 })
	w.idle()
	w.wantOutcomes("SourceConnected", "SchemaDiscovered", "SyncCancelled")
	if w.source.sent("orders") != 0 {
		t.Error("a cancelled sync was begun")
	}
}

func TestCancelLetsAFollowerGo(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	reached, release := w.hold(3)
	defer release()
	first := w.syncCommand(command.SyncOptions{BatchSize: 10})
	w.send(first)
	<-reached
	second := w.syncCommand(command.SyncOptions{})
	w.send(second)
	w.eventually("the second to follow", func() bool { return slices.Contains(w.names(w.address), "CommandRejected") })
	cancel := w.cancelCommand(second)
	cancel.SyncID = first.SyncID
	w.send(cancel)
	if op := w.ended(second); op.Status != projections.StatusCancelled {
		t.Errorf("%+v", op.Targets)
	}
	release()
	if op := w.ended(first); op.Status != projections.StatusCompleted {
		t.Errorf("a follower's cancel ended the sync: %+v", op.Targets)
	}
}

func TestCancelOfAConnect(t *testing.T) {
	w := newWorld(t, quick())
	reached, on := make(chan struct{}), make(chan struct{})
	w.source.onDiscover = func(context.Context) error { close(reached); <-on; return nil }
	c := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
	w.accept(c.Meta.Meta, event.Target{SourceID: w.address.Source, Name: "shop"})
	w.send(c)
	<-reached
	w.send(&command.CancelOperation{Meta: w.operation(event.KindCancel), Cancels: c.Operation.ID})
	if op := w.ended(c); op.Status != projections.StatusCancelled {
		t.Errorf("%+v", op.Targets)
	}
	close(on)
	w.idle()
	w.wantOutcomes("CommandRejected")
	if by := last[*event.CommandRejected](w).By; by != "ada" {
		t.Errorf("it was cancelled by %q", by)
	}
	if !w.destroyed(c.SecretRef) {
		t.Error("the secrets of a cancelled connect are kept")
	}
}

func TestRemove(t *testing.T) {
	for _, step := range []string{"", "appended SourceRemoved", "destroyed"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, quick())
			w.connect()
			w.do(w.syncCommand(command.SyncOptions{}))
			ref := last[*event.SourceConnected](w).SecretRef
			w.seams.kill(step, 1)
			op := w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
			if op.Status != projections.StatusCompleted {
				t.Errorf("%+v", op.Targets)
			}
			w.eventually("its data to be gone", func() bool { return w.landed("orders") == nil && w.destroyed(ref) })
			w.idle()
			w.wantOutcomes("SourceConnected", "SchemaDiscovered", "SyncStarted", "SyncCompleted", "SourceRemoved", "SourceDestroyed")
			if e := last[*event.SourceRemoved](w); e.Name != "shop" || !e.Purged || e.Operation.Final {
				t.Errorf("%+v", e)
			}
			again := w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
			if again.Targets[0].Reason != event.ReasonSourceRemoved {
				t.Errorf("%+v", again.Targets)
			}
			if op := w.do(w.syncCommand(command.SyncOptions{})); op.Targets[0].Reason != event.ReasonSourceRemoved {
				t.Errorf("a sync of a removed source: %+v", op.Targets)
			}
			if op := w.do(&command.DiscoverSchema{Meta: w.operation(event.KindDiscover)}); op.Targets[0].Reason != event.ReasonSourceRemoved {
				t.Errorf("a discovery of a removed source: %+v", op.Targets)
			}
		})
	}
}

func TestRemoveEndsARunningSync(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	reached, release := w.hold(3)
	defer release()
	c := w.syncCommand(command.SyncOptions{BatchSize: 10})
	w.send(c)
	<-reached
	w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
	if op := w.ended(c); op.Status != projections.StatusCancelled || op.Targets[0].Reason != event.ReasonSourceRemoved {
		t.Errorf("%+v", op.Targets)
	}
	w.idle()
	w.wantOutcomes("SourceConnected", "SchemaDiscovered", "SyncStarted", "SyncCancelled", "SourceRemoved", "SourceDestroyed")
	if names := w.names(w.address); names[len(names)-1] != "SourceDestroyed" {
		t.Errorf("%v", names)
	}
	if rows := w.landed("orders"); rows != nil {
		t.Errorf("its table holds %d rows", len(rows))
	}
}

// A worker that is slow to hear of the removal makes a table again after it was
// dropped, and cleans up behind itself.
func TestRemovedTablesStayRemoved(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	w.faults.deaf = true
	w.faults.begin = func(landing.Target) error {
		w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
		w.eventually("the tables to be dropped", func() bool { return w.seams.running.Load() == 1 })
		return nil
	}
	c := w.syncCommand(command.SyncOptions{})
	w.do(c)
	w.idle()
	tables, err := w.lake.Tables(t.Context(), w.address)
	if err != nil || len(tables) != 0 {
		t.Errorf("the lake still holds %v, %v", tables, err)
	}
}
