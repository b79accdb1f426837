// Package postgres reads PostgreSQL, version 12 and later, and what speaks its
// protocol and has its catalog. Rows come by binary COPY and are parsed
// straight into Arrow builders.
package postgres

import (
	"context"
	"sync"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/capture"
	"headwater/connectors/postgres/moment"
	"headwater/connectors/postgres/session"
)

// Driver opens PostgreSQL databases. Its zero value is ready.
type Driver struct {
	RangeBytes int64 // about how long ranges of a Scan are, 0 for driver.RangeSize
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
		LetGo:    "SELECT pg_drop_replication_slot('%s')",
		Settings: &session.Settings{},
	}
}

// Open prepares the source. It does not dial.
func (d Driver) Open(_ context.Context, cfg driver.Config) (driver.Source, error) {
	p, err := session.NewPool(cfg)
	if err != nil {
		return nil, err
	}
	h := moment.NewHolder(p)
	return &source{Pool: p, Capturer: capture.New(p, h), holder: h, rangeBytes: d.RangeBytes}, nil
}

// source is one database.
type source struct {
	*session.Pool
	*capture.Capturer
	holder     *moment.Holder // keeps the moment of a sync
	rangeBytes int64
	joined     *moment.Shared // the moment that tables are read at, nil if each has its own
	apart      string         // why the last table was not read at it, "" if it was

	mu     sync.Mutex // Close may be called at any moment
	placed *placed
}

// Close ends the sessions, and the moment that is held. It is safe to call twice.
func (s *source) Close() error {
	err := s.Pool.Close()
	was := s.takePlaced()
	s.holder.Release()
	if was != nil {
		was.session.Close()
	}
	return err
}
