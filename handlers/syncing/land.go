package syncing

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/inspect"
	"headwater/handlers/landing"
	"headwater/handlers/landing/border"
	"headwater/handlers/outcome"
)

// landAll lands every table, a few at once, each on a connection of its own; it
// closes first, which serves one of them. A table that fails leaves the others
// alone. The error is one that ends the attempt.
func (a *attempt) landAll(ctx, work context.Context, stop context.CancelCauseFunc, first extract.Session) error {
	queue := make(chan *tableRun, len(a.tables))
	for _, t := range a.tables {
		queue <- t
	}
	close(queue)
	stopReports := a.report(work, stop)
	defer stopReports()
	landers := a.landers(len(a.tables))
	a.share(work, first, len(landers))

	var wg sync.WaitGroup
	for i, l := range landers {
		wg.Go(func() {
			if i == 0 {
				l.conn = first
				defer a.release(work)
			}
			defer l.close()
			defer a.width.leave(l)
			for t := range queue {
				if err := l.table(ctx, work, t); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	if len(a.tables) == 0 {
		inspect.Close(a.j, first)
	}
	wg.Wait()
	if err := context.Cause(work); err != nil && !errors.Is(err, outcome.ErrDeadline) {
		return err
	}
	return nil
}

// mayPass reports whether another try is worth it: the failure is transient, or the
// connector's process was killed and another can be started.
func mayPass(err error) bool { return outcome.IsTransient(err) || errors.Is(err, extract.ErrKilled) }

// lander lands one table after another over one connection.
type lander struct {
	*attempt
	conn extract.Session // nil before the first use and after a failure
}

// close ends the connection, unless it holds the moment of the sync: then it stays open
// and is no longer used.
func (l *lander) close() {
	l.width.forget(l)
	if l.conn != nil && l.conn != l.moment.holder {
		inspect.Close(l.j, l.conn)
	}
	l.conn = nil
}

// table lands one table, trying again when what went wrong may pass. The
// outcome of the table is in its result; the error is one that ends the attempt.
func (l *lander) table(ctx, work context.Context, t *tableRun) error {
	began := time.Now()
	defer l.moment.start(t)
	if work.Err() != nil {
		if err := context.Cause(work); !errors.Is(err, outcome.ErrDeadline) {
			return err
		}
		reason, message := outcome.Explain(outcome.ErrDeadline)
		t.fail(reason, message, 0)
		return nil
	}
	t.begin()
	if t.unread != nil {
		return l.failed(ctx, t, t.unread, 0)
	}
	work, done := t.within(work)
	defer done()
	delay := l.h.Options.RetryDelay
	retypes := 0
	for tries := 0; ; tries++ {
		err := outcome.CauseOf(work, l.try(ctx, work, t))
		var lost *overtaken
		var unwritten *historyError
		var missed *missedError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &lost), errors.As(err, &unwritten), errors.Is(err, outcome.ErrStopping), errors.Is(err, errGiven):
			return err
		case errors.As(err, &missed):
			l.close()
			t.misses(missed.why)
			return nil
		case errors.Is(err, landing.ErrFenced):
			if err := l.journal.confirm(ctx); err != nil {
				return err
			}
		}
		if again, wrong := l.retyped(ctx, work, t, err, retypes); again && wrong == nil {
			retypes++
			tries--
			continue
		} else if again {
			err = wrong
		}
		l.close() // a connection that failed once is not to be trusted
		if errors.Is(err, driver.ErrReplaced) && !t.options.Replaced && work.Err() == nil {
			var again bool
			if again, err = l.restart(t, err); again {
				continue
			}
		}
		t.alone = true
		if !mayPass(err) || tries >= l.h.Options.TableRetries || work.Err() != nil {
			return l.failed(ctx, t, err, time.Since(began))
		}
		l.j.Log.Debug("a table is tried again", "table", t.table.String(), "try", tries+1, "error", err)
		select {
		case <-work.Done():
		case <-time.After(delay):
		}
		delay *= 4
	}
}

// restart has a table that was replaced at its source read from its start, unless
// the options say to stop: then it returns why.
func (l *lander) restart(t *tableRun, err error) (again bool, why error) {
	_, message := outcome.Explain(err)
	if l.options.OnReplaced == command.Stop {
		return false, outcome.Failf(event.ReasonSchemaChanged, "%s; name it in sync_options.reset to start over, or set sync_options.on_replaced to restart", message)
	}
	t.options.Replaced = true
	t.note(message + ": it was read from its start, to replace what had landed")
	return true, nil
}

// failed writes that a table did not land. Its error is that of the event.
func (l *lander) failed(ctx context.Context, t *tableRun, err error, took time.Duration) error {
	reason, message := outcome.Explain(err)
	if reason == event.ReasonInternal {
		l.j.Log.Error("a table could not be landed", "table", t.table.String(), "error", err)
	} else if reason == event.ReasonStorage {
		l.j.Log.Warn("a table could not be landed", "table", t.table.String(), "error", err)
	}
	t.fail(reason, message, took)
	return l.checkpoint(ctx, t)
}

// try lands one table once. A panic is the table's failure, so that it takes
// neither the process nor the other tables with it.
func (l *lander) try(base, work context.Context, t *tableRun) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.j.Log.Error("landing a table panicked", "table", t.table.String(), "stack", string(debug.Stack()))
			err = fmt.Errorf("landing %s panicked (%T)", t.table, p)
		}
	}()
	if l.conn == nil {
		if l.conn, err = l.h.Inspector.OpenCurrent(work, l.j, l.source, limitsOf(l.options)); err != nil {
			return err
		}
	}
	writer, err := l.h.Lake.Begin(work, t.target(l.attempt))
	if err != nil {
		return err
	}
	defer func() {
		// What was not committed is swept away, even when it is the context's
		// end that stopped the work.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(work), l.h.Options.Grace)
		defer cancel()
		if aborted := writer.Abort(ctx); aborted != nil {
			l.j.Log.Warn("uncommitted files stay until the table is written again", "table", t.table.String(), "error", aborted)
		}
	}()
	// Taking the table over may have made it again behind the back of a worker
	// that removed the source.
	if err := l.journal.confirm(work); err != nil {
		return err
	}
	t.kept(writer.Table())
	return l.copy(base, work, t, writer)
}

