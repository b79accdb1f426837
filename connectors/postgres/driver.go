// Package postgres reads PostgreSQL, version 12 and later, and what speaks its
// protocol and has its catalog. Rows come by binary COPY and are parsed
// straight into Arrow builders.
package postgres

import (
	"cmp"
	"context"
	"sync"
	"time"

	"headwater/connectors/driver"
)

// Driver opens PostgreSQL databases. Its zero value is ready.
type Driver struct {
	rangeBytes int64 // of a Scan's ranges, 0 for driver.RangeSize; tests make them small
}

// Spec describes the driver.
func (Driver) Spec() driver.Spec {
	return driver.Spec{
		Name:     "postgresql",
		Aliases:  []string{"postgres", "pg"},
		Class:    "database",
		Schemes:  []string{"postgres", "postgresql"},
		Ports:    []int{5432},
		Default:  true,
		Title:    "PostgreSQL",
		Settings: &Settings{},
	}
}

// Open prepares the source. It does not dial.
func (d Driver) Open(_ context.Context, cfg driver.Config) (driver.Source, error) {
	s := &source{dial: cfg.Dial, limits: cfg.Limits, rangeBytes: d.rangeBytes}
	if err := driver.Decode(cfg.Settings, &s.settings); err != nil {
		return nil, err
	}
	s.limits.MaxRowBytes = cmp.Or(int64(s.settings.MaxRowMiB)<<20, s.limits.MaxRowBytes)
	s.limits = s.limits.WithDefaults()
	if err := s.settings.Validate(); err != nil {
		return nil, err
	}
	if s.settings.Port == 0 {
		s.settings.Port = 5432
	}
	return s, nil
}

// source is one database. It keeps one session between calls.
type source struct {
	settings   Settings
	dial       dialFunc
	limits     driver.Limits
	rangeBytes int64
	// uncontrolled says that the server does not tell its system identifier.
	uncontrolled bool
	joined       *shared // the moment that tables are to be read of, nil for one each
	apart        string  // why the last one was not

	mu      sync.Mutex // Close may come at any moment
	session *session
	placed  *placed
	release func() // ends the transaction that holds a moment, nil for none
	closed  bool
}

// acquire returns the kept session or a new one, and which of them. The caller
// gives it back by keep or closes it.
func (s *source) acquire(ctx context.Context) (c *session, old bool, err error) {
	s.mu.Lock()
	kept, closed := s.session, s.closed
	s.session = nil
	s.mu.Unlock()
	switch {
	case closed:
		return nil, false, driver.E(driver.ErrUnreachable, nil, "the connection is closed")
	case kept != nil && !kept.pg.IsClosed():
		return kept, true, nil
	case kept != nil:
		kept.close()
	}
	c, err = s.connectFirst(ctx, nil)
	return c, false, err
}

// keep gives a session back, ending its transaction; a broken one is closed. It
// commits: reading tidies the server's pages, and what a transaction that rolls
// back has logged of that waits for somebody else to write it to disk.
func (s *source) keep(ctx context.Context, c *session) {
	if c.pg.IsClosed() || !c.idle && c.exec(ctx, "COMMIT") != nil {
		c.close()
		return
	}
	s.mu.Lock()
	if !s.closed && s.session == nil {
		s.session, c = c, nil
	}
	s.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// Close ends the session. It is safe to call twice.
func (s *source) Close() error {
	s.mu.Lock()
	kept, was := s.session, s.placed
	s.session, s.placed, s.closed = nil, nil, true
	s.mu.Unlock()
	s.letGo()
	if kept != nil {
		kept.close()
	}
	if was != nil {
		was.session.close()
	}
	return nil
}

const closeLimit = 3 * time.Second
