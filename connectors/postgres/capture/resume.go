package capture

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// due gives a place to resume if it is time for one. It is called between transactions.
// asked says that the server asks how far we are.
func (f *follower) due(asked bool) error {
	if err := f.log.unexplained(f.reached); err != nil {
		return err
	}
	delay := f.log.capture.Delay
	switch {
	case f.reached <= f.placed:
		return nil
	case f.finished():
	case f.pending && (f.log.capture.Bytes > 0 && f.read >= f.log.capture.Bytes || f.now().Sub(f.since) >= delay):
	case !f.pending && (asked || f.now().Sub(f.placedAt) >= max(delay, cmp.Or(f.log.idle, idlePlace))):
	default:
		return nil
	}
	return f.place()
}

// passes gives what was committed before the catalog was read, once, ahead of the first
// transaction after that: one of those may be of a table that was altered, which ends the
// reading. Where tables are altered again and again, each reading lands something.
func (f *follower) passes(commit pglogrepl.LSN) error {
	if f.passed || commit < f.log.known {
		return nil
	}
	if f.passed = true; !f.pending || f.reached <= f.placed {
		return nil
	}
	return f.place()
}

// finished reports whether everything that was asked for has been read.
func (f *follower) finished() bool { return f.until != 0 && !f.inside && f.reached >= f.until }

// place gives all batches, then the place to resume behind them.
func (f *follower) place() error {
	if err := f.handAll(); err != nil {
		return err
	}
	if f.finished() {
		if err := f.stands(); err != nil {
			return err
		}
	}
	f.log.waiting.add(place{at: uint64(f.reached), first: f.first})
	c := driver.Changes{Table: -1, Resume: f.reached.String(), Committed: f.last, Fresh: f.fresh(), Notes: f.told()}
	f.placed, f.placedAt, f.pending, f.read, f.first = f.reached, f.now(), false, 0, time.Time{}
	return f.emit(c)
}

// fresh returns a time up to which everything is before the place that was reached, zero if
// none is known: when the last transaction was committed, or when the server was asked for
// the end of its log, once that is reached.
func (f *follower) fresh() time.Time {
	at := f.log.control.clock.Ours(f.timed)
	if s := f.log.ahead.Load(); s != nil && f.reached >= s.end {
		f.log.ahead.CompareAndSwap(s, nil)
		if s.asked.After(at) {
			at = s.asked
		}
	}
	return at
}

// stands tells how the reader stands at the end, when what was given has landed.
func (f *follower) stands() error {
	ctx, cancel := context.WithTimeout(context.Background(), session.CloseLimit) // only if the server answers
	defer cancel()
	s, err := f.log.Standing(ctx)
	if err != nil {
		return nil
	}
	if end, err := pglogrepl.ParseLSN(s.End); err == nil {
		s.Position, s.Behind, s.Delay = f.reached.String(), behind(uint64(end), uint64(f.reached)), 0
	}
	return f.emit(driver.Changes{Table: -1, Standing: &s})
}

// told says which values became NULL, once a table and column.
func (f *follower) told() (notes []string) {
	for _, t := range f.order {
		for i, n := range t.nulled {
			if n > 0 {
				notes = append(notes, sqldb.NulledNote(n, t.table, t.table.Columns[i].Name, "one that changed"))
				t.nulled[i] = 0
			}
		}
	}
	return notes
}

// keepalive handles a sign of life of the server, which has the end of what it has sent.
func (f *follower) keepalive(end pglogrepl.LSN, asked bool) error {
	if f.inside {
		return nil
	}
	f.reached = max(f.reached, end)
	return f.due(asked)
}
