package syncing

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"headwater/bus/event"
	"headwater/handlers/extract"
	"headwater/handlers/inspect"
	"headwater/handlers/outcome"
	"headwater/handlers/sourcelog"
)

// capture lands the changes of a source's log in rounds. Each round opens the source,
// finds where its tables are, reads whole those that need it, and then applies changes
// until the log's end, or without end in a continuous sync. A round ends early if the
// connection is lost, the tables have changed or one of them has to be read whole; the
// next goes on where the history says. It returns nil when the sync has ended as it
// should, and takes over conn. stop ends work with a cause.
func (a *attempt) capture(ctx, work context.Context, stop context.CancelCauseFunc, conn extract.Session) (err error) {
	f := &follower{attempt: a, base: ctx, stop: stop, reader: sourcelog.ReaderOf(a.j.Address), conn: conn, known: map[string]*tableRun{}, met: map[string]bool{}, passed: map[string]bool{}, unlogged: map[string]time.Time{}}
	f.at.landed, f.at.told, f.at.lagging = a.source.Changes.Position, a.source.Changes.Position, a.source.Changes.Lagging
	f.at.committed, f.at.fresh = orZero(a.source.Changes.CommittedAt), orZero(a.source.Changes.FreshUntil)
	if f.at.fresh.After(time.Now()) {
		f.at.fresh = time.Time{} // of a clock that was ahead
	}
	defer f.close()
	defer func() { f.forsake(err) }()
	defer func() { a.changes = f.at.changes() }()
	for {
		err := f.round(work)
		if err = outcome.CauseOf(work, err); err == nil {
			f.ended()
			return nil
		}
		if again, err := f.again(ctx, work, err); !again {
			if err != nil {
				f.unread()
			}
			return err
		}
	}
}

// orZero returns the zero time for nil.
func orZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}

// follower is an attempt at a sync that follows its source's log. Its fields belong to
// the goroutine of capture, except for at and for what a tableRun's own mutex guards.
type follower struct {
	*attempt
	base   context.Context // of the events, which outlives the work
	stop   context.CancelCauseFunc
	reader string
	conn   extract.Session      // nil after a failure
	log    extract.Capturer     // conn's
	known  map[string]*tableRun // of the round before, by name
	tables []*followed          // in the order of the capture
	met    map[string]bool      // tables that were to be followed in some round
	passed map[string]bool      // tables that are marked as passed by
	opened bool                 // the log was opened
	// postponed says that a table waits for the next round, see postpone.
	postponed bool
	grown     atomic.Bool // the source has another table than those of the round
	// unlogged has the tables that are read whole because the log cannot have their
	// changes, with the time when that was found.
	unlogged map[string]time.Time
	at       place
	unsaid   bool // the log was taken up anew, and the history does not have its position

	rounds int
	tries  int       // rounds in a row without a commit
	vain   int       // those of them since the tables were last found to be others
	found  string    // the tables at the beginning of the round
	began  time.Time // when the round began to read changes: they include all that was committed before
}

// followed is a table whose changes are followed.
type followed struct {
	*tableRun
	writer Writer // nil before begin and once the table is set aside
	after  string // the position up to which it is complete, "" if it is read whole first
}

var (
	// errAgain ends a round whose tables have to be captured again.
	errAgain = errors.New("the tables are captured again")
	// errEnough ends a continuous sync, as completed, whose schedule has changed.
	errEnough = errors.New("the schedule has changed")
)

// round opens the log once and reads it to the end of the round. It returns nil at the
// log's end, and errEnough when a continuous sync is to end.
func (f *follower) round(work context.Context) error {
	f.rounds++
	f.postponed = false
	if err := f.open(work); err != nil {
		return err
	}
	round, stop := context.WithCancelCause(work)
	defer stop(nil)
	defer f.heed(round, stop)()
	return outcome.CauseOf(round, f.follow(round))
}

// follow is a round whose source is open. Its context ends with errGiven when the source is
// moved.
func (f *follower) follow(work context.Context) error {
	defer f.abort()
	if err := f.begin(work); err != nil {
		return err
	}
	captured, err := f.take(work)
	if err != nil {
		return err
	}
	if err := f.followable(); err != nil {
		return err
	}
	if err := f.load(work, captured); err != nil {
		return err
	}
	return f.stream(work)
}

// open opens the source if it is not open, and in every round but the first finds its
// tables as they are now and counts from zero what the sync has read of them. It returns
// ReasonUnsupported for a source without a log.
func (f *follower) open(work context.Context) error {
	if f.conn == nil {
		given, moved := f.given(work)
		if given {
			f.at.forget()
		}
		was := f.source.Moved
		if err := f.renew(f.base, work); err != nil {
			return err
		}
		if f.source.Moved != was {
			f.arrive()
		}
		f.unsaid = f.unsaid && !moved
		conn, err := f.h.Inspector.OpenCurrent(work, f.j, f.source, limitsOf(f.options))
		if err != nil {
			return err
		}
		f.conn = conn
	}
	if f.rounds > 1 {
		found, err := f.h.Inspector.Discover(work, f.j, f.conn)
		if err != nil {
			return err
		}
		f.totals.records.Store(0)
		f.totals.bytes.Store(0)
		if err := f.recordSchema(f.base, found); err != nil {
			return err
		}
	}
	log, ok := f.conn.(extract.Capturer)
	if !ok || !log.Captures() {
		return outcome.Failf(event.ReasonUnsupported, "sync_options.mode: is cdc, and the source has no log of changes that can be read")
	}
	f.log = log
	for _, t := range f.attempt.tables {
		f.recall(t)
	}
	f.learn()
	return nil
}

// recall gives a table what the earlier rounds found out about it.
func (f *follower) recall(t *tableRun) {
	name := t.table.String()
	before := f.known[name]
	f.known[name] = t
	switch {
	case before == nil:
	case t.follow != nil && before.follow != nil:
		t.recall(before, f.follows > 0 && time.Since(before.follow.aside) >= f.h.Options.AsideEvery)
	case before.follow == nil:
		f.recallWhole(t, before)
	}
}

// ended marks as completed the tables that were followed to the end.
func (f *follower) ended() {
	fresh := f.at.freshUntil()
	for _, t := range f.attempt.tables {
		if t.follow != nil {
			t.complete(fresh)
		}
	}
}

// abort ends the writers of a round.
func (f *follower) abort() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.base), f.h.Options.Grace)
	defer cancel()
	for _, t := range f.tables {
		t.abort(ctx, f.attempt)
	}
	f.tables = nil
}

// close closes the source. The server keeps the reader's position.
func (f *follower) close() {
	if f.conn != nil {
		inspect.Close(f.j, f.conn)
	}
	f.conn, f.log = nil, nil
}
