package waiters

import (
	"context"
	"slices"
	"testing"
	"time"

	"headwater/bus/event"
)

func signalled(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// A batch wakes exactly those it concerns, and whoever stops is forgotten.
func TestWakeWhomItConcerns(t *testing.T) {
	var w Waiters
	near, stopNear := w.Sequence(5, func() bool { return false })
	far, stopFar := w.Sequence(9, func() bool { return false })
	if there, stop := w.Sequence(3, func() bool { return true }); there != nil || !stop() {
		t.Error("a sequence that is reached is waited for")
	}
	mine, stopMine := w.Operation("mine")
	other, stopOther := w.Operation("other")
	ctx, forget := context.WithCancel(t.Context())
	a, b := event.Address{Source: "src_a"}, event.Address{Source: "src_b"}
	first, second, runs := w.Source(ctx, a), w.Source(ctx, b), w.Schedules(ctx)
	var revoked []string
	w.OnRevoked(func(id string) { revoked = append(revoked, id) })

	changed := map[event.Address]struct{}{a: {}}
	w.Wake(7, changed, []string{"mine"}, []string{"tok_1"}, false)
	w.Wake(7, changed, nil, nil, false)
	if !signalled(near) || signalled(far) || !stopNear() {
		t.Error("of the sequences, the one that was reached is woken")
	}
	if !signalled(mine) || signalled(other) {
		t.Error("of the operations, the one that ended is woken")
	}
	if !signalled(first) || signalled(first) || signalled(second) || signalled(runs) {
		t.Error("of the sources, the one that changed is signalled, and once")
	}
	w.Wake(8, nil, nil, nil, true)
	if !signalled(first) || !signalled(second) || !signalled(runs) {
		t.Error("without a list of sources all that watch are signalled")
	}
	if !slices.Equal(revoked, []string{"tok_1"}) {
		t.Errorf("revoked: %q", revoked)
	}

	if stopFar() {
		t.Error("a waiter that stops was not woken")
	}
	stopMine()
	stopOther()
	forget()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		sequences, operations, sources := w.Waiting()
		if sequences+operations+sources == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sequences, %d operations and %d sources are still registered", sequences, operations, sources)
		}
	}
}
