package syncing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/history"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/sourcelog"
)

// stream applies the changes of the captured tables, flush by flush. It returns nil after
// the final flush, and at once without a table to follow; but errAgain, after the first
// flush, if a table is postponed.
func (f *follower) stream(work context.Context) error {
	request := extract.ChangesRequest{TellEvery: f.h.Options.TellEvery}
	live := false
	for _, t := range f.tables {
		request.Tables = append(request.Tables, t.request())
		live = live || t.writer != nil
	}
	switch {
	case !live && f.postponed:
		return errAgain
	case !live:
		return nil
	}
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	f.began = time.Now()
	defer f.later(ctx)()
	defer f.beat(ctx, cancel)()
	for m, err := range f.log.Changes(ctx, request) {
		if err != nil {
			return outcome.CauseOf(ctx, err)
		}
		f.at.read(m.Rows)
		for _, t := range f.tables {
			t.note(m.Notes...)
		}
		if m.Rows > 0 {
			f.j.Seam("wrote")
		}
		if m.Standing != nil {
			if err := f.stands(*m.Standing); err != nil {
				return err
			}
		}
		if m.Flush == nil {
			continue
		}
		if err := f.flush(ctx, m.Flush); err != nil {
			return err
		}
		if f.postponed {
			return errAgain
		}
		if m.Flush.Final {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.New("the log of changes came to no end")
}

// flush commits the changes up to a place to resume to their tables, several at a time,
// then writes the position to the history and confirms it to the source. A failure of one
// table sets that one aside; any other ends the round.
func (f *follower) flush(ctx context.Context, m *extract.Flush) error {
	fresh := m.Fresh
	if m.Final && f.follows == 0 {
		fresh = f.began
	}
	group, landing := errgroup.WithContext(ctx)
	group.SetLimit(f.h.Options.TableParallelism)
	for _, c := range m.Tables {
		if c.Table < 0 || c.Table >= len(f.tables) {
			return fmt.Errorf("changes of a table that was not asked for (%d)", c.Table)
		}
		t := f.tables[c.Table]
		if t.writer == nil {
			continue // set aside
		}
		group.Go(func() error {
			if err := f.commit(landing, t, c, m, fresh); err != nil {
				return f.failed(landing, t, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return outcome.CauseOf(ctx, err)
	}
	f.tries, f.vain = 0, 0
	if len(m.Tables) > 0 {
		f.at.stir()
	}
	f.at.reached(m.Position, m.Committed, fresh)
	return f.at.tell(f, m.Final)
}

// commit commits the changes of one table.
func (f *follower) commit(ctx context.Context, t *followed, c extract.TableChanges, m *extract.Flush, fresh time.Time) error {
	if c.Err != nil {
		return c.Err
	}
	if err := t.writer.Change(m.Position, c.Changes...); err != nil {
		return err
	}
	t.writer.At(m.Position, m.Committed)
	t.writer.Tell(t.notes(), fresh)
	done := t.committing()
	// It is never the last one: another round of this sync may go on from it.
	committed, err := t.writer.Commit(ctx, nil, false)
	if done(); err != nil {
		return err
	}
	f.j.Seam("committed")
	t.note(t.writer.Notes()...)
	t.landed(c, committed, m.Position, fresh)
	return nil
}

// wanted reports whether the schedule is still the one that began this continuous sync.
func (a *attempt) wanted(s readmodel.Source) bool {
	k := s.Schedule
	return k != nil && k.Continuous && !k.Paused && k.Version == a.follows
}

// beat writes progress events while the log is read: the position, and the tables that
// have moved, less often in a continuous sync. It ends the reading, by cancel, once the
// schedule has changed and what was read by then has landed. The caller calls end, which
// waits for its goroutine.
func (f *follower) beat(ctx context.Context, cancel context.CancelCauseFunc) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(f.h.Options.ProgressEvery)
		defer tick.Stop()
		tended, enough := time.Now(), time.Time{}
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := f.tick(ctx, &enough); err != nil && ctx.Err() == nil {
				var lost *overtaken
				if errors.As(err, &lost) {
					f.stop(err)
				}
				cancel(err)
				return
			}
			if f.follows > 0 && time.Since(tended) >= tendEvery {
				tended = time.Now()
				f.tend(ctx)
			}
		}
	}()
	return func() {
		stop()
		<-ended
	}
}

// tendEvery is how often a continuous sync asks for the maintenance of its tables.
const tendEvery = 5 * time.Minute

// tick is one beat. enough is since when the sync is to end, zero while it is not. The
// error ends the reading: errEnough, errAgain, or that of an event.
func (f *follower) tick(ctx context.Context, enough *time.Time) error {
	if err := f.at.tell(f, false); err != nil {
		return err
	}
	every := f.h.Options.ProgressEvery
	retry := f.grown.Load() || f.postponed
	if f.follows > 0 {
		every = f.h.Options.HeartbeatEvery
	}
	for _, t := range f.attempt.tables {
		if t.follow == nil {
			continue
		}
		if t.stirred(every) {
			if err := f.journal.running(ctx, t); err != nil {
				return err
			}
		}
		retry = retry || t.waitsAside(f.h.Options.AsideEvery)
	}
	for _, asked := range f.unlogged {
		retry = retry || time.Since(asked) >= f.h.Options.AsideEvery
	}
	if f.follows == 0 {
		return nil
	}
	if retry && f.at.idle() {
		return errAgain
	}
	s, err := f.j.State.Source(f.j.Address)
	if err == nil && f.left(s) {
		return errGiven
	}
	if err != nil || f.wanted(s) && s.ConfigVersion == f.source.ConfigVersion { // other settings are those of the next one
		return err
	}
	if enough.IsZero() {
		*enough = time.Now()
	}
	if f.at.idle() || time.Since(*enough) >= f.h.Options.Grace {
		if err := f.at.tell(f, true); err != nil {
			return err
		}
		return errEnough
	}
	return nil
}

// stirred reports whether changes have landed and the last event of the table is so old.
func (t *tableRun) stirred(every time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed && t.result.Status == statusRunning && time.Since(t.told) >= every
}

// waitsAside reports whether the table was set aside so long ago that it is due to be
// tried again.
func (t *tableRun) waitsAside(every time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.follow.aside.IsZero() && time.Since(t.follow.aside) >= every
}

// stands notes what the source says of its log, and checks it against the options (see
// bounds).
func (f *follower) stands(s driver.Standing) error {
	f.at.standing(s)
	kept := s.Retained
	if kept < 0 {
		kept = s.Behind
	}
	return f.bounds(kept, "")
}

// bounds compares the bytes of its log that a source keeps for this reader with the
// options: beyond lag_warn_bytes it writes ChangesLagging, beyond lag_limit_bytes it gives
// the log up and returns ReasonLimit. loading is put into that message.
func (f *follower) bounds(kept int64, loading string) error {
	if limit := f.options.LagLimit; limit > 0 && kept > limit {
		return f.giveUp(fmt.Sprintf("the source keeps %d bytes of its log for this reader, more than sync_options.lag_limit_bytes, %d: the log was given up rather than its disk filled"+loading, kept, limit))
	}
	warn := f.options.LagWarn
	if warn == 0 {
		return nil
	}
	lagging := f.at.lags()
	switch {
	case !lagging && kept > warn:
		return f.at.warn(f, false, fmt.Sprintf("the source keeps %d bytes of its log for this reader, more than sync_options.lag_warn_bytes, %d", kept, warn))
	case lagging && kept < warn-warn/10:
		return f.at.warn(f, true, fmt.Sprintf("the source keeps %d bytes of its log for this reader, no more than sync_options.lag_warn_bytes, %d", kept, warn))
	}
	return nil
}

// giveUp releases the log and writes ChangesGivenUp, whether or not the source could be
// reached. It returns ReasonLimit with why, errGiven if the source was moved meanwhile, or
// the error of the event.
func (f *follower) giveUp(why string) error {
	position := f.at.position()
	f.close()
	err := f.h.Logs.Release(f.base, f.j, f.source)
	if err != nil {
		why += "; " + sourcelog.Unreleased(f.reader, err)
	}
	id := f.at.next(f)
	if err := f.write(func() history.Move {
		return history.Move{Discriminator: id, Data: &event.ChangesGivenUp{
			Meta: f.j.Meta(false), SyncID: f.id, Reader: f.reader, Position: position, Released: err == nil, Reason: event.ReasonLimit, Message: why,
		}}
	}); err != nil {
		return err
	}
	f.at.forget()
	return outcome.Failf(event.ReasonLimit, "%s; the next sync reads the tables whole and takes the log up anew", why)
}
