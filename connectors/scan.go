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

// Whole returns a Scan of one range, which holds all rows of a table that cannot
// be divided, for sources that say where an incremental read by the column goes on
// after it. It returns nil for others.
func (c *Conn) Whole(ctx context.Context, t driver.Table, column string) (driver.Scan, error) {
	placer, ok := c.source.(driver.Placer)
	if !ok {
		return nil, nil
	}
	w := &whole{conn: c, table: t}
	err := c.guard(ctx, "looking at "+t.String(), c.timeouts.Discover, func(ctx context.Context) (err error) {
		w.start, err = placer.Place(ctx, t, column)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// whole is a table as one range.
type whole struct {
	conn  *Conn
	table driver.Table
	start driver.Cursor
}

func (w *whole) Unread() []driver.Range {
	return []driver.Range{{Token: "whole", Rows: w.table.RowEstimate}}
}

// Kept is nothing: nobody knows what became of rows that were read before.
func (w *whole) Kept() []driver.Range { return nil }

func (w *whole) Read(ctx context.Context, _ driver.Range) iter.Seq2[driver.Batch, error] {
	return w.conn.Read(ctx, w.table, driver.Cursor{})
}

func (w *whole) Start(string) driver.Cursor { return w.start }
func (w *whole) Notes() []string            { return nil }
func (w *whole) Close() error               { return nil }

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