// target says how a table lands.
func (t *tableRun) target(a *attempt) landing.Target {
	target := landing.Target{
		Address: a.j.Address, Table: t.table, SyncID: a.id, Fence: a.fence, Moved: a.source.Moved, Mode: t.mode(), CursorColumn: t.cursor,
		Merge: t.options.Merge, Deleted: t.options.Deleted, Reset: t.options.Reset || t.options.Replaced, Replaced: t.options.Replaced && !t.options.Reset,
		From: t.options.From, StopReplaced: a.options.OnReplaced == command.Stop, KeepRows: a.options.OnColumnsChanged == command.Keep, AllowEmpty: a.options.AllowEmpty,
	}
	if target.Reset {
		target.From = nil
	}
	if f := t.follow; f != nil {
		target.CursorColumn, target.Key, target.Position, target.Log, target.Soft = "", slices.Clone(t.options.Key), f.from, f.log, f.soft
		return target
	}
	if target.Mode != landing.Incremental {
		return target
	}
	if target.Key = slices.Clone(t.options.Key); len(target.Key) > 0 && !target.Merge && !slices.Contains(target.Key, t.cursor) {
		target.Key = append(target.Key, t.cursor) // versions of a row, not rows
	}
	if t.options.Lookback != "" {
		target.Back = t.behind
	}
	return target
}

