package sqlite

import (
	"context"
	"crypto/sha256"
	sqldriver "database/sql/driver"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"headwater/connectors/driver"
)

const (
	sampleRows    = 16 // at each end of a table
	sampleColumns = 64
	markLen       = 4
)

// samples are rows that were seen. They tell a table from another one that took its
// place or name, because SQLite has no lasting number for a table.
type samples struct {
	Columns []string         `json:"columns,omitempty"`
	Rows    map[int64]string `json:"rows,omitempty"` // marks of the values by row number
}

// rowNumber returns a name of the row number, "" if the table has none, or if columns
// have all its names.
func rowNumber(t dbTable) string {
	if t.kind != "table" || t.withoutRowid {
		return ""
	}
	for _, name := range []string{"_rowid_", "rowid", "oid"} {
		if !slices.ContainsFunc(t.columns, func(c dbColumn) bool { return strings.EqualFold(c.name, name) }) {
			return name
		}
	}
	return ""
}

// sampled returns rows from both ends of the table, or, with only, the rows with these
// numbers. Views and tables without row numbers have none.
func (s *source) sampled(ctx context.Context, t dbTable, only *samples) (samples, error) {
	number := rowNumber(t)
	found := samples{Rows: map[int64]string{}}
	for _, c := range t.columns {
		if !c.computed && len(found.Columns) < sampleColumns {
			found.Columns = append(found.Columns, c.name)
		}
	}
	if number == "" || len(found.Columns) == 0 {
		return samples{}, nil
	}
	list := selectFrom(t.name, append([]string{number}, found.Columns...))
	var queries []string
	if only != nil {
		queries = []string{list + " WHERE " + number + " IN (" + only.numbers() + ")"}
	} else {
		for _, order := range []string{"", " DESC"} {
			queries = append(queries, fmt.Sprintf("%s ORDER BY %s%s LIMIT %d", list, number, order, sampleRows))
		}
	}
	for _, query := range queries {
		err := s.rows(ctx, query, nil, func(row []sqldriver.Value) error {
			n, ok := row[0].(int64)
			if !ok {
				return nil
			}
			marks := ""
			for _, v := range row[1:] {
				sum := sha256.Sum256(fmt.Appendf(nil, "%T %q", v, fmt.Sprint(v)))
				marks += base64.RawURLEncoding.EncodeToString(sum[:])[:markLen]
			}
			found.Rows[n] = marks
			return nil
		})
		if err != io.EOF {
			return samples{}, s.failed(ctx, err, "reading "+t.name)
		}
	}
	return found, nil
}

func (m *samples) numbers() string {
	var all []string
	for n := range m.Rows {
		all = append(all, fmt.Sprint(n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// mark returns the mark of a value in a row, "" if it was not noted.
func (m *samples) mark(n int64, column string) string {
	at := slices.Index(m.Columns, column)
	if row := m.Rows[n]; at >= 0 && len(row) >= (at+1)*markLen {
		return row[at*markLen : (at+1)*markLen]
	}
	return ""
}

// covers reports whether a row with that number would have been among the samples.
func (m *samples) covers(n int64) bool {
	all := slices.Sorted(maps.Keys(m.Rows))
	return len(all) < 2*sampleRows || n < all[sampleRows] || n > all[sampleRows-1]
}

// filledAnew reports whether the sampled rows are other rows now: most have other values
// and a cursor that did not move forward, or all are gone, or as many new ones with an
// older cursor are among them. A row whose cursor moved forward proves nothing, because
// it is read again.
func (s *source) filledAnew(ctx context.Context, t driver.Table, from driver.Cursor, was samples) (bool, error) {
	if len(was.Rows) == 0 {
		return false, nil
	}
	found, _, err := s.find(ctx, t)
	if err != nil {
		return false, err
	}
	now, err := s.sampled(ctx, found, &was)
	if err != nil || len(now.Columns) == 0 {
		return false, err
	}
	intact, changed, gone := 0, 0, 0
	moved := samples{Rows: map[int64]string{}}
	for n := range was.Rows {
		if _, there := now.Rows[n]; !there {
			gone++
			continue
		}
		same := true
		for _, column := range was.Columns {
			before, after := was.mark(n, column), now.mark(n, column)
			same = same && (before == "" || after == "" || before == after)
		}
		switch {
		case same:
			intact++
		case was.mark(n, from.Column) == now.mark(n, from.Column):
			changed++
		default:
			moved.Rows[n] = ""
		}
	}
	ends, err := s.sampled(ctx, found, nil)
	if err != nil {
		return false, err
	}
	onward := len(moved.Rows)
	for n := range ends.Rows {
		if _, seen := was.Rows[n]; !seen && was.covers(n) {
			moved.Rows[n] = ""
		}
	}
	back, err := s.movedBack(ctx, t, found, from, moved)
	changed += back
	return changed > intact || intact == 0 && gone > onward, err
}

// movedBack counts rows whose cursor lies before the one that a read begins at, so that
// they are not read.
func (s *source) movedBack(ctx context.Context, t driver.Table, found dbTable, from driver.Cursor, moved samples) (n int, err error) {
	c, ok := t.Column(from.Column)
	if !ok || len(moved.Rows) == 0 {
		return 0, nil
	}
	one := driver.Table{Name: t.Name, Kind: t.Kind, Columns: []driver.Column{c}}
	query := selectFrom(t.Name, []string{c.Name}) + " WHERE " + rowNumber(found) + " IN (" + moved.numbers() + ")"
	err = s.read(ctx, one, plan{table: t.Name, found: found, query: query}, func(batch driver.Batch, _ error) bool {
		defer batch.Record.Release()
		values := batch.Record.Column(0)
		for row := range values.Len() {
			if values.IsNull(row) {
				continue
			}
			if order, err := driver.CompareCursors(c.Type, driver.FormatCursor(values, row), *from.Value); err == nil && order < 0 {
				n++
			}
		}
		return true
	})
	if err != nil {
		err = s.failed(ctx, err, "reading "+t.Name)
	}
	return n, err
}
