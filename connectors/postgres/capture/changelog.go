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

// changeLog is an open log of changes: a slot, and a publication of the tables.
type changeLog struct {
	source      *Capturer
	capture     driver.Capture
	slot        string
	publication string
	facts       facts
	server      catalog.Server
	asked       []*captured // of all tables that the catalog has
	tables      []*captured // of those the ones that are not refused
	refused     map[int]error
	moment      string        // for the tables that are read whole
	position    pglogrepl.LSN // of it
	from        pglogrepl.LSN // where the stream begins
	known       pglogrepl.LSN // the end of the log when the catalog had been read
	inBinary    bool
	notes       []string // told with the first changes

	idle      time.Duration // how often a place without changes comes, 0 for idlePlace
	control   *control
	confirmed atomic.Uint64
	waiting   waiting

	noting    sync.Mutex // while the note is taken, and what goes into it
	mu        sync.Mutex
	feed      *feed            // nil before Changes
	quiet     func()           // ends its signs of life
	truncated map[int64]uint32 // partitioned tables that were truncated whole, with the transaction
	suspects  []suspicion
	done      bool
	suspected atomic.Bool // there are suspects
	finished  atomic.Bool // everything was read that was asked for
}

var (
	_ driver.Capturer = (*Capturer)(nil)
	_ driver.Log      = (*changeLog)(nil)
)

// Moment returns the moment at which the tables that have to be read whole are read.
func (l *changeLog) Moment() (moment, position string) {
	if l.moment == "" {
		return "", ""
	}
	return l.moment, l.position.String()
}

// Refused says why tables are not captured.
func (l *changeLog) Refused() map[int]error { return l.refused }

// Confirm notes the position and tells it to the server, which hears of it again
// with every sign of life until Close.
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

// Close ends the reading. The server has heard of everything that was confirmed
// when it returns, if it answers.
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
	ctx, cancel := context.WithTimeout(context.Background(), session.CloseLimit) // closing outlives the call
	defer cancel()
	l.noteTruncated(ctx)
	l.source.holder.Release()
	l.control.close()
	return nil
}

// settle waits until the server has taken note of a confirmed position.
func (l *changeLog) settle(at pglogrepl.LSN) {
	ctx, cancel := context.WithTimeout(context.Background(), session.CloseLimit) // closing outlives the call
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

// waiting are the places to resume that are not confirmed, with the time of the
// first change before each.
type waiting struct {
	mu     sync.Mutex
	places []place
}

type place struct {
	at    uint64
	first time.Time // zero for a place without changes
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

// oldest returns when the oldest change was committed that is not confirmed.
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