// copy moves rows from the source to the table: it commits at every checkpoint
// of an incremental read, and stages every range of a whole one.
func (l *lander) copy(base, work context.Context, t *tableRun, writer Writer) error {
	t.note(writer.Notes()...)
	landed, finished := writer.Finished()
	if finished {
		if l.moment.name != "" {
			t.apart("it had landed before the sync was taken up again")
		}
		t.commit(landed, true)
		return l.checkpoint(base, t)
	}
	t.resume(landed)
	t.reading = time.Now() // no row is older: the source is asked after it
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	request, stage := l.request(t, writer), writer.Stage
	request.Moment = l.moment.of(t)
	files := t.files(writer)
	idle := l.idle(t, cancel)
	defer idle.Stop()
	for m, err := range l.conn.Extract(ctx, request, files) {
		idle.Stop()
		if err != nil {
			return outcome.CauseOf(ctx, err)
		}
		l.moment.start(t)
		if m.Apart != "" && t.follow != nil {
			return &missedError{m.Apart}
		} else if m.Apart != "" {
			t.apart(m.Apart)
		} else if request.Moment != "" {
			t.reading = l.moment.at
		}
		t.add(m.Rows, m.Bytes)
		t.note(m.Notes...)
		if m.Rows > 0 {
			l.j.Seam("wrote")
		}
		switch {
		case m.Plan != nil:
			if err := writer.Keep(ctx, m.Plan.Kept); err != nil {
				return outcome.CauseOf(ctx, err)
			}
			writer.Start(m.Plan.Start)
			if m.Plan.Unread == 1 && len(m.Plan.Kept) == 0 {
				stage = writer.Hold
			}
			t.resume(writer.Landed())
		case m.Range != nil:
			t.parts(m.Range.Parts)
			done := t.committing()
			err := stage(ctx, m.Range.Range, m.Range.Largest, m.Range.Border, m.Range.Parts)
			if done(); err != nil {
				return outcome.CauseOf(ctx, err)
			}
			l.j.Seam("staged")
		case m.Checkpoint != nil:
			if err := l.emptying(t, request, landed.Total); err != nil && m.Checkpoint.Final {
				return err
			}
			if err := l.commit(base, ctx, t, writer, m.Checkpoint); err != nil {
				return err
			}
			if m.Checkpoint.Final {
				return nil
			}
		}
		idle.Reset()
	}
	// A source may take the end of its context for the end of the rows.
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the rows of %s came to no end", t.table)
}

// request says what is to be read of a table.
func (l *lander) request(t *tableRun, writer Writer) extract.Request {
	parallelism, narrow := l.options.Parallelism, 0
	if parallelism == 0 {
		parallelism = l.h.Options.RangeParallelism
		narrow = l.width.narrow(l, l.h.Options.RangesAtOnce, parallelism)
	}
	from := writer.Cursor()
	whole := from.Value == nil
	t.expect(whole)
	if t.mode() == landing.FullRefresh {
		from = driver.Cursor{} // any order will do
	}
	reached := writer.Border()
	if !whole {
		column, _ := t.table.Column(from.Column)
		from.Inclusive, from.Nulls = true, column.Nullable && reached.NullRows <= border.MaxNulls
	}
	return extract.Request{
		Table: writer.Table(), Layout: writer.Layout(),
		Whole: whole, From: from, Border: reached, Keyless: len(t.options.Key) == 0, Landed: writer.Staged(), Largest: t.cursor,
		Parallelism: parallelism, Narrow: narrow,
		CheckpointBytes: l.h.Options.CommitBytes, CheckpointEvery: l.h.Options.CommitEvery, TellEvery: l.h.Options.TellEvery,
	}
}

// commit makes what was read up to a checkpoint part of the table, and then says
// so.
func (l *lander) commit(base, ctx context.Context, t *tableRun, writer Writer, c *extract.Checkpoint) error {
	next := c.Next
	t.parts(c.Parts)
	if len(c.Parts) > 0 {
		if err := writer.Add(c.Parts...); err != nil {
			return outcome.CauseOf(ctx, err)
		}
	} else if c.Final && next == nil {
		var err error
		if next, err = writer.StagedMax(); err != nil {
			return outcome.CauseOf(ctx, err)
		}
	}
	writer.Reached(c.Border, c.Kept)
	writer.Tell(t.notes(), t.reading)
	done := t.committing()
	committed, err := writer.Commit(ctx, next, c.Final)
	if done(); err != nil {
		return outcome.CauseOf(ctx, err)
	}
	l.j.Seam("committed")
	t.note(writer.Notes()...)
	t.commit(committed, c.Final)
	return l.checkpoint(base, t)
}

// checkpoint writes what of a table is durably committed.
func (l *lander) checkpoint(ctx context.Context, t *tableRun) error {
	if err := l.journal.progress(ctx, t); err != nil {
		return err
	}
	l.j.Seam("checkpointed")
	return nil
}
