package handlers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/outcome"
)

// capture lands what a source's log of changes has, in rounds: each opens the
// source, finds where its tables are, reads those whole that have to be, and then
// applies changes until the end of what there is, or for as long as the sync goes
// on. A round ends early where the connection is lost, the tables have changed or
// one of them has to be read whole; the next goes on where the history says.
func (a *attempt) capture(ctx, work context.Context, stop context.CancelCauseFunc, conn Conn) error {
	f := &follower{attempt: a, base: ctx, stop: stop, reader: readerOf(a.j.address), conn: conn, known: map[string]*tableRun{}, unlogged: map[string]time.Time{}}
	f.at.landed, f.at.told, f.at.lagging = a.source.Changes.Position, a.source.Changes.Position, a.source.Changes.Lagging
	f.at.committed, f.at.fresh = timeOf(a.source.Changes.CommittedAt), timeOf(a.source.Changes.FreshUntil)
	defer f.close()
	defer func() { a.changes = f.at.changes() }()
	for {
		err := f.round(work)
		if err = causeOf(work, err); err == nil {
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

// readerOf returns what a source's server calls the reader of its log.
func readerOf(a event.Address) string {
	name := "headwater_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(a.Source))
	return name[:min(len(name), 40)]
}

// follower is an attempt at a sync that follows its source's log.
type follower struct {
	*attempt
	base   context.Context // of what is told, which outlives the work
	stop   context.CancelCauseFunc
	reader string
	conn   Conn             // nil after a failure
	log    extract.Capturer // conn's
	known  map[string]*tableRun
	tables []*followed // as they are captured
	// unlogged are tables that are read whole since the log cannot have their changes,
	// with when that was found.
	unlogged map[string]time.Time
	at       place

	rounds int
	tries  int       // that brought nothing, in a row
	began  time.Time // the round's changes: all that was committed before is in them
}

// followed is a table whose changes are followed.
type followed struct {
	*tableRun
	writer Writer // nil before it is begun and once it is set aside
	after  string // up to where it is complete, "" for one that is read whole first
}

var (
	// errAgain ends a round whose tables have to be captured anew.
	errAgain = errors.New("the tables are captured again")
	// errEnough ends a sync that was to go on.
	errEnough = errors.New("the schedule has changed")
)

// maxAgain bounds how often in a row tables are captured anew, without anything landed
// in between.
const maxAgain = 8

// round goes through the tables once.
func (f *follower) round(work context.Context) error {
	f.rounds++
	if err := f.open(work); err != nil {
		return err
	}
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

// open opens the source for another round than the first and finds its tables as
// they are now. What the sync has read of them is counted anew.
func (f *follower) open(work context.Context) error {
	if f.conn == nil {
		if f.given(work) {
			f.at.forget()
		}
		v, err := f.j.load(work)
		if err != nil {
			return err
		}
		f.source = v
		if f.conn, err = f.j.openCurrent(work, v, limitsOf(f.options)); err != nil {
			return err
		}
	}
	if f.rounds > 1 {
		found, err := f.j.discoverTables(work, f.conn)
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
	return nil
}

// recall gives a table what the rounds before found out about it.
func (f *follower) recall(t *tableRun) {
	name := t.table.String()
	before := f.known[name]
	f.known[name] = t
	switch {
	case before == nil:
	case t.follow != nil && before.follow != nil:
		t.recall(before, f.follows > 0 && time.Since(before.follow.aside) >= f.h.options.AsideEvery)
	case before.follow == nil:
		f.recallWhole(t, before)
	}
}

// again says what becomes of a sync whose round has failed.
func (f *follower) again(ctx, work context.Context, err error) (again bool, why error) {
	var lost *overtaken
	var unwritten *historyError
	switch {
	case errors.Is(err, errEnough):
		f.ended()
		return false, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.As(err, &lost), errors.As(err, &unwritten), errors.Is(err, outcome.ErrStopping), work.Err() != nil:
		return false, err
	case errors.Is(err, errAgain):
		f.tries++
		return f.tries <= maxAgain, err
	case errors.Is(err, driver.ErrRetyped):
		return f.retyped(work, err)
	case errors.Is(err, errGiven) || errors.Is(err, driver.ErrReplaced) && f.given(ctx):
		f.close()
		f.at.forget()
		if f.tries++; f.tries > maxAgain {
			return false, f.gone(err)
		}
		return true, f.rest(work) // until the source's new settings are known
	case errors.Is(err, driver.ErrReplaced):
		return false, f.gone(err)
	case !mayPass(err):
		return false, err
	}
	f.close()
	f.tries++
	if endless := f.follows > 0 && f.at.position() != "" && !errors.Is(err, extract.ErrKilled); !endless && f.tries > f.h.options.TableRetries {
		return false, err
	}
	_, message := outcome.Explain(err)
	if f.follows > 0 && f.tries == 1 { // the state has changed: each try after it is not told
		if err := f.at.say(f, "it is tried again, with growing pauses: "+message); err != nil {
			return false, err
		}
	}
	f.j.log.Debug("the log of changes is taken up again", "try", f.tries, "error", err)
	return true, f.rest(work)
}

// gone is the failure of a sync whose log does not go on where it was left.
func (f *follower) gone(err error) error {
	_, message := outcome.Explain(err)
	message = fmt.Sprintf("%s; changes since %s may be lost to it", message, f.at.since())
	if !strings.Contains(message, "sync_options.reset") {
		message += `. sync_options.reset ["*"] reads the tables whole again and takes the log up anew`
	}
	return outcome.Failf(event.ReasonSchemaChanged, "%s", message)
}

// rest waits before another try: longer each time, up to 5 minutes.
func (f *follower) rest(work context.Context) error {
	pause := f.h.options.RetryDelay
	for range f.tries - 1 {
		pause = min(2*pause, longestPause)
	}
	heartbeat := time.NewTicker(f.h.options.HeartbeatEvery)
	defer heartbeat.Stop()
	over := time.After(pause)
	for {
		select {
		case <-work.Done():
			return context.Cause(work)
		case <-over:
			return nil
		case <-heartbeat.C:
			if err := f.at.tell(f, false); err != nil {
				return err
			}
		}
	}
}

const longestPause = 5 * time.Minute

// retyped has the tables found anew. The source stays open: it knows which of its tables
// another look does not mend, and refuses that one when the log is taken up again.
func (f *follower) retyped(work context.Context, err error) (again bool, why error) {
	if f.tries++; f.tries > maxAgain {
		return false, err
	}
	if f.tries == 1 {
		return true, nil
	}
	return true, f.rest(work)
}

// ended marks the tables as completed that were followed up to the end.
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.base), f.h.options.Grace)
	defer cancel()
	for _, t := range f.tables {
		t.abort(ctx, f.attempt)
	}
	f.tables = nil
}

// close lets go of the source. The server keeps the reader's place.
func (f *follower) close() {
	if f.conn != nil {
		f.j.closing(f.conn)
	}
	f.conn, f.log = nil, nil
}
