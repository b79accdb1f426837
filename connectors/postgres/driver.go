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
	"headwater/connectors/sqldb"
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
		Changes:  true,
		Settings: &Settings{},
	}
}

// Open prepares the source. It does not dial.
func (d Driver) Open(_ context.Context, cfg driver.Config) (driver.Source, error) {
	s := &source{dial: cfg.Dial, rangeBytes: d.rangeBytes}
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

// source is one database. It keeps one session between calls.
type source struct {
	settings   Settings
	dial       sqldb.Dial
	limits     driver.Limits
	rangeBytes int64
	// uncontrolled says that the server does not tell its system identifier.
	uncontrolled bool
	joined       *shared // the moment that tables are to be read of, nil for one each
	apart        string  // why the last one was not

	kept    sqldb.IdleSession[*session]
	mu      sync.Mutex // Close may come at any moment
	placed  *placed
	release func()             // ends the transaction that holds a moment, nil for none
	spoiled map[string]spoiled // tables, by their identity, with a change that cannot land
}

// acquire returns the kept session or a new one, and which of them. The caller
// gives it back by keep or closes it.
func (s *source) acquire(ctx context.Context) (c *session, old bool, err error) {
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
func (s *source) keep(ctx context.Context, c *session) {
	if c.pg.IsClosed() || !c.idle && c.exec(ctx, "COMMIT") != nil {
		c.close()
		return
	}
	if !s.kept.Put(c) {
		c.close()
	}
}

// Close ends the session. It is safe to call twice.
func (s *source) Close() error {
	c, ok := s.kept.Close()
	was := s.takePlaced()
	s.letGo()
	if ok {
		c.close()
	}
	if was != nil {
		was.session.close()
	}
	return nil
}

const closeLimit = 3 * time.Second
