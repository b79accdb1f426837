package postgres

import (
	"cmp"
	"context"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

// pool makes sessions of one database. It keeps one of them between calls. Its Close
// may come at any moment.
type pool struct {
	settings Settings
	dial     sqldb.Dial
	limits   driver.Limits
	// uncontrolled says that the server does not tell its system identifier.
	uncontrolled bool

	kept sqldb.IdleSession[*session]
}

// newPool prepares the sessions of a source. It does not dial. An ErrInvalidConfig
// names the setting that cannot be used.
func newPool(cfg driver.Config) (*pool, error) {
	s := &pool{dial: cfg.Dial}
	if err := driver.Decode(cfg.Settings, &s.settings); err != nil {
		return nil, err
	}
	if err := s.settings.Validate(); err != nil {
		return nil, err
	}
	s.limits = s.settings.Limits(cfg.Limits)
	s.settings.Port = cmp.Or(s.settings.Port, 5432)
	return s, nil
}

// acquire returns the kept session or a new one, and which of them. The caller
// gives it back by keep or closes it.
func (s *pool) acquire(ctx context.Context) (c *session, old bool, err error) {
	c, old, err = s.kept.Take()
	switch {
	case err != nil:
		return nil, false, err
	case old && !c.pg.IsClosed():
		return c, true, nil
	case old:
		c.close()
	}
	c, err = s.connectFirst(ctx, nil)
	return c, false, err
}

// keep gives a session back, ending its transaction; a broken one is closed. It
// commits: reading tidies the server's pages, and what a transaction that rolls
// back has logged of that waits for somebody else to write it to disk.
func (s *pool) keep(ctx context.Context, c *session) {
	if c.pg.IsClosed() || !c.idle && c.exec(ctx, "COMMIT") != nil {
		c.close()
		return
	}
	if !s.kept.Put(c) {
		c.close()
	}
}

// closed reports whether Close was called.
func (s *pool) closed() bool { return s.kept.Closed() }

// Close ends the kept session. It is safe to call twice.
func (s *pool) Close() error {
	if c, ok := s.kept.Close(); ok {
		c.close()
	}
	return nil
}

// transaction returns a session in a fresh read-only snapshot, or one that was
// exported under that name, in which sql has run, as session.run runs it, after
// the statements before it. It takes one round trip.
func (s *pool) transaction(ctx context.Context, before, snapshot string, sql func(*session) string, f func(statement int, row [][]byte) error) (*session, error) {
	c, kept, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	heard := false
	for {
		err := c.run(ctx, before+c.begin(snapshot)+";"+sql(c), func(statement int, row [][]byte) error {
			heard = true
			return f(statement, row)
		})
		if err == nil {
			return c, nil
		}
		lost := kept && !heard && c.pg.IsClosed() && ctx.Err() == nil // it was cut while it was not used
		c.close()
		if !lost {
			return nil, err
		}
		kept = false
		if c, err = s.connectFirst(ctx, nil); err != nil {
			return nil, err
		}
	}
}
