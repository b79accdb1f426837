package handlers

import (
	"context"
	"errors"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/projections"
)

// TestFreshness: a table is complete up to when the last read of it began that
// ended as completed.
func TestFreshness(t *testing.T) {
	w, _ := scheduledWorld(t, 0)
	w.source.put("carts", 20)
	before := time.Now()
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	fresh := func() (oldest *time.Time, tables map[string]time.Time) {
		source, err := w.store.Source(w.address)
		w.check(err)
		found, err := w.store.LandedTables(w.address)
		w.check(err)
		tables = map[string]time.Time{}
		for _, l := range found {
			tables[l.Name] = *l.FreshUntil
		}
		return source.LastSync.FreshUntil, tables
	}
	oldest, first := fresh()
	if oldest == nil || len(first) != 2 || oldest.Before(before) || oldest.After(first["carts"]) || oldest.After(first["orders"]) {
		t.Fatalf("fresh until %v, %v", oldest, first)
	}
	// A read without news is news of that.
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	if _, second := fresh(); !second["orders"].After(first["orders"]) {
		t.Errorf("fresh until %v, then %v", first, second)
	}
	// A table that fails stays as fresh as it was, and so does the source.
	_, third := fresh()
	w.source.put("carts", 40)
	w.source.onBatch = func(_ context.Context, table string, _ int) error {
		if table == "carts" {
			return errors.New("no")
		}
		return nil
	}
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	oldest, fourth := fresh()
	if !fourth["orders"].After(third["orders"]) || !fourth["carts"].Equal(third["carts"]) || oldest == nil || !oldest.Equal(third["carts"]) {
		t.Errorf("fresh until %v, then %v, the source %v", third, fourth, oldest)
	}
	for _, r := range last[*event.SyncCompleted](w).Tables {
		if (r.FreshUntil != nil) != (r.Status == tableCompleted) {
			t.Errorf("%+v", r)
		}
	}
}

// TestFreshnessByAnotherClock: the source's clock may be ahead or behind. What has landed
// is told by ours, so that a sync beside one that goes on neither ends before its rows have
// landed, nor waits until the other clock comes round.
func TestFreshnessByAnotherClock(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			o := quick()
			o.PositionEvery = 20 * time.Millisecond
			w, l := newLog(t, o, "orders")
			l.ahead = ahead
			gate := make(chan struct{}, 1)
			gate <- struct{}{}
			l.onFlush = func(int) error {
				select {
				case <-gate:
					gate <- struct{}{}
				case <-t.Context().Done():
				}
				return nil
			}
			go w.handlers.RunSchedules(t.Context())
			w.continuously(false)
			changes := func() *event.Changes {
				source, err := w.store.Source(w.address)
				w.check(err)
				c := event.Changes{}
				if source.Changes != nil {
					c = source.Changes.Changes
				}
				if c.FreshUntil != nil && c.FreshUntil.After(time.Now()) {
					t.Fatalf("complete until %s, which is to come", c.FreshUntil)
				}
				return &c
			}
			w.eventually("the log to be followed", func() bool { return changes().FreshUntil != nil })
			l.do("orders", driver.OpInsert, 1, "landed")
			w.eventually("it to be told of", func() bool { return changes().CommittedAt != nil })
			<-gate
			l.mu.Lock()
			l.unread = 1 // so that what has landed tells how complete it is, and nothing else
			l.mu.Unlock()
			l.do("orders", driver.OpInsert, 2, "not yet landed")
			ended := make(chan struct{})
			defer close(ended)
			time.AfterFunc(time.Second, func() {
				gate <- struct{}{}
				for id := int64(3); ; id++ {
					l.do("orders", driver.OpInsert, id, "later")
					select {
					case <-ended:
						return
					case <-time.After(100 * time.Millisecond):
					}
				}
			})
			beside := w.syncCommand(command.SyncOptions{})
			beside.Deadline = time.Now().Add(2 * patience)
			if op := w.do(beside); op.Status != projections.StatusCompleted {
				t.Errorf("a sync beside it: %s %+v", op.Status, op.Targets)
			}
			if w.holds("orders")[2] != "not yet landed" {
				t.Error("a sync beside it ended before its rows had landed")
			}
		})
	}
}

// TestFreshnessOfAClockThatWasAhead: what was called complete up to a time to come, as by
// the clock of the source, is not called so for longer than until the next sync.
func TestFreshnessOfAClockThatWasAhead(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	for n, early := range []time.Duration{0, time.Hour, 0} {
		l.mu.Lock()
		l.early = early
		l.mu.Unlock()
		for id := range int64(4) { // more than land at once: the last ones count by when the sync began
			l.do("orders", driver.OpInsert, int64(n)*4+id, "a")
		}
		w.do(w.syncCommand(capturing()))
		source, err := w.store.Source(w.address)
		w.check(err)
		if c := source.Changes; c == nil || c.FreshUntil == nil || c.FreshUntil.After(time.Now()) != (early > 0) {
			t.Errorf("early by %s: %+v", early, c)
		}
	}
}
