package capture

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
)

// changeLog is a driver.Log: a slot and a publication of the tables.
type changeLog struct {
	source      *Capturer
	capture     driver.Capture
	slot        string
	publication string
	facts       facts
	server      catalog.Server
	asked       []*captured // the tables that the catalog has
	tables      []*captured // those of asked that are not refused
	refused     map[int]error
	moment      string        // of the tables that are read whole
	position    pglogrepl.LSN // of that moment
	from        pglogrepl.LSN // where the stream begins
	known       pglogrepl.LSN // the end of the log after the catalog was read
	inBinary    bool
	generated   bool     // the log has stored generated columns
	notes       []string // given first, also if nothing changed
	unnoted     string   // why no note can be written, "" if it can

	idle      time.Duration // how often a place to resume without changes is given, and a Standing, 0 for idlePlace and standingEvery
	control   *control
	ahead     atomic.Pointer[slotRow] // with an end of the log that was not reached yet
	confirmed atomic.Uint64
	waiting   waiting

	noting    sync.Mutex // guards what goes into the note, and its writing
	mu        sync.Mutex
	feed      *feed            // nil before Changes
	quiet     func()           // ends the signs of life of feed
	truncated map[int64]uint32 // tables that were truncated as a whole, and by which transaction
	suspects  []suspicion
	done      bool
	suspected atomic.Bool // there are suspects
	finished  atomic.Bool // all that was asked for was read
}

var (
	_ driver.Capturer = (*Capturer)(nil)
	_ driver.Log      = (*changeLog)(nil)
)

// Moment returns the moment for the tables that have to be read whole, and its position.
// Both are "" if there are none.
func (l *changeLog) Moment() (moment, position string) {
	if l.moment == "" {
		return "", ""
	}
	return l.moment, l.position.String()
}

// Refused returns the tables that are not captured, with the reason.
func (l *changeLog) Refused() map[int]error { return l.refused }

// Confirm remembers a position and tells it to the server, which hears it again with
// every sign of life until Close. It may be called while Changes runs.
func (l *changeLog) Confirm(_ context.Context, position string) error {
	at, err := pglogrepl.ParseLSN(position)
	if err != nil {
		return driver.E(driver.ErrBadData, nil, "%q is no position in the log of changes", position)
	}
	for {
		was := l.confirmed.Load()
		if was >= uint64(at) {
			break
		}
		if l.confirmed.CompareAndSwap(was, uint64(at)) {
			break
		}
	}
	l.waiting.confirm(uint64(at))
	l.mu.Lock()
	f := l.feed
	l.mu.Unlock()
	if f == nil {
		return nil
	}
	return l.streamError(context.Background(), f.status(false))
}

// Close ends the reading. If the server answers, it has heard of everything that was
// confirmed when Close returns. It is safe to call twice.
func (l *changeLog) Close() error {
	l.mu.Lock()
	f, quiet, done := l.feed, l.quiet, l.done
	l.feed, l.quiet, l.done = nil, nil, true
	l.mu.Unlock()
	if done {
		return nil
	}
	if quiet != nil {
		quiet()
	}
	if f != nil {
		if f.status(false) == nil {
			l.settle(pglogrepl.LSN(l.confirmed.Load()))
		}
		f.finish()
	}
	ctx, cancel := context.WithTimeout(context.Background(), session.CloseLimit) // the context of the call may have ended
	defer cancel()
	l.noteTruncated(ctx)
	l.source.holder.Release()
	l.control.close()
	return nil
}

// settle waits until the server has recorded a confirmed position.
func (l *changeLog) settle(at pglogrepl.LSN) {
	ctx, cancel := context.WithTimeout(context.Background(), session.CloseLimit) // the context of the call may have ended
	defer cancel()
	for ctx.Err() == nil {
		s, err := l.control.slot(ctx, l.slot)
		if err != nil || s == nil || s.confirmed >= at {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Changes yields the changes of all tables.
func (l *changeLog) Changes(ctx context.Context) iter.Seq2[driver.Changes, error] {
	return func(yield func(driver.Changes, error) bool) {
		more := true
		give := func(c driver.Changes) bool {
			more = yield(c, nil)
			return more
		}
		if err := l.read(ctx, give); err != nil && more {
			yield(driver.Changes{}, err)
		}
	}
}

// waiting are the places to resume that are not confirmed yet. It is safe for concurrent
// use.
type waiting struct {
	mu     sync.Mutex
	places []place
}

type place struct {
	at    uint64
	first time.Time // of the first change, zero if there is none
}

func (w *waiting) add(p place) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.places = append(w.places, p)
}

func (w *waiting) confirm(at uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.places) > 0 && w.places[0].at <= at {
		w.places = w.places[1:]
	}
}

// oldest returns when the oldest unconfirmed change was committed, zero if there is
// none.
func (w *waiting) oldest() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.places {
		if !p.first.IsZero() {
			return p.first
		}
	}
	return time.Time{}
}
