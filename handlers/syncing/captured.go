package syncing

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
	"headwater/handlers/schema"
	"headwater/handlers/sourcelog"
	"headwater/handlers/syncoptions"
)

// captured is the log that a round has opened.
type captured struct {
	extract.Captured
	at time.Time // when it was opened: a whole read at its moment has everything committed before
}

// begin takes the tables over and finds where the changes to each go on. A table that
// cannot be taken over is set aside; the error is of the whole round.
func (f *follower) begin(work context.Context) error {
	anew := f.at.position() == "" // the tables' positions are of a log that was given up
	for _, t := range f.attempt.tables {
		if t.follow == nil || !t.follow.aside.IsZero() {
			continue
		}
		if name := t.table.String(); !f.met[name] {
			// The log has gone on without a table that is found only now. What has landed of
			// one that the history does not know is not marked when the log goes on without it.
			t.follow.whole = t.follow.whole || f.opened || f.aside[name] || !f.logged[name]
			f.met[name] = true
			delete(f.passed, name)
		}
		t.follow.whole = t.follow.whole || anew
		t.begin()
		one := &followed{tableRun: t}
		f.tables = append(f.tables, one)
		if err := one.open(work, f.attempt); err != nil {
			f.tables = f.tables[:len(f.tables)-1]
			if err := f.failed(work, one, err); err != nil {
				return err
			}
		}
	}
	// Taking a table over may have made it again behind the back of a worker that
	// removed the source.
	return f.journal.confirm(work)
}

// take opens the log for the tables, and returns the zero captured without any. If no
// table goes on in it, its position is in the history before anything is read whole: all
// that changes from then on is in the log after it. It returns errAgain if the tables
// have to be discovered once more.
func (f *follower) take(work context.Context) (c captured, err error) {
	if len(f.tables) == 0 {
		return c, nil
	}
	if err := f.at.catchUp(f); err != nil {
		return c, err
	}
	ask := driver.Capture{
		Reader: f.reader, Owner: sourcelog.OwnerOf(f.source), Landed: f.at.position(), Delay: syncoptions.Delay(f.options), Bytes: f.h.Options.CommitBytes, Continuous: f.follows > 0,
	}
	anew := true
	for _, t := range f.tables {
		ask.Tables = append(ask.Tables, t.captured())
		anew = anew && t.after == ""
	}
	if anew {
		ask.Landed = ""
	}
	c.at = time.Now()
	f.unsaid = f.unsaid || anew
	f.j.Seam("capturing")
	if c.Captured, err = f.log.Capture(work, ask); err != nil {
		return c, err
	}
	f.opened = true
	f.j.Seam("captured")
	if anew && c.Position != "" {
		if err := f.behind("the log was taken up anew: it is read whole", func(string) bool { return true }); err != nil {
			return c, err
		}
		f.j.Seam("anew")
		f.at.takenUp(c.Position)
		if err := f.at.tell(f, true); err != nil {
			return c, err
		}
		f.unsaid = false
	}
	if err := f.refused(c.Refused); err != nil {
		return c, err
	}
	return c, f.passedBy()
}

// refused deals with the tables whose changes the source refused, by their index: each is
// read whole or set aside. It returns errAgain if one is to be captured once more.
func (f *follower) refused(why map[int]error) error {
	again := false
	for i, t := range f.tables {
		if why[i] == nil {
			delete(f.unlogged, t.table.String())
			t.before = nil
		}
	}
	for i, err := range why {
		if i < 0 || i >= len(f.tables) {
			continue
		}
		t := f.tables[i]
		if f.readsWhole(t, err) {
			continue
		}
		if errors.Is(err, driver.ErrReplaced) && !t.follow.whole && f.options.OnReplaced != command.Stop {
			if err := f.behind("it is read whole again: "+err.Error(), func(name string) bool { return name == t.table.String() }); err != nil {
				return err
			}
			t.follow.whole, again = true, true
			t.note(err.Error() + ": it was read whole again")
			continue
		}
		if reason, _ := outcome.Explain(err); t.seek(reason, event.ReasonNotFound, event.ReasonBadData) {
			again = true
			continue
		}
		if err := f.setAside(t, err); err != nil {
			return err
		}
	}
	if again {
		return errAgain
	}
	return nil
}

// passedBy marks the tables that were followed and are not taken by this sync, or not
// offered in this round: the log goes on without them, so that whoever takes one next must
// read it whole.
func (f *follower) passedBy() error {
	here := map[string]bool{}
	for _, t := range f.attempt.tables {
		name := t.table.String()
		_, unlogged := f.unlogged[name]
		here[name] = t.follow != nil || unlogged
	}
	maps.DeleteFunc(f.met, func(name string, _ bool) bool { return !here[name] })
	return f.behind("this sync does not take it, and the source's log goes on: the next sync that does reads it whole", func(name string) bool {
		if here[name] || f.passed[name] {
			return false
		}
		f.passed[name] = true
		return true
	})
}

