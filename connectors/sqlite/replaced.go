package sqlite

import (
	"context"
	"crypto/sha256"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite/btree"
)

// noted is what a read notes beside the place where the next one begins, to find out
// whether the table is still the same and was not filled again.
type noted struct {
	// Largest is the cursor that was reached; a lookback begins before it.
	Largest *string `json:"largest,omitempty"`
	// Row is the sum of the row that has it, where the cursor is the row number
	// and numbers are given out again.
	Row string `json:"row,omitempty"`
	// Seen are some rows, where the cursor is not the row number.
	Seen *samples `json:"seen,omitempty"`
}

// note returns the Position of a place to go on from. value is nil at the end of a Scan;
// seen are the samples from before the read.
func (s *source) note(ctx context.Context, found dbTable, column string, value *string, seen samples) (_ json.RawMessage, err error) {
	n := noted{Largest: value}
	if len(seen.Rows) > 0 && column != rowidAlias(found, found.keys()) {
		n.Seen = &seen
	}
	if column != "" && column == rowidAlias(found, found.keys()) && !autoincrement(found.sql) {
		if n.Row, err = s.rowSum(ctx, found, column, value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(n)
}

// rowSum returns a checksum of the row with a number, or of the row with the largest; ""
// if there is none.
func (s *source) rowSum(ctx context.Context, found dbTable, column string, value *string) (string, error) {
	var names []string
	for _, c := range found.columns {
		if !c.computed {
			names = append(names, c.name)
		}
	}
	query := selectFrom(found.name, names) + " ORDER BY " + quote(column) + " DESC LIMIT 1"
	var args []sqldriver.NamedValue
	if value != nil {
		n, err := strconv.ParseInt(*value, 10, 64)
		if err != nil {
			return "", nil
		}
		query = selectFrom(found.name, names) + " WHERE " + quote(column) + " = ?1"
		args = []sqldriver.NamedValue{{Ordinal: 1, Value: n}}
	}
	sum := ""
	err := s.rows(ctx, query, args, func(row []sqldriver.Value) error {
		h := sha256.New()
		for i, v := range row {
			fmt.Fprintf(h, "%q %T %q\n", names[i], v, fmt.Sprint(v))
		}
		sum = hex.EncodeToString(h.Sum(nil)[:12])
		return nil
	})
	if err != io.EOF {
		return "", s.failed(ctx, err, "reading "+found.name)
	}
	return sum, nil
}

// same fails with ErrReplaced if the table is not the one for which a Position was
// noted, or no longer has its rows: no row reaches what was reached, or the row there is
// another one, so that lower numbers may have been given again.
func (s *source) same(ctx context.Context, t driver.Table, from driver.Cursor) error {
	if from.Value == nil || len(from.Position) == 0 || t.Kind == "view" {
		return nil
	}
	var n noted
	if err := json.Unmarshal(from.Position, &n); err != nil {
		return driver.E(driver.ErrReplaced, nil, "table %s: what was noted of it cannot be read", t)
	}
	reached := *from.Value
	if n.Largest != nil {
		reached = *n.Largest
	}
	if n.Row != "" {
		found, _, err := s.find(ctx, t)
		if err != nil {
			return err
		}
		sum, err := s.rowSum(ctx, found, from.Column, &reached)
		if err == nil && sum != n.Row {
			err = driver.E(driver.ErrReplaced, nil, "table %s: the last row that was read, %s %s, is another one now; SQLite gives numbers out again after a delete (without AUTOINCREMENT), so rows before it may be new", t, from.Column, reached)
		}
		return err
	}
	if n.Seen != nil {
		if anew, err := s.filledAnew(ctx, t, from, *n.Seen); err != nil {
			return err
		} else if anew {
			return driver.E(driver.ErrReplaced, nil, "table %s: rows that were read before are gone or have other values without a newer cursor %s: it was made or filled anew", t, from.Column)
		}
	}
	reaches, err := s.reaches(ctx, t, from.Column, reached)
	if err == nil && !reaches {
		err = driver.E(driver.ErrReplaced, nil, "table %s: nothing in it reaches the cursor that was read before: its newest rows were deleted, or it was filled anew", t)
	}
	return err
}

// reaches reports whether a row has a cursor at or behind reached.
func (s *source) reaches(ctx context.Context, t driver.Table, column, reached string) (bool, error) {
	c, _ := t.Column(column)
	one := driver.Table{Name: t.Name, Kind: t.Kind, Columns: []driver.Column{c}}
	p, err := s.plan(ctx, one, driver.Cursor{Column: column, Value: &reached, Inclusive: true})
	if err != nil {
		return false, err
	}
	if p.ordered { // by an index, from there on
		some := false
		err := s.each(ctx, p, func([]btree.Value, *watchdog) error {
			some = true
			return errEnough
		})
		if err != nil && err != io.EOF && err != errEnough {
			return false, s.failed(ctx, err, "reading "+t.Name)
		}
		return some, nil
	}
	some := false
	err = s.read(ctx, one, p, func(batch driver.Batch, _ error) bool {
		defer batch.Record.Release()
		a := batch.Record.Column(0)
		if row := driver.Largest(a); row >= 0 {
			order, err := driver.CompareCursors(c.Type, driver.FormatCursor(a, row), reached)
			some = err != nil || order >= 0
		}
		return !some
	})
	if err != nil && err != errLeft {
		return false, s.failed(ctx, err, "reading "+t.Name)
	}
	return some, nil
}

// positions makes the note for every column that has an order, at the end of the table.
func (s *source) positions(ctx context.Context, t driver.Table, found dbTable) (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	seen, err := s.sampled(ctx, found, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range t.Columns {
		if !c.Type.Ordered() {
			continue
		}
		position, err := s.note(ctx, found, c.Name, nil, seen)
		if err != nil {
			return nil, err
		}
		all[c.Name] = position
	}
	return all, nil
}

// Place notes what the end of a Scan would note, for a table that cannot be divided.
func (s *source) Place(ctx context.Context, t driver.Table, column string) (driver.Cursor, error) {
	from := driver.Cursor{Column: column}
	end, err := s.begin(ctx)
	if err != nil {
		return from, err
	}
	defer end()
	found, _, err := s.find(ctx, t)
	if err != nil || found.kind != "table" {
		return from, err
	}
	seen, err := s.sampled(ctx, found, nil)
	if err == nil {
		from.Position, err = s.note(ctx, found, column, nil, seen)
	}
	return from, err
}

var (
	_ driver.Moments = (*scan)(nil)
	_ driver.Placer  = (*source)(nil)
)

// Start returns where an incremental read begins after the Scan.
func (c *scan) Start(column string) driver.Cursor {
	from := driver.Cursor{Column: column}
	from.Position = c.positions[column]
	return from
}

// Notes returns nothing: all ranges are of one moment.
func (c *scan) Notes() []string { return nil }
