package syncing

import (
	"context"
	"sync"
	"time"

	"headwater/handlers/extract"
	"headwater/handlers/inspect"
	"headwater/handlers/outcome"
)

// moment is the point in time at which all tables of an attempt are read, if their source
// can. Its holder keeps it until every table's read has begun.
type moment struct {
	name   string    // for Request.Moment, "" for none
	at     time.Time // no row is older
	why    string    // there is none though the source has such moments
	holder extract.Session

	mu    sync.Mutex
	left  int           // tables that have not begun
	begun chan struct{} // closed when all have
}

// share fixes a moment for the tables of the attempt, which so many landers read.
// Where there can be none each table has its own, and its result says so.
func (a *attempt) share(ctx context.Context, first extract.Session, readers int) {
	m := &a.moment
	m.begun = make(chan struct{})
	for _, t := range a.tables {
		if t.unread == nil {
			m.left++
		}
	}
	s, ok := first.(extract.Sharer)
	if !ok || m.left < 2 || !s.Shares() {
		return
	}
	at := time.Now()
	name, err := s.Share(ctx, readers)
	if err != nil {
		_, m.why = outcome.Explain(err)
		return
	}
	m.name, m.at, m.holder = name, at, first
}

// release lets the moment go once every table was begun, or none will be.
func (a *attempt) release(work context.Context) {
	if a.moment.holder == nil {
		return
	}
	select {
	case <-a.moment.begun:
	case <-work.Done():
	}
	inspect.Close(a.j, a.moment.holder)
}

// start notes that the read of a table has begun, or will not.
func (m *moment) start(t *tableRun) {
	if t.unread != nil {
		return
	}
	t.starts.Do(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.left--; m.left == 0 {
			close(m.begun)
		}
	})
}

// missedError says why a table could not be read at the moment behind which its changes
// begin. Rows of a later one have some of those changes: a log would then have these twice,
// and a change would not find the row whose values it keeps.
type missedError struct{ why string }

func (e *missedError) Error() string { return e.why }

// of returns the moment that a try of a table is to be of. A table whose read failed at it
// is read by itself, because what stood in the way may be the moment; but not one whose
// changes are followed.
func (m *moment) of(t *tableRun) string {
	switch {
	case m.name == "" && m.why != "":
		t.apart(m.why)
	case m.name != "" && t.alone && t.follow == nil:
		t.apart("a first read at that moment failed")
	case m.name != "":
		return m.name
	}
	return ""
}

// apart notes why a table is read at a moment of its own.
func (t *tableRun) apart(why string) {
	t.note("it was read as of a moment of its own (as_of), not of one with the sync's other tables: " + why)
}
