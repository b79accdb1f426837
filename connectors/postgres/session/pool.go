package session

import (
	"cmp"
	"context"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

// Pool makes sessions of one database. It keeps one of them between calls. Its Close
// may come at any moment.
type Pool struct {
	Settings Settings
	dial     sqldb.Dial
	Limits   driver.Limits
	// Uncontrolled says that the server does not tell its system identifier.
	Uncontrolled bool

	kept sqldb.IdleSession[*Session]
}

// NewPool prepares the sessions of a source. It does not dial. An ErrInvalidConfig
// names the setting that cannot be used.
func NewPool(cfg driver.Config) (*Pool, error) {
	s := &Pool{dial: cfg.Dial}
	if err := driver.Decode(cfg.Settings, &s.Settings); err != nil {
		return nil, err
	}
	if err := s.Settings.Validate(); err != nil {
		return nil, err
	}
	s.Limits = s.Settings.Limits(cfg.Limits)
	s.Settings.Port = cmp.Or(s.Settings.Port, 5432)
	return s, nil
}

// acquire returns the kept session or a new one, and which of them. The caller
// gives it back by keep or closes it.
func (s *Pool) acquire(ctx context.Context) (c *Session, old bool, err error) {
	c, old, err = s.kept.Take()
	switch {
	case err != nil:
		return nil, false, err
	case old && !c.PG.IsClosed():
		return c, true, nil
	case old:
		c.Close()
	}
	c, err = s.ConnectFirst(ctx, nil)
	return c, false, err
}

// Keep gives a session back, ending its transaction; a broken one is closed. It
// commits: reading tidies the server's pages, and what a transaction that rolls
// back has logged of that waits for somebody else to write it to disk.
func (s *Pool) Keep(ctx context.Context, c *Session) {
	if c.PG.IsClosed() || !c.Idle && c.Exec(ctx, "COMMIT") != nil {
		c.Close()
		return
	}
	if !s.kept.Put(c) {
		c.Close()
	}
}

// Closed reports whether Close was called.
func (s *Pool) Closed() bool { return s.kept.Closed() }

// Close ends the kept session. It is safe to call twice.
func (s *Pool) Close() error {
	if c, ok := s.kept.Close(); ok {
		c.Close()
	}
	return nil
}

// Transaction returns a session in a fresh read-only snapshot, or one that was
// exported under that name, in which sql has run, as session.run runs it, after
// the statements before it. It takes one round trip.
func (s *Pool) Transaction(ctx context.Context, before, snapshot string, sql func(*Session) string, f func(statement int, row [][]byte) error) (*Session, error) {
	c, kept, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	heard := false
	for {
		err := c.Run(ctx, before+c.Begin(snapshot)+";"+sql(c), func(statement int, row [][]byte) error {
			heard = true
			return f(statement, row)
		})
		if err == nil {
			return c, nil
		}
		lost := kept && !heard && c.PG.IsClosed() && ctx.Err() == nil // it was cut while it was not used
		c.Close()
		if !lost {
			return nil, err
		}
		kept = false
		if c, err = s.ConnectFirst(ctx, nil); err != nil {
			return nil, err
		}
	}
}
