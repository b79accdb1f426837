package postgres

import (
	"context"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
)

// placed is the transaction in which Place looked at a table. The Read of all rows that
// follows uses it, so that both are of one moment.
type placed struct {
	session *session.Session
	plan    *plan
}

// Place looks at a table that Scan cannot divide: a view, a foreign table, a table with
// row security. Its transaction stays open for a Read of all rows that follows.
func (s *source) Place(ctx context.Context, t driver.Table, column string) (driver.Cursor, error) {
	c, p, err := s.plan(ctx, t)
	if err != nil {
		return driver.Cursor{}, err
	}
	p.by = column
	s.mu.Lock()
	if !s.Closed() {
		s.placed, c = &placed{c, p}, nil
	}
	s.mu.Unlock()
	if c != nil {
		c.Close()
	}
	return p.start(column, ""), nil
}

var _ driver.Placer = (*source)(nil)

// takePlaced returns the transaction that Place left, nil if there is none.
func (s *source) takePlaced() *placed {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.placed
	s.placed = nil
	return was
}

// begin returns the plan of a Read: that of the Place before it, if that was of the same
// table and the Read is of all rows, or a new one.
func (s *source) begin(ctx context.Context, t driver.Table, from driver.Cursor) (*session.Session, *plan, error) {
	was := s.takePlaced()
	if was == nil {
		return s.plan(ctx, t)
	}
	if was.plan.table.String() == t.String() && from.Column == "" {
		was.plan.table = t
		if was.plan.match() == nil {
			return was.session, was.plan, nil
		}
	}
	s.Keep(ctx, was.session)
	return s.plan(ctx, t)
}

// start returns where an incremental read begins after a read of all rows. largest is
// the largest value of the column, "" if it is not known. It goes back to before the
// rows that open transactions may still commit, and over the hour that local time goes
// back.
func (p *plan) start(column, largest string) driver.Cursor {
	start := driver.Cursor{Column: column, Position: p.moment.Position(p.server)}
	at, _ := p.table.Column(column)
	if at.Type.Kind == driver.Timestamp && p.ceiled(at.Type) {
		value := p.moment.At.Add(-p.moment.Since - zones).Format(layoutTimestamp)
		if largest != "" {
			value = p.ceiling(column)(largest)
		}
		start.Value = &value
	} else if value := p.ceiling(column)(farthest); value != farthest {
		start.Value = &value
	}
	return start
}

// farthest is behind every time that a cursor may have. zones is how far local time may be
// behind UTC.
const (
	farthest = "9999-12-31T23:59:59.999999Z"
	zones    = 15 * time.Hour
)
