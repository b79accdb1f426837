package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/protocol"
	"headwater/connectors/mysql/session"
	"headwater/connectors/mysql/typemap"
	"headwater/connectors/sqldb"
)

// Read yields the table's rows in one snapshot. Rows are fetched and decoded by a
// goroutine of their own, which waits for the consumer.
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
	var w witness
	c, err := s.Transaction(ctx, func(c *session.Session) (err error) {
		if from.Column != "" {
			w, err = s.look(ctx, c, t)
		}
		return err
	})
	if err != nil {
		return err
	}
	r, err := s.reading(ctx, c, t, from, &w)
	if err != nil {
		s.Keep(c)
		return err
	}
	more := true
	for _, piece := range append(r.pieces[:len(r.pieces):len(r.pieces)], r.query)[:max(len(r.pieces), 1)] {
		r.query = piece
		err := s.rows(ctx, c, r, func(b driver.Batch) bool {
			more = give(b)
			return more
		})
		if err != nil {
			c.Close()
			return err
		}
		if !more {
			break
		}
	}
	s.Keep(c)
	return nil
}

// Place returns where an incremental read by the column begins if all rows are read now.
// It works for views, too.
func (s *source) Place(ctx context.Context, t driver.Table, column string) (driver.Cursor, error) {
	var w witness
	c, err := s.Transaction(ctx, func(c *session.Session) (err error) {
		w, err = s.look(ctx, c, t)
		return err
	})
	if err != nil {
		return driver.Cursor{}, err
	}
	defer s.Keep(c)
	d, _, err := s.plan(ctx, c, t)
	if err == nil {
		_, err = s.see(ctx, c, &w, d, nil, "0")
	}
	return w.start(t, column), err
}

var _ driver.Placer = (*source)(nil)

// reading is a statement to run, and what is done with its rows.
type reading struct {
	table    driver.Table
	view     bool
	computed bool   // some values are expressions of the source
	border   bool   // at least one row at or behind the cursor is expected
	cursor   string // "" for none
	query    string
	pieces   []string // statements that take the place of query, if there are any
	ahead    int      // batches that may wait for the consumer
	notes    []string // of the table's result
	// Of a read by a cursor: what is noted beside its value, and the lowest value that
	// a row which is still to be committed may have, "" if there is none.
	position json.RawMessage
	ceiling  string
	from     *string // the value that this read began at
}

// reading prepares a read. It fails with ErrReplaced if the table is not the one that
// the cursor belongs to.
func (s *source) reading(ctx context.Context, c *session.Session, t driver.Table, from driver.Cursor, w *witness) (reading, error) {
	d, columns, err := s.plan(ctx, c, t)
	if err != nil {
		return reading{}, err
	}
	query, err := selection(t, columns, from)
	if err != nil {
		return reading{}, err
	}
	r := reading{table: t, view: d.Kind == "view", computed: d.computed, cursor: from.Column, query: query, from: from.Value}
	if from.Column == "" {
		r.pieces, err = s.pieces(ctx, c, d, query)
		if err == nil && len(r.pieces) > 1 { // these engines have no snapshots, and a transaction would lock the definition
			r.ahead = pieceAhead
			err = c.Exec(ctx, session.RollbackStatement)
		}
		return r, err
	}
	was := positionOf(from.Position)
	var old []sample
	if was != nil {
		old = was.Rows
	}
	behind, err := before(t, columns, from)
	if err != nil {
		return reading{}, err
	}
	again, err := s.see(ctx, c, w, d, old, behind)
	if err != nil {
		return reading{}, err
	}
	note, err := s.sameTable(ctx, c, t, columns, from, w, again, r.view)
	if err != nil {
		return reading{}, err
	}
	if note != "" {
		r.notes = append(r.notes, note)
	}
	column, _ := t.Column(from.Column)
	r.position, r.ceiling = w.note(was), w.ceiling(column, was)
	r.border = r.view && from.Inclusive && from.Value != nil && was != nil
	return r, nil
}