// behind marks tables that were followed in the history, by name, as ones that the log has
// gone on without, until they are read whole. What has landed of them does not show it:
// another attempt, or another sync, would go on where they are.
func (f *follower) behind(why string, is func(name string) bool) error {
	all, err := f.j.State.Landed(f.j.Address)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.Mode != landing.Changes || t.SetAside || !is(schema.Name(t.Namespace, t.Name)) {
			continue
		}
		if err := f.journal.tell(f.base, event.TableResult{
			Name: t.Name, Namespace: t.Namespace, Status: statusWaiting, Mode: landing.Changes, SetAside: true, Message: why,
		}); err != nil {
			return err
		}
	}
	return nil
}

// load reads whole the tables that need it, as of the moment of the capture if it has
// one, and finds where their changes go on.
func (f *follower) load(work context.Context, c captured) error {
	var runs []*tableRun
	var loads []*followed
	for _, t := range f.tables {
		if t.writer == nil || t.after != "" {
			continue
		}
		t.abort(work, f.attempt)
		t.follow.from = c.Position
		runs, loads = append(runs, t.tableRun), append(loads, t)
	}
	for _, t := range f.attempt.tables {
		if t.follow == nil && t.result.Status == statusWaiting {
			runs = append(runs, t)
		}
	}
	if len(runs) == 0 {
		return nil
	}
	if err := f.read(work, runs, c); err != nil {
		return err
	}
	again := false
	for _, t := range loads {
		if err := f.loaded(work, t, c); errors.Is(err, errAgain) {
			again = true // what the others have read counts
		} else if err != nil {
			return err
		}
	}
	if again {
		return errAgain
	}
	return nil
}

// read reads tables whole, over connections of their own, because the capture's holds the
// moment. It returns when all have ended, with what ended the reading before, if anything
// did.
func (f *follower) read(work context.Context, runs []*tableRun, c captured) error {
	m := &f.moment
	m.name, m.at, m.left, m.begun = c.Moment, c.at, len(runs), make(chan struct{})
	queue := make(chan *tableRun, len(runs))
	for _, t := range runs {
		queue <- t
	}
	close(queue)
	ctx, stop := context.WithCancelCause(work)
	defer stop(nil)
	defer f.report(ctx, stop)()
	defer f.guard(ctx, stop)()
	var wg sync.WaitGroup
	for _, l := range f.landers(len(runs)) {
		wg.Go(func() {
			defer l.close()
			defer f.width.leave(l)
			for t := range queue {
				if err := l.table(f.base, ctx, t); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// loaded finds where the changes go on to a table that was read whole. If an earlier
// attempt read it, as of another moment, it returns errAgain: the next round opens the log
// from there.
func (f *follower) loaded(work context.Context, t *followed, c captured) error {
	if why := t.missed(); why != "" {
		if t.seeks() {
			return f.postpone(t, why)
		}
		return f.setAside(t, outcome.Failf(event.ReasonSchemaChanged, "%s could not be read at the moment behind which its changes begin, %d times in a row: %s", t.table, mostSought+1, why))
	}
	if t.result.Status == statusFailed {
		f.j.Log.Debug("a table could not be read", "table", t.table.String(), "why", t.result.Message)
		if t.seek(t.result.Reason, event.ReasonNotFound) {
			return errAgain
		}
		return f.setAsideFailed(t)
	}
	t.follow.whole = false
	if err := t.open(work, f.attempt); err != nil {
		return f.failed(work, t, err)
	}
	if t.after != c.Position {
		return errAgain
	}
	at := c.at
	t.mu.Lock()
	t.follow.fresh, t.tableRun.changed = &at, true
	t.mu.Unlock()
	return f.journal.progress(f.base, t.tableRun)
}

// postpone has the log go on without a table that could not be read at the capture's
// moment, until something of the others has landed: then it is captured anew. A table that
// is altered again and again does not hold up the others. Its error is that of the event.
func (f *follower) postpone(t *followed, why string) error {
	t.follow.whole, f.postponed = true, true
	message := "it could not be read at the moment behind which its changes begin, and is read again: " + why
	t.mu.Lock()
	t.result.Message = message
	t.mu.Unlock()
	return f.journal.tell(f.base, event.TableResult{
		Name: t.table.Name, Namespace: t.table.Namespace, Status: statusWaiting, Mode: landing.Changes, SetAside: true, Message: message,
	})
}

// setAsideFailed sets aside a table whose result already says why.
func (f *follower) setAsideFailed(t *followed) error {
	t.mu.Lock()
	t.result.SetAside, t.result.Position, t.follow.aside = true, "", time.Now()
	t.mu.Unlock()
	return f.journal.progress(f.base, t.tableRun)
}
