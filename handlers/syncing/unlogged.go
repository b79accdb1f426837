package syncing

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

// readsWhole has a table read whole, like one without a key, if the source's log cannot
// have its changes (driver.ErrUnsupported), and reports whether it does. It does not for a
// table that holds its log or deleted rows, because a whole read gives neither: that one
// is set aside.
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

// over takes over what an earlier round has read of a table whole, or nothing if that was
// interrupted.
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

// recallWhole takes over what an earlier round found about a table that was read whole. A
// continuous sync asks the source every AsideEvery whether its log now has the changes.
func (f *follower) recallWhole(t, before *tableRun) {
	asked, unlogged := f.unlogged[t.table.String()]
	switch {
	case t.follow == nil:
	case unlogged && f.follows > 0 && time.Since(asked) >= f.h.Options.AsideEvery:
		t.before = before
		return
	case unlogged:
		t.follow = nil
	default:
		return // it has a key now
	}
	t.over(before)
}

// followable returns ReasonUnsupported for a continuous sync without a table to follow,
// else nil.
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

// unread says in the results of tables that were still to be read whole that they were
// not read.
func (f *follower) unread() {
	for _, t := range f.attempt.tables {
		t.mu.Lock()
		if t.follow == nil && t.unread == nil && t.result.Status == statusWaiting {
			t.result.Message = "it was not read: the sync ended before its turn"
		}
		t.mu.Unlock()
	}
}
