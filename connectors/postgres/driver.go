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
	RangeBytes int64 // of a Scan's ranges, about; 0 for driver.RangeSize
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
	holder     *moment.Holder // of the moment that tables are read of
	rangeBytes int64
	joined     *moment.Shared // the moment that tables are to be read of, nil for one each
	apart      string         // why the last one was not

	mu     sync.Mutex // Close may come at any moment
	placed *placed
}

// Close ends the sessions. It is safe to call twice.
func (s *source) Close() error {
	err := s.Pool.Close()
	was := s.takePlaced()
	s.holder.Release()
	if was != nil {
		was.session.Close()
	}
	return err
}
