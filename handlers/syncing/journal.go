package syncing

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"headwater/bus"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
)

// overtaken says that a sync is no longer this worker's.
type overtaken struct {
	resumed bool // another worker has started it again
}

func (o *overtaken) Error() string {
	if o.resumed {
		return "another worker has taken the sync over"
	}
	return "somebody else has ended the sync"
}

// historyError says that an event which must be written could not be.
type historyError struct{ err error }

func (e *historyError) Error() string { return e.err.Error() }
func (e *historyError) Unwrap() error { return e.err }

// owns returns *overtaken if the source is not in the hands of this attempt.
func (a *attempt) owns(s readmodel.Source) error {
	switch {
	case s.Running == nil || s.Running.SyncID != a.id:
		return &overtaken{}
	case s.Running.Fence != a.fence:
		return &overtaken{resumed: true}
	}
	return nil
}

// journal writes the events of one attempt, one at a time. It is safe for
// concurrent use.
type journal struct {
	attempt *attempt
	mu      sync.Mutex
	after   uint64
	written int
}

// write appends an event. When somebody else wrote into the source's history,
// it goes on behind that if the sync is still this attempt's, and else returns
// *overtaken. Every other error is a *historyError.
func (g *journal) write(ctx context.Context, m history.Move) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.writeLocked(ctx, m)
}

func (g *journal) writeLocked(ctx context.Context, m history.Move) error {
	m.Data.Header().SourceName = g.attempt.source.Name
	for tries := 0; ; tries++ {
		sequence, err := g.attempt.j.Append(ctx, g.after, m)
		if err == nil {
			g.after = max(g.after, sequence)
			return nil
		}
		if !errors.Is(err, bus.ErrConflict) || tries == history.MaxConflicts {
			return &historyError{err}
		}
		if err := g.catchUp(ctx); err != nil {
			return err
		}
	}
}

// catchUp moves to the history's end, if the sync is still this attempt's.
func (g *journal) catchUp(ctx context.Context) error {
	v, err := g.attempt.j.Load(ctx)
	if err != nil {
		return &historyError{err}
	}
	if err := g.attempt.owns(v.Source); err != nil {
		return err
	}
	g.after = v.After
	return nil
}

// confirm returns *overtaken if the sync is no longer this attempt's by the history as it
// is now, however far the projection is.
func (g *journal) confirm(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	last, err := g.attempt.j.Last(ctx)
	if err != nil {
		return &historyError{err}
	}
	if last == g.after {
		return nil
	}
	return g.catchUp(ctx)
}

// decide appends the move that next decides on from the source's newest state, if it has
// one. Its errors are those of write, and that of next.
func (g *journal) decide(ctx context.Context, next func(history.View) (history.Move, error)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	sequence, err := g.attempt.j.Advance(ctx, func(v history.View) (history.Move, error) {
		if err := g.attempt.owns(v.Source); err != nil {
			return history.Move{}, err
		}
		m, err := next(v)
		m.Stop = true
		return m, err
	})
	var lost *overtaken
	if err != nil && !errors.As(err, &lost) {
		return &historyError{err}
	}
	g.after = max(g.after, sequence)
	return err
}

// progress writes the progress of a table.
func (g *journal) progress(ctx context.Context, t *tableRun) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.progressLocked(ctx, t)
}

// running is progress for a table that still runs once it has the journal's lock. It
// writes nothing for one that has ended, whose last event says so.
func (g *journal) running(ctx context.Context, t *tableRun) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !t.running() {
		return nil
	}
	return g.progressLocked(ctx, t)
}

// progressLocked reads the table under the journal's lock, so that a later event never
// has an earlier state.
func (g *journal) progressLocked(ctx context.Context, t *tableRun) error {
	g.written++
	return g.writeLocked(ctx, history.Move{
		Discriminator: strconv.FormatUint(g.attempt.fence, 10) + "." + strconv.Itoa(g.written),
		Data: &event.SyncProgressed{
			Meta: g.attempt.j.Meta(false), SyncID: g.attempt.id, Table: t.snapshot(),
			Records: g.attempt.totals.records.Load(), Bytes: g.attempt.totals.bytes.Load(),
		},
	})
}

// tell writes the result of a table that the sync does not run.
func (g *journal) tell(ctx context.Context, result event.TableResult) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.written++
	return g.writeLocked(ctx, history.Move{
		Discriminator: strconv.FormatUint(g.attempt.fence, 10) + "." + strconv.Itoa(g.written),
		Data: &event.SyncProgressed{
			Meta: g.attempt.j.Meta(false), SyncID: g.attempt.id, Table: result,
			Records: g.attempt.totals.records.Load(), Bytes: g.attempt.totals.bytes.Load(),
		},
	})
}

// watch ends the attempt's work, by stop, as soon as this node's projection shows that
// the sync is no longer this attempt's. It stops watching when work ends; the returned
// function waits for that.
func (a *attempt) watch(work context.Context, stop context.CancelCauseFunc) (wait func()) {
	var wg sync.WaitGroup
	changes := a.j.State.Watch(work, a.j.Address)
	wg.Go(func() {
		for {
			source, err := a.j.State.Source(a.j.Address)
			if err == nil {
				err = a.owns(source)
			}
			if err != nil {
				stop(err)
				return
			}
			select {
			case <-work.Done():
				return
			case <-a.h.Stopping:
				stop(outcome.ErrStopping)
				return
			case _, open := <-changes:
				if !open {
					return
				}
			}
		}
	})
	return func() {
		stop(nil)
		wg.Wait()
	}
}
