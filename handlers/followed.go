package handlers

import (
	"context"
	"errors"
	"slices"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
	"headwater/handlers/throughput"
)

// following is what is particular to a table whose changes are followed.
type following struct {
	log, soft bool
	from      string     // the position of the load at hand
	whole     bool       // it is to be read whole, whatever it says itself
	sought    bool       // it was looked for once more, and nothing of it has landed since
	aside     time.Time  // when it was set aside, zero while it is followed
	fresh     *time.Time // up to when it is complete
	tally     extract.TableChanges
}

// recall goes on with what a table of an earlier round was; with retry, also where
// it was set aside.
func (t *tableRun) recall(before *tableRun, retry bool) {
	was := before.snapshot()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = before.began
	t.follow.fresh, t.follow.whole, t.follow.tally, t.follow.sought = before.follow.fresh, before.follow.whole, before.follow.tally, before.follow.sought
	t.tallied()
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

// target says how the changes of a table land.
func (t *followed) target(a *attempt) landing.Target {
	return landing.Target{
		Address: a.j.address, Table: t.table, SyncID: a.id, Fence: a.fence, Mode: landing.Changes,
		Key: slices.Clone(t.options.Key), Reset: t.options.Reset, Log: t.follow.log, Soft: t.follow.soft,
	}
}

func (t *followed) abort(ctx context.Context, a *attempt) {
	if t.writer == nil {
		return
	}
	if err := t.writer.Abort(ctx); err != nil {
		a.j.log.Warn("uncommitted files stay until the table is written again", "table", t.table.String(), "error", err)
	}
	t.writer = nil
}

// open takes a table over and finds where its changes go on.
func (t *followed) open(ctx context.Context, a *attempt) (err error) {
	if t.writer, err = a.h.lake.Begin(ctx, t.target(a)); err != nil {
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

// captured returns the table as its changes are asked for.
func (t *followed) captured() driver.CapturedTable {
	table := t.writer.Table()
	table.PrimaryKey = t.options.Key
	return driver.CapturedTable{Table: table, After: t.after, Whole: t.follow.log}
}

// request returns the table as its changes are read.
func (t *followed) request() extract.ChangedTable {
	if t.writer == nil {
		return extract.ChangedTable{Table: t.table} // left out
	}
	return extract.ChangedTable{
		Table: t.writer.Table(), Layout: t.writer.Layout(), Key: slices.Clone(t.options.Key), Log: t.follow.log, Files: t.files(t.writer),
	}
}

// landed notes changes that have landed.
func (t *followed) landed(c extract.TableChanges, committed landing.Committed, position string, fresh time.Time) {
	t.commit(committed, false)
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := &t.follow.tally
	sum.Inserted, sum.Updated = sum.Inserted+c.Inserted, sum.Updated+c.Updated
	sum.Deleted, sum.Truncated = sum.Deleted+c.Deleted, sum.Truncated+c.Truncated
	t.tallied()
	t.result.Position, t.tableRun.changed, t.follow.sought = position, true, false
	if !fresh.IsZero() {
		t.follow.fresh = &fresh
	}
}

// tallied tells the changes that have landed, as the source made them.
func (t *tableRun) tallied() {
	sum := t.follow.tally
	t.result.Inserted, t.result.Updated, t.result.Deleted, t.result.Truncated = sum.Inserted, sum.Updated, sum.Deleted, sum.Truncated
}

// complete ends a table that was followed up to the end.
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

// failed says what the failure of one table means. It returns the error where all
// of them wait for what it says, and sets the table aside where it is its own.
func (f *follower) failed(work context.Context, t *followed, err error) error {
	err = causeOf(work, err)
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

// seek reports whether the table is to be discovered once more, because it was altered
// since: that its columns are not there may be as short-lived.
func (t *followed) seek(reason event.Reason, reasons ...event.Reason) bool {
	if t.follow.sought || !slices.Contains(reasons, reason) {
		return false
	}
	t.follow.sought = true
	return true
}

// setAside has the log go on without the table.
func (f *follower) setAside(t *followed, why error) error {
	reason, message := outcome.Explain(why)
	if reason == event.ReasonInternal {
		f.j.log.Error("a table's changes could not be landed", "table", t.table.String(), "error", why)
	}
	t.fail(reason, message+"; the other tables go on without it, and the next sync that takes it reads it whole", time.Since(t.began))
	t.mu.Lock()
	t.result.SetAside, t.result.Position, t.follow.aside = true, "", time.Now()
	t.mu.Unlock()
	t.abort(context.WithoutCancel(f.base), f.attempt)
	return f.journal.progress(f.base, t.tableRun)
}