// rows runs a statement and gives its batches until give returns false. After an error,
// or if not all batches were wanted, the session is closed.
func (s *source) rows(ctx context.Context, c *session.Session, r reading, give func(driver.Batch) bool) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	batches, done := make(chan driver.Batch, r.ahead), make(chan error, 1)
	go func() {
		defer close(batches)
		done <- s.stream(inner, c, r, batches)
	}()
	for b := range batches {
		if !give(b) {
			cancel()
			break
		}
	}
	for b := range batches {
		b.Record.Release()
	}
	err := <-done
	if ctx.Err() != nil {
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "table %s: stopped", r.table)
	}
	return err
}

// stream runs a statement and sends its batches. It closes the session on failure.
func (s *source) stream(ctx context.Context, c *session.Session, r reading, batches chan<- driver.Batch) (err error) {
	what := "table " + r.table.String()
	explain := c.Explain
	if r.view {
		what, explain = "view "+r.table.String(), c.ExplainView
	}
	d := newDecoder(r.table, r.cursor, s.Limits, s.Settings.Nulls(), func(b driver.Batch) error {
		select {
		case batches <- b:
			return nil
		case <-ctx.Done():
			b.Record.Release()
			return driver.E(driver.ErrTimeout, context.Cause(ctx), "%s: stopped", what)
		}
	})
	d.reading = r
	defer d.Release()
	defer func() {
		if recover() != nil {
			err = d.malformed()
		}
		if err != nil {
			c.Close()
		}
	}()
	defer c.Watch(ctx)()
	c.SetReadTimeout(s.Settings.FirstRow())
	late := func(err error) error { // of an error before the first row
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			return driver.E(driver.ErrLimit, nil, "%s: no row came within %s: raise connection_config.first_row_seconds, or give the query less to do", what, s.Settings.FirstRow())
		}
		return explain(ctx, err, what)
	}
	names, err := c.Start(r.query)
	if err != nil {
		return late(err)
	}
	if len(names) != len(r.table.Columns) {
		return driver.E(driver.ErrBadData, nil, "%s: the server sent other columns than asked for", what)
	}
	for {
		p, err := c.Row()
		if d.row == 0 {
			c.SetReadTimeout(0)
		}
		switch {
		case errors.Is(err, protocol.ErrTooLong):
			return driver.E(driver.ErrLimit, nil, "%s, row %d has more bytes than the limit of %d: raise connection_config.max_row_mib, or exclude the long column", what, d.row+1, s.Limits.MaxRowBytes)
		case errors.Is(err, protocol.ErrPacket):
			return driver.E(driver.ErrBadData, nil, "%s, after row %d: the server sent malformed bytes", what, d.row)
		case err != nil && d.row == 0:
			return late(err)
		case err != nil:
			return explain(ctx, err, what)
		case p == nil && c.Warnings > 0:
			if err := c.CheckWarnings(ctx, what, r.computed); err != nil {
				return err
			}
			return r.end(d)
		case p == nil:
			return r.end(d)
		}
		if err := d.append(p); err != nil {
			return err
		}
	}
}

// end sends the last rows. A view without a row at or behind the cursor that it had
// reached may be another view: that is ErrReplaced.
func (r reading) end(d *decoder) error {
	if err := d.finish(); err != nil || !r.border || d.valued {
		return err
	}
	return replaced(r.table)
}

