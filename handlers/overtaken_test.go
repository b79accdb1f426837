package handlers

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
	"headwater/projections"
)

// hold makes reads wait at a batch until the test or their context ends.
func (w *world) hold(batch int) (reached <-chan struct{}, release func()) {
	at, on := make(chan struct{}), make(chan struct{})
	var once, off atomic.Bool
	w.source.onBatch = func(ctx context.Context, _ string, n int) error {
		if n != batch || off.Load() {
			return nil
		}
		if once.CompareAndSwap(false, true) {
			close(at)
		}
		select {
		case <-on:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return at, func() {
		if off.CompareAndSwap(false, true) {
			close(on)
		}
	}
}

func TestSecondSyncFollowsTheFirst(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	reached, release := w.hold(3)
	defer release()
	first := w.syncCommand(command.SyncOptions{BatchSize: 10})
	w.send(first)
	<-reached
	second := w.syncCommand(command.SyncOptions{})
	w.send(second)
	w.eventually("the rejection", func() bool { return slices.Contains(w.names(w.address), "CommandRejected") })
	if e := last[*event.CommandRejected](w); e.Reason != event.ReasonAlreadySyncing || e.SyncID != first.SyncID {
		t.Errorf("%+v", e)
	}
	release()
	for _, c := range []*command.SyncSource{first, second} {
		op := w.ended(c)
		if op.Status != projections.StatusCompleted || op.Targets[0].SyncID != first.SyncID || op.Targets[0].Attached != (c == second) {
			t.Errorf("%+v", op.Targets)
		}
	}
	w.wantLanded("orders", 0, 100)
}

func TestLostSyncMakesRoom(t *testing.T) {
	o := quick()
	o.StaleAfter = time.Nanosecond
	w := newWorld(t, o)
	w.connect()
	lost := &event.SyncStarted{Meta: w.operation(event.KindSync).Meta, SyncID: "syn_lost", Attempt: 1, Mode: landing.FullRefresh}
	after, err := w.bus.LastSequence(t.Context(), w.address)
	w.check(err)
	_, err = w.bus.Append(t.Context(), after, &event.Event{ID: "lost", Time: time.Now().Add(-time.Hour).UTC(), Data: lost})
	w.check(err)
	if op := w.do(w.syncCommand(command.SyncOptions{})); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	sync, err := w.store.Sync("acme", "w1", "syn_lost")
	if err != nil || sync.Status != projections.StatusFailed {
		t.Errorf("the lost sync: %+v, %v", sync, err)
	}
}

// A worker that was only slow finds, when it comes back, that another one has
// started its sync again: it says and lands nothing more.
func TestOvertakenWorkerFallsSilent(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	reached, release := w.hold(3)
	defer release()
	c := w.syncCommand(command.SyncOptions{BatchSize: 10})
	stale := w.handlers.histories.Job(&command.Command{ID: "0190a000-0000-7000-8000-0000000000aa", Data: c})
	ended := make(chan error, 1)
	go func() { ended <- w.handlers.syncs.Sync(t.Context(), stale, c) }()
	<-reached

	v, err := stale.Load(t.Context())
	w.check(err)
	taken := &event.SyncStarted{Meta: c.Meta.Meta, SyncID: c.SyncID, Attempt: 2, Mode: landing.FullRefresh}
	fence, err := w.bus.Append(t.Context(), v.After, &event.Event{ID: "taken", Time: time.Now().UTC(), Data: taken})
	if err != nil {
		// A progress event came between.
		v, err = stale.Load(t.Context())
		w.check(err)
		fence, err = w.bus.Append(t.Context(), v.After, &event.Event{ID: "taken", Time: time.Now().UTC(), Data: taken})
	}
	w.check(err)
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "put off") {
			t.Errorf("the overtaken worker answers %v; the command is not its to ack", err)
		}
	case <-time.After(patience):
		t.Fatal("the overtaken worker goes on")
	}
	if events := w.events(w.address); events[len(events)-1].Sequence != fence {
		t.Errorf("it said more: %v", w.names(w.address))
	}
	if rows := w.landed("orders"); len(rows) != 0 {
		t.Errorf("it landed %d rows", len(rows))
	}
}
