package syncing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
	"headwater/handlers/throughput"
)

// following is the part of a tableRun for a table whose changes are followed. The
// tableRun's mutex guards it.
type following struct {
	log, soft bool                 // changes: append, and soft_delete
	from      string               // the position at which the whole read under way was captured
	whole     bool                 // it must be read whole, whatever position it has
	missed    string               // why the whole read was not at the moment of its capture
	sought    int                  // how often it was discovered once more as it was, and nothing of it landed
	aside     time.Time            // when it was set aside, zero while it is followed
	fresh     *time.Time           // the time up to which it is complete, nil if not known
	tally     extract.TableChanges // the changes that have landed
}

// recall takes over the state of the same table in an earlier round. With retry, a table
// that was set aside is read whole instead of staying so.
func (t *tableRun) recall(before *tableRun, retry bool) {
	was := before.snapshot()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = before.began
	t.follow.fresh, t.follow.whole, t.follow.tally, t.follow.sought = before.follow.fresh, before.follow.whole, before.follow.tally, before.follow.sought
	t.tallied()
	if definition(t.table) != definition(before.table) {
		t.follow.sought = 0
	}
	if before.follow.aside.IsZero() {
		return
	}
	if retry {
		t.follow.whole = true
		return
	}
	t.follow.aside = before.follow.aside
	t.result.Status, t.result.Reason, t.result.Message, t.result.SetAside = was.Status, was.Reason, was.Message, true
}

// target returns how the changes of a table land.
func (t *followed) target(a *attempt) landing.Target {
	return landing.Target{
		Address: a.j.Address, Table: t.table, SyncID: a.id, Fence: a.fence, Moved: a.source.Moved, Mode: landing.Changes,
		Key: slices.Clone(t.options.Key), Reset: t.options.Reset, Log: t.follow.log, Soft: t.follow.soft,
		StopReplaced: a.options.OnReplaced == command.Stop,
	}
}

// abort ends the table's writer, if it has one. A failure goes to the log: the files
// that stay are removed when the table is written again.
func (t *followed) abort(ctx context.Context, a *attempt) {
	if t.writer == nil {
		return
	}
	if err := t.writer.Abort(ctx); err != nil {
		a.j.Log.Warn("uncommitted files stay until the table is written again", "table", t.table.String(), "error", err)
	}
	t.writer = nil
}

// open takes a table over and finds where its changes go on. It returns the error of
// Lake.Begin.
func (t *followed) open(ctx context.Context, a *attempt) (err error) {
	if t.writer, err = a.h.Lake.Begin(ctx, t.target(a)); err != nil {
		return err
	}
	t.after = t.writer.Position()
	if t.follow.whole {
		t.after = ""
	}
	t.kept(t.writer.Table())
	t.note(t.writer.Notes()...)
	landed := t.writer.Landed()
	t.resume(landed)
	t.mu.Lock()
	t.result.Position = t.after
	t.mu.Unlock()
	return nil
}

// captured returns the table as the capture is asked for it.
func (t *followed) captured() driver.CapturedTable {
	table := t.writer.Table()
	table.PrimaryKey = t.options.Key
	return driver.CapturedTable{Table: table, After: t.after, Whole: t.follow.log}
}

// request returns the table as its changes are asked for; without a Layout if it is set
// aside.
func (t *followed) request() extract.ChangedTable {
	if t.writer == nil {
		return extract.ChangedTable{Table: t.table} // left out
	}
	return extract.ChangedTable{
		Table: t.writer.Table(), Layout: t.writer.Layout(), Key: slices.Clone(t.options.Key), Log: t.follow.log, Files: t.files(t.writer),
	}
}

// landed notes a commit of changes up to a position; a zero fresh is not known.
func (t *followed) landed(c extract.TableChanges, committed landing.Committed, position string, fresh time.Time) {
	t.commit(committed, false)
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := &t.follow.tally
	sum.Inserted, sum.Updated = sum.Inserted+c.Inserted, sum.Updated+c.Updated
	sum.Deleted, sum.Truncated = sum.Deleted+c.Deleted, sum.Truncated+c.Truncated
	t.tallied()
	t.result.Position, t.tableRun.changed, t.follow.sought = position, true, 0
	if !fresh.IsZero() {
		t.follow.fresh = &fresh
	}
}

// tallied copies the counts of landed changes into the result. The caller holds the mutex.
func (t *tableRun) tallied() {
	sum := t.follow.tally
	t.result.Inserted, t.result.Updated, t.result.Deleted, t.result.Truncated = sum.Inserted, sum.Updated, sum.Deleted, sum.Truncated
}

// complete marks a table as completed that was followed to the end; a zero fresh is not
// known.
func (t *tableRun) complete(fresh time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.result.Status != statusRunning {
		return
	}
	took := time.Since(t.began)
	t.result.Status, t.result.DurationMS, t.result.Rate = statusCompleted, took.Milliseconds(), throughput.PerSecond(t.result.Records, took)
	if !fresh.IsZero() {
		t.follow.fresh = &fresh
	}
}

// failed decides what the failure of one table means. A transient failure, or one that
// ends the work, is returned and ends the round. Any other sets only this table aside.
func (f *follower) failed(work context.Context, t *followed, err error) error {
	err = outcome.CauseOf(work, err)
	switch {
	case work.Err() != nil:
		return err
	case errors.Is(err, landing.ErrFenced):
		if lost := f.journal.confirm(f.base); lost != nil {
			return lost
		}
	case mayPass(err):
		return err
	}
	return f.setAside(t, err)
}

// seek reports whether the table is to be discovered once more, because it may have been
// altered since: for some reasons, as long as seeks allows it.
func (t *followed) seek(reason event.Reason, reasons ...event.Reason) bool {
	return slices.Contains(reasons, reason) && t.seeks()
}

// seeks reports whether the table may be discovered once more, and counts it. It may be
// mostSought times in a row, until something of it lands or it is found to be another: a
// table may be altered several times in a row.
func (t *followed) seeks() bool {
	if t.follow.sought >= mostSought {
		return false
	}
	t.follow.sought++
	return true
}

const mostSought = 4

// misses has the table wait for another capture, because it could not be read at the moment
// of this one. missed returns why, and forgets it.
func (t *tableRun) misses(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(t.committed.Records, t.committed.Bytes)
	t.result.Status, t.follow.missed = statusWaiting, why
}

func (t *tableRun) missed() (why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	why, t.follow.missed = t.follow.missed, ""
	return why
}

// definition returns what an ALTER TABLE changes of a table, as text.
func definition(t driver.Table) string {
	return fmt.Sprintf("%q %q %q %+v", t, t.Identity, t.PrimaryKey, t.Columns)
}

// setAside has the log go on without the table, and writes so to the history before the
// log is confirmed. It returns the error of that event.
func (f *follower) setAside(t *followed, why error) error {
	reason, message := outcome.Explain(why)
	if reason == event.ReasonInternal {
		f.j.Log.Error("a table's changes could not be landed", "table", t.table.String(), "error", why)
	}
	next := ", and the next sync that takes it reads it whole"
	if errors.Is(why, driver.ErrReplaced) && f.options.OnReplaced == command.Stop {
		next = ", as sync_options.on_replaced is stop; sync_options.reset of it, or restart, reads it whole"
	}
	t.fail(reason, message+"; the other tables go on without it"+next, time.Since(t.began))
	t.mu.Lock()
	t.result.SetAside, t.result.Position, t.follow.aside = true, "", time.Now()
	t.mu.Unlock()
	t.abort(context.WithoutCancel(f.base), f.attempt)
	return f.journal.progress(f.base, t.tableRun)
}