// plan compares the table with the catalog. It returns what the catalog has, and how
// each of t's columns is read. ErrNotFound and ErrBadData say that the schema has to be
// discovered again.
func (s *source) plan(ctx context.Context, c *session.Session, t driver.Table) (tableInfo, []typemap.Mapped, error) {
	missing := driver.E(driver.ErrNotFound, nil, "table %s is not there, or this account may not read it", t)
	if t.Namespace != s.Settings.Database {
		return tableInfo{}, nil, missing
	}
	found, err := s.describe(ctx, c, t.Name)
	if err != nil {
		return tableInfo{}, nil, err
	}
	at := slices.IndexFunc(found, func(d tableInfo) bool { return d.Name == t.Name })
	switch {
	case at < 0:
		return tableInfo{}, nil, missing
	case found[at].LeftOut != "":
		return tableInfo{}, nil, driver.E(driver.ErrNotFound, nil, "%s %s: %s", found[at].Kind, t, found[at].LeftOut)
	}
	columns := make([]typemap.Mapped, len(t.Columns))
	for i, want := range t.Columns {
		j := slices.IndexFunc(found[at].Columns, func(have driver.Column) bool { return have.Name == want.Name })
		if j < 0 {
			return tableInfo{}, nil, driver.E(driver.ErrNotFound, nil, "table %s has no column %s any more, or this account may not read it: discover the schema again", t, want.Name)
		}
		if have := found[at].Columns[j]; have.Type != want.Type {
			return tableInfo{}, nil, driver.E(driver.ErrBadData, nil, "table %s, column %s is %s now, not %s: discover the schema again", t, want.Name, have.Type, want.Type)
		}
		columns[i] = found[at].columns[j]
	}
	if len(columns) == 0 {
		return tableInfo{}, nil, driver.E(driver.ErrUnsupported, nil, "table %s has no columns to read", t)
	}
	return found[at], columns, nil
}

// selection builds the statement. It contains no SQL of the caller: identifiers and the
// cursor's value are quoted here.
func selection(t driver.Table, columns []typemap.Mapped, from driver.Cursor) (string, error) {
	list := make([]string, len(columns))
	for i, c := range t.Columns {
		list[i] = session.Quote(c.Name)
		if columns[i].Expr != "" {
			list[i] = strings.ReplaceAll(columns[i].Expr, "%s", list[i])
		}
	}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + session.Relation(t)
	if from.Column == "" {
		return query, nil
	}
	at := slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == from.Column })
	if at < 0 {
		return "", driver.E(driver.ErrNotFound, nil, "table %s has no cursor column %s", t, from.Column)
	}
	if columns[at].Order == "" {
		return "", driver.E(driver.ErrUnsupported, nil, "table %s, column %s (%s) has no order that a cursor can follow", t, from.Column, t.Columns[at].SourceType)
	}
	by := strings.ReplaceAll(columns[at].Order, "%s", session.Quote(from.Column))
	if from.Value != nil {
		value, err := constant(t, t.Columns[at], *from.Value)
		if err != nil {
			return "", err
		}
		than := ">"
		if from.Inclusive {
			than = ">="
		}
		where := fmt.Sprintf("%s %s %s", by, than, value)
		if from.Nulls {
			where = session.Quote(from.Column) + " IS NULL OR " + where
		}
		query += " WHERE " + where
	}
	return query + " ORDER BY " + by, nil // NULL sorts first
}

// before returns the condition for rows whose cursor is less than the one that a read
// goes on from.
func before(t driver.Table, columns []typemap.Mapped, from driver.Cursor) (string, error) {
	at := slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == from.Column })
	if at < 0 || from.Value == nil {
		return "0", nil
	}
	value, err := constant(t, t.Columns[at], *from.Value)
	return strings.ReplaceAll(columns[at].Order, "%s", session.Quote(from.Column)) + " < " + value, err
}

// constant writes a cursor's value as SQL of the column's type. A value of another type
// is an ErrInvalidConfig.
func constant(t driver.Table, c driver.Column, value string) (string, error) {
	switch c.Type.Kind {
	case driver.Int32, driver.Int64, driver.Decimal:
		if _, err := sqldb.CheckCursor(t, c, value); err != nil {
			return "", err
		}
		return value, nil // without quotes: a string would be compared as floating point
	case driver.Date, driver.Timestamp, driver.TimestampTZ:
		at, err := sqldb.CheckCursor(t, c, value)
		if err != nil {
			return "", err
		}
		if c.Type.Kind == driver.Date {
			return session.Literal(value), nil
		}
		return session.Literal(at.Format("2006-01-02 15:04:05.000000")), nil
	}
	return "CAST(_utf8mb4" + session.Literal(value) + " AS BINARY)", nil
}
