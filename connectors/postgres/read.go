package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"headwater/connectors/driver"
)

// Read yields the table's rows in one snapshot. The network, the decoding and
// the consumer each run on their own; the consumer's pace holds the others
// back.
func (s *source) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		more := true
		give := func(b driver.Batch) bool {
			more = yield(b, nil)
			return more
		}
		if err := s.read(ctx, t, from, give); err != nil && more {
			yield(driver.Batch{}, err)
		}
	}
}

func (s *source) read(ctx context.Context, t driver.Table, from driver.Cursor, give func(driver.Batch) bool) error {
	c, err := s.transaction(ctx)
	if err != nil {
		return err
	}
	defer func() { s.keep(ctx, c) }()
	columns, err := s.plan(ctx, c, t)
	if err != nil {
		return err
	}
	query, err := selection(t, columns, from)
	if err != nil {
		return err
	}

	inner, cancel := context.WithCancel(ctx)
	p := &pipe{ctx: inner, full: make(chan []byte, 2), free: make(chan []byte, 4), batches: make(chan driver.Batch)}
	d := newDecoder(t, columns, from.Column, s.limits, p.emit)
	d.ascii = c.pg.ParameterStatus("server_encoding") == "SQL_ASCII"
	copied, decoded := make(chan error, 1), make(chan error, 1)
	go func() {
		defer close(p.full)
		_, err := c.pg.CopyTo(inner, p, "COPY ("+query+") TO STDOUT (FORMAT binary)")
		p.last()
		p.failed = classify(ctx, err, "table "+t.String())
		copied <- p.failed
	}()
	go func() {
		defer close(p.batches)
		decoded <- p.decode(d)
	}()
	for b := range p.batches {
		if !give(b) {
			cancel() // what is in flight is released below
			break
		}
	}
	for b := range p.batches {
		b.Record.Release()
	}
	decodeErr := <-decoded
	cancel() // the decoder is done, so nobody takes what the server still sends
	copyErr := <-copied
	d.release()
	if ctx.Err() != nil {
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "table %s: stopped", t)
	}
	if decodeErr != nil {
		return decodeErr
	}
	return copyErr
}

// plan compares the table with the catalog of the same snapshot and returns how
// each of its columns is read.
func (s *source) plan(ctx context.Context, c *session, t driver.Table) ([]mapped, error) {
	found, err := s.describe(ctx, c, ofTable, t.Namespace, t.Name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, driver.E(driver.ErrNotFound, nil, "table %s is not there, or this account may not read it", t)
	}
	columns := make([]mapped, len(t.Columns))
	for i, want := range t.Columns {
		at := slices.IndexFunc(found[0].Columns, func(have driver.Column) bool { return have.Name == want.Name })
		if at < 0 {
			return nil, driver.E(driver.ErrNotFound, nil, "table %s has no column %s any more, or this account may not read it: discover the schema again", t, want.Name)
		}
		if have := found[0].Columns[at]; have.Type != want.Type {
			return nil, driver.E(driver.ErrBadData, nil, "table %s, column %s is %s now, not %s: discover the schema again", t, want.Name, have.Type, want.Type)
		}
		columns[i] = found[0].columns[at]
	}
	if len(columns) == 0 {
		return nil, driver.E(driver.ErrUnsupported, nil, "table %s has no columns to read", t)
	}
	return columns, nil
}

// selection builds the statement. Nothing in it is SQL of the caller:
// identifiers and the cursor's value are quoted here.
func selection(t driver.Table, columns []mapped, from driver.Cursor) (string, error) {
	list := make([]string, len(columns))
	for i, c := range t.Columns {
		list[i] = quote(c.Name)
		if columns[i].cast {
			list[i] += "::text"
		}
	}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + relation(t)
	if from.Column == "" {
		return query, nil
	}
	at := slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == from.Column })
	if at < 0 {
		return "", driver.E(driver.ErrNotFound, nil, "table %s has no cursor column %s", t, from.Column)
	}
	if !columns[at].ordered {
		return "", driver.E(driver.ErrUnsupported, nil, "table %s, column %s (%s) has no order that a cursor can follow", t, from.Column, t.Columns[at].SourceType)
	}
	by := quote(from.Column)
	if columns[at].collate {
		by += ` COLLATE "C"` // the order of bytes, whatever the database's own
	}
	switch {
	case from.Value != nil:
		if err := checkCursor(t, t.Columns[at], *from.Value); err != nil {
			return "", err
		}
		query += fmt.Sprintf(" WHERE %s > %s ORDER BY %s", by, literal(*from.Value), by)
	case t.Columns[at].Nullable:
		query += fmt.Sprintf(" ORDER BY %s NULLS FIRST", by)
	default: // an index serves this
		query += fmt.Sprintf(" ORDER BY %s", by)
	}
	return query, nil
}

// checkCursor refuses a value that is not of the column's type.
func checkCursor(t driver.Table, c driver.Column, value string) error {
	var err error
	switch c.Type.Kind {
	case driver.Int32, driver.Int64, driver.Decimal:
		_, err = driver.CompareCursors(c.Type, value, "0")
	case driver.Date:
		_, err = time.Parse("2006-01-02", value)
	case driver.Timestamp:
		_, err = time.Parse("2006-01-02T15:04:05.999999", value)
	case driver.TimestampTZ:
		_, err = time.Parse("2006-01-02T15:04:05.999999Z", value)
	case driver.String:
		if strings.ContainsRune(value, 0) {
			err = errMalformed
		}
	}
	if err != nil {
		return driver.E(driver.ErrInvalidConfig, nil, "table %s: the cursor's value is no %s, the type of column %s", t, c.Type, c.Name)
	}
	return nil
}
