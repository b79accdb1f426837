package session

import (
	"cmp"
	"context"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

// Pool makes sessions of one database and keeps one of them between calls. Its methods
// are called one at a time, except Connect, ConnectWith, ConnectFirst and Close.
type Pool struct {
	Settings Settings
	dial     sqldb.Dial
	Limits   driver.Limits
	// Uncontrolled says that the server, or the account's rights, keep the system
	// identifier from being read.
	Uncontrolled bool

	kept sqldb.IdleSession[*Session]
}

// NewPool reads the settings of a source. It does not connect. An ErrInvalidConfig names
// the setting that cannot be used.
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

// acquire returns the kept session, or a new one; old says which. The caller gives it
// back with Keep or closes it.
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

// Keep ends the session's transaction and keeps it for the next call. If that fails, or
// one is kept already, it closes the session. It commits: reading cleans pages of the
// server, and what a transaction that rolls back has logged about that is written to
// disk only with somebody else's commit.
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

// Close closes the kept session. Sessions that others use stay open. It is safe to call
// twice.
func (s *Pool) Close() error {
	if c, ok := s.kept.Close(); ok {
		c.Close()
	}
	return nil
}

// Transaction returns a session in a new read-only snapshot, or in the one that was
// exported under the name snapshot. before runs ahead of the transaction, sql in it, as
// Session.Run runs them. All of it is one round trip. The caller gives the session back
// with Keep or closes it.
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
		lost := kept && !heard && c.PG.IsClosed() && ctx.Err() == nil // it was closed while it was not used
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
