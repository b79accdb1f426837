package handlers

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// syncEnded reports whether a sync of the source has ended.
func (w *world) syncEnded() bool {
	names := w.names(w.address)
	return slices.Contains(names, "SyncFailed") || slices.Contains(names, "SyncCompleted")
}

// A continuous sync that is paused, or whose source is updated, is completed only if the
// source says then that its log is the one that was read.
func TestAPausedSyncIsCompletedWithProof(t *testing.T) {
	for name, c := range map[string]struct {
		why    error
		reason event.Reason
		words  string
	}{
		"begun anew": {driver.E(driver.ErrReplaced, nil, "the log was begun anew"), event.ReasonSchemaChanged, "sync_options.reset"},
		"no answer":  {driver.E(driver.ErrUnreachable, nil, "the server does not answer"), event.ReasonUnreachable, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			w, l := newLog(t, quick(), "orders")
			runs := make(chan struct{})
			go func() { defer close(runs); w.handlers.RunSchedules(t.Context()) }()
			l.do("orders", driver.OpInsert, 1, "one")
			w.continuously(false)
			w.eventually("the row to land", func() bool { return maps.Equal(w.holds("orders"), l.all()["orders"]) })
			l.do("orders", driver.OpInsert, 2, "followed")
			w.eventually("the change to land", func() bool { return maps.Equal(w.holds("orders"), l.all()["orders"]) })
			l.mu.Lock()
			l.onStand = func() error { return c.why }
			l.mu.Unlock()
			w.continuously(true)
			w.eventually("the sync to end", w.syncEnded)
			if got := last[*event.SyncFailed](w); got.Reason != c.reason || !strings.Contains(got.Message, c.words) {
				t.Errorf("%s: %s", got.Reason, got.Message)
			}
			w.handlers.Stop()
			<-runs
		})
	}
}

// A pause also ends a sync whose source cannot be reached: it does not go on trying.
func TestASyncIsPausedWhileItsSourceIsDown(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	runs := make(chan struct{})
	go func() { defer close(runs); w.handlers.RunSchedules(t.Context()) }()
	l.do("orders", driver.OpInsert, 1, "one")
	w.continuously(false)
	w.eventually("the row to land", func() bool { return maps.Equal(w.holds("orders"), l.all()["orders"]) })
	var tries atomic.Int32
	l.mu.Lock()
	down := func() error { tries.Add(1); return driver.E(driver.ErrUnreachable, nil, "the server is down") }
	l.onFlush, l.onCapture = func(int) error { return down() }, func(driver.Capture) error { return down() }
	l.mu.Unlock()
	w.eventually("another try", func() bool { return tries.Load() > 2 })
	w.continuously(true)
	w.eventually("the sync to end", w.syncEnded)
	if got := last[*event.SyncFailed](w); got.Reason != event.ReasonUnreachable {
		t.Errorf("%s: %s", got.Reason, got.Message)
	}
	w.handlers.Stop()
	<-runs
}
