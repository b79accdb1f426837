package connectors

import (
	"context"
	"errors"
	"iter"

	"headwater/connectors/driver"
)

// Scan divides t into ranges of one snapshot, as driver.Scanner says. The error
// has the kind ErrUnsupported when the source, or this table of it, can only be
// read by Read. The caller closes the Scan.
func (c *Conn) Scan(ctx context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error) {
	scanner, ok := c.source.(driver.Scanner)
	if !ok {
		return nil, driver.E(driver.ErrUnsupported, nil, "the source cannot be read in ranges")
	}
	var s driver.Scan
	err := c.guard(ctx, "dividing "+t.String(), c.timeouts.Discover, func(ctx context.Context) error {
		var err error
		s, err = scanner.Scan(ctx, t, landed)
		return err
	})
	if err != nil {
		return nil, err
	}
	read := &scan{s, c, t}
	if m, ok := s.(driver.Moments); ok {
		return &momentous{read, m}, nil
	}
	return read, nil
}

// momentous is a scan that knows of what moment it is.
type momentous struct {
	*scan
	moments driver.Moments
}

// Start returns what the driver says.
func (m *momentous) Start(column string) driver.Cursor { return m.moments.Start(column) }

// Notes returns what the driver says, without secrets.
func (m *momentous) Notes() []string { return m.conn.scrubber.all(m.moments.Notes()) }

// scan is a driver's Scan with what a Conn adds.
type scan struct {
	driver.Scan
	conn  *Conn
	table driver.Table
}

func (s *scan) Read(ctx context.Context, r driver.Range) iter.Seq2[driver.Batch, error] {
	return s.conn.guarded(ctx, s.table, func(yield func(driver.Batch, error) bool) { s.Scan.Read(ctx, r)(yield) })
}

func (s *scan) Close() (err error) {
	unlimited := context.Background() // a close has no caller to be cancelled by
	defer func() {
		if p := recover(); p != nil {
			err = panicked("closing the scan of "+s.table.String(), p)
		}
		if err != nil {
			err = s.conn.clean(unlimited, err)
		}
	}()
	return s.Scan.Close()
}

// Undivided reports whether an error of Scan means that the table is to be read
// by Read instead.
func Undivided(err error) bool { return errors.Is(err, driver.ErrUnsupported) }
