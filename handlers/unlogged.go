package handlers

import (
	"context"
	"errors"
	"strings"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
)

// readsWhole has a table be read whole, as one without a key is, where the source's
// log cannot have its changes (driver.ErrUnsupported): its rows can be had all the
// same. It reports whether it does. A table that holds its log, or deleted rows, is
// nothing that a read of now gives: such a one is set aside.
func (f *follower) readsWhole(t *followed, why error) bool {
	if !errors.Is(why, driver.ErrUnsupported) || t.follow.log || t.follow.soft {
		return false
	}
	t.abort(context.WithoutCancel(f.base), f.attempt)
	f.unlogged[t.table.String()] = time.Now()
	_, message := outcome.Explain(why)
	before := t.before
	t.mu.Lock()
	t.follow, t.before = nil, nil
	t.result.Status, t.result.Mode, t.result.Position = statusWaiting, landing.FullRefresh, ""
	t.result.Message = strings.TrimSuffix(message, ".") + ". Meanwhile each sync reads the whole table, and one that goes on reads it as it begins"
	t.mu.Unlock()
	if before != nil { // it was asked about again
		t.over(before)
	}
	return true
}

// over goes on with what an earlier round has read of a table whole, or with nothing
// where that was interrupted.
func (t *tableRun) over(before *tableRun) {
	before.mu.Lock()
	was, committed := before.result, before.committed
	before.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if was.Status == statusRunning {
		was.Status, committed = statusWaiting, landing.Committed{}
	}
	t.result, t.committed = was, committed
	t.result.Records, t.result.Bytes = 0, 0
	t.count(committed.Records, committed.Bytes)
}

// recallWhole gives a table that was read whole what an earlier round found. Of one
// whose changes could not be had, the source is asked again now and then by a sync
// that goes on.
func (f *follower) recallWhole(t, before *tableRun) {
	asked, unlogged := f.unlogged[t.table.String()]
	switch {
	case t.follow == nil:
	case unlogged && f.follows > 0 && time.Since(asked) >= f.h.options.AsideEvery:
		t.before = before
		return
	case unlogged:
		t.follow = nil
	default:
		return // it has a key now
	}
	t.over(before)
}

// followable returns why a sync that goes on has nothing to go on with.
func (f *follower) followable() error {
	if f.follows == 0 {
		return nil
	}
	message := ""
	for _, t := range f.attempt.tables {
		if t.follow != nil {
			return nil
		}
		if message == "" && t.result.Mode == landing.FullRefresh {
			message = t.table.String() + ": " + t.result.Message
		}
	}
	if message == "" {
		return nil
	}
	return outcome.Failf(event.ReasonUnsupported, "the log has the changes of none of the tables, so that there is nothing to go on with: give the schedule every in place of continuous, or have the changes of one be had. %s", message)
}

// unread says of the tables that were to be read whole that they were not.
func (f *follower) unread() {
	for _, t := range f.attempt.tables {
		t.mu.Lock()
		if t.follow == nil && t.unread == nil && t.result.Status == statusWaiting {
			t.result.Message = "it was not read: the sync ended before its turn"
		}
		t.mu.Unlock()
	}
}
