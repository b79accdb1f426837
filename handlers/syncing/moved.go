package syncing

import (
	"context"
	"errors"

	"headwater/bus"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/sourcelog"
)

// left reports whether the source was moved away from the server that this attempt has
// opened. Positions in that one's log mean nothing any more, and none is written.
func (a *attempt) left(s readmodel.Source) bool { return s.Moved != a.source.Moved }

// write writes an event about the log, unless the source was moved to another server:
// then it returns errGiven. Its other errors are those of the journal.
func (f *follower) write(next func() history.Move) error {
	given := false
	err := f.journal.decide(f.base, func(v history.View) (history.Move, error) {
		if given = f.left(v.Source); given {
			return history.Move{}, nil
		}
		return next(), nil
	})
	if err == nil && given {
		err = errGiven
	}
	return err
}

// end writes the outcome of the sync, which has no position in the log of a server that the
// source has left.
func (a *attempt) end(ctx context.Context, outcome func(*event.Changes) event.Data) error {
	if a.changes == nil {
		return a.journal.write(ctx, history.Move{Data: outcome(nil)})
	}
	return a.journal.decide(ctx, func(v history.View) (history.Move, error) {
		changes := a.changes
		if a.left(v.Source) {
			changes = nil
		}
		return history.Move{Data: outcome(changes)}, nil
	})
}

// given reports whether the log was given up while this sync read it, and whether that is
// so because the source was moved. The sync then has no position, and reads the tables whole
// at the server that the source now has.
func (f *follower) given(ctx context.Context) (given, moved bool) {
	v, err := f.j.Load(ctx)
	if err != nil {
		return false, false
	}
	moved = f.left(v.Source)
	return moved || v.Changes.Position == "" && !f.at.tellsNothing(), moved
}

// heed ends a round, by stop with errGiven, as soon as this node knows that the source was
// moved to another server, whatever the round is at. The caller calls end, which waits for
// its goroutine.
func (f *follower) heed(round context.Context, stop context.CancelCauseFunc) (end func()) {
	ctx, cancel := context.WithCancel(round)
	ended := make(chan struct{})
	changes := f.j.State.Watch(ctx, f.j.Address)
	go func() {
		defer close(ended)
		for {
			if s, err := f.j.State.Source(f.j.Address); err == nil && f.left(s) {
				stop(errGiven)
				return
			}
			select {
			case <-ctx.Done():
				return
			case _, open := <-changes:
				if !open {
					return
				}
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// renew loads the source as it is now, and has the servers that it has left let its log go.
// The attempt has nothing open, so that it reads there no more, and no other does.
func (a *attempt) renew(ctx, work context.Context) error {
	v, err := a.j.Load(work)
	if err == nil && len(v.Left) > 0 {
		if err = a.h.Logs.ReleaseLeft(work, a.j, v, func(next func(history.View) (history.Move, error)) error {
			return a.journal.decide(ctx, next)
		}); err == nil {
			v, err = a.j.Load(work)
		}
	}
	if err == nil {
		a.source = v
	}
	return err
}

// forsake releases a log that this attempt took up anew and that the history knows nothing
// of, once the sync has ended with err: nobody else would. It does not where another worker
// or sync goes on, or did, which takes the log up anew itself. A failure goes to the log.
func (f *follower) forsake(err error) {
	var lost *overtaken
	var unwritten *historyError
	if !f.unsaid || err == nil || f.base.Err() != nil || errors.Is(err, outcome.ErrStopping) || errors.As(err, &unwritten) {
		return
	}
	ctx, cancel := context.WithTimeout(f.base, f.h.Options.Grace)
	defer cancel()
	v, failed := f.j.Load(ctx)
	if failed == nil {
		moved := f.left(v.Source)
		switch {
		case moved:
		case v.Changes.Position != "": // the history knows of a log: whoever has that position goes on with it
			return
		case errors.As(err, &lost) && v.Captures(): // who may end without it, too
			f.owes = true
			return
		}
		failed = f.let(ctx, v, moved)
	}
	if failed != nil {
		f.j.Log.Warn("a log of changes that was taken up by a sync that ended could not be released", "reader", f.reader, "error", failed)
	}
}

// let has the server that this attempt has opened let the log go, which may not be the
// source's any more.
func (f *follower) let(ctx context.Context, v history.View, moved bool) error {
	var err error
	if f.log != nil {
		if err = f.log.Release(ctx, f.reader, sourcelog.OwnerOf(f.source)); err == nil {
			return nil
		}
	}
	if moved {
		return err
	}
	f.close()
	return f.h.Logs.Release(ctx, f.j, v)
}

// orphaned releases what a worker of a sync that has ended may have left at the server: one
// that was killed after it took the log up, and before the history had its position. While
// another sync of mode cdc runs it snoozes, because that one may end without the log.
func (a *attempt) orphaned(ctx context.Context) error {
	v, err := a.j.Load(ctx)
	switch {
	case err != nil || v.Changes.Position != "" || !v.Connected && !v.Restorable():
		return err
	case v.Captures():
		return bus.Snooze(a.h.Options.Lease)
	}
	return a.letGo(ctx, v)
}

// Settle releases what the workers of a sync that was given up, because each was killed, may
// have left at the source's server. Its error is of ctx, or of the history. If another sync
// of mode cdc runs it leaves the log to that one, or to whoever knows of it afterwards.
func (h *Syncs) Settle(ctx context.Context, j *history.Job) error {
	v, err := j.Load(ctx)
	if err != nil || v.Changes.Position != "" || !v.Connected && !v.Restorable() || v.Captures() {
		return err
	}
	known, err := j.State.Sync(j.Address, history.SyncOf(j.Data))
	if err != nil || !wasCapture(known) {
		return err
	}
	return (&attempt{h: h, j: j}).letGo(ctx, v)
}

// unfollow releases what an earlier attempt at this sync may have taken up, which read the
// source by mode cdc: the source's own options were changed since, and this one does not.
func (a *attempt) unfollow(ctx context.Context) error {
	a.unfollows, a.unfollowed = false, true
	v, err := a.j.Load(ctx)
	if err != nil || v.Changes.Position != "" {
		return err
	}
	return a.letGo(ctx, v)
}

// letGo releases a log of which the history does not know. A failure goes to the log; the
// error is of ctx alone.
func (a *attempt) letGo(ctx context.Context, v history.View) error {
	if err := a.h.Logs.Release(ctx, a.j, v); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.j.Log.Warn("a log of changes that a killed worker may have taken up could not be released", "error", err)
	}
	return nil
}

// arrive forgets what was found and read at the server that the source has left meanwhile.
func (f *follower) arrive() {
	f.at.forget()
	clear(f.known)
	clear(f.unlogged)
	clear(f.met)
	f.unsaid = false
}

// wasCapture reports whether a sync that has ended followed a log, and a worker had begun it.
func wasCapture(s readmodel.Sync) bool { return s.Ended && s.Attempt > 0 && s.Mode == landing.Changes }
