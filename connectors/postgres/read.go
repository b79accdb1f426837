package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"headwater/connectors/driver"
)

// Read yields the table's rows in one snapshot.
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

// unreplaced locks a table and answers whether one of its heaps was replaced
// since the snapshot, which would then find it empty: truncating, and altering a
// column's type, do that to transactions older than they are.
const unreplaced = `SELECT 1 FROM %s LIMIT 0; ` + below + `
SELECT coalesce(bool_or(c.relfilenode <> pg_relation_filenode(c.oid)), false) FROM tree JOIN pg_class c ON c.oid = tree.oid WHERE c.relkind IN ('r', 'm') AND c.relfilenode <> 0;`

// below selects a table and all that are part of it or inherit from it.
const below = `
WITH RECURSIVE tree AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
  UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)`

// read takes two round trips: one for the transaction and the catalog, one for
// the rows and the end of the transaction.
func (s *source) read(ctx context.Context, t driver.Table, from driver.Cursor, give func(driver.Batch) bool) error {
	c, columns, err := s.plan(ctx, t)
	if err != nil {
		return err
	}
	defer func() { s.keep(ctx, c) }()
	query, err := selection(t, columns, from)
	if err != nil {
		return err
	}
	d := newDecoder(t, columns, from.Column, s.limits, nil)
	return c.copyTable(ctx, d, query, give)
}

// copyTable reads what the query selects of the decoder's table and ends the
// transaction.
func (c *session) copyTable(ctx context.Context, d *decoder, query string, give func(driver.Batch) bool) error {
	t := d.table
	return c.stream(ctx, d, fmt.Sprintf(unreplaced, relation(t), literal(t.Namespace), literal(t.Name))+"COPY ("+query+") TO STDOUT (FORMAT binary); COMMIT", give)
}

// stream runs a COPY and gives its rows to the consumer, who works on a batch
// while the next is decoded. The decoder follows the network and is held back by
// the consumer.
func (c *session) stream(ctx context.Context, d *decoder, sql string, give func(driver.Batch) bool) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan driver.Batch, 1)
	stopped := driver.E(driver.ErrTimeout, context.Canceled, "stopped")
	d.emit = func(b driver.Batch) error {
		select {
		case batches <- b:
			return nil
		case <-inner.Done():
			b.Record.Release()
			return stopped
		}
	}
	d.ascii = c.pg.ParameterStatus("server_encoding") == "SQL_ASCII"
	result := make(chan error, 1)
	go func() {
		defer close(batches)
		result <- c.decode(inner, d, sql)
	}()
	more := true
	for b := range batches {
		if more {
			if more = give(b); !more {
				cancel()
			}
			continue
		}
		b.Record.Release()
	}
	err := <-result
	if ctx.Err() != nil {
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "table %s: stopped", d.table)
	}
	return err
}

// decode runs a COPY through the decoder.
func (c *session) decode(ctx context.Context, d *decoder, sql string) (err error) {
	defer func() {
		if recover() != nil {
			c.abort()
			err = d.malformed()
		}
	}()
	if err := c.copyOut(ctx, sql, d.limits.MaxRowBytes, d.message); err != nil {
		var long *longRow
		switch {
		case errors.Is(err, errMalformed):
			return d.malformed()
		case errors.As(err, &long):
			d.row++
			return d.tooLong(long.size)
		}
		return classify(ctx, err, "table "+d.table.String())
	}
	return d.finish()
}

// plan begins a transaction, compares the table with the catalog in it and
// returns how each of its columns is read.
func (s *source) plan(ctx context.Context, t driver.Table) (*session, []mapped, error) {
	c, found, err := s.describe(ctx, fmt.Sprintf(ofTable, literal(t.Namespace), literal(t.Name)))
	if err != nil {
		return nil, nil, err
	}
	columns, err := match(t, found)
	if err != nil {
		s.keep(ctx, c)
		return nil, nil, err
	}
	return c, columns, nil
}

// match compares the table with what the catalog has under its name.
func match(t driver.Table, found []described) ([]mapped, error) {
	if len(found) == 0 || found[0].Namespace != t.Namespace || found[0].Name != t.Name {
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
	query := "SELECT " + list(t, columns) + " FROM " + relation(t)
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
