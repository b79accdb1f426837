package sqlite

import (
	"cmp"
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// sampleValues is how many values of a table are looked at when the settings
// do not say how many rows.
const sampleValues = 5_000_000

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// dbTable is a table or view as SQLite describes it.
type dbTable struct {
	name         string
	kind         string
	withoutRowid bool
	computed     bool // some columns are
	columns      []dbColumn
}

type dbColumn struct {
	name     string
	declared string
	notNull  bool
	defaults bool  // to something
	key      int64 // place in the primary key, from 1
}

// quote returns an identifier for a statement.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// tables lists tables and views, without virtual tables and SQLite's own.
func (s *source) tables(ctx context.Context) ([]dbTable, error) {
	var tables []dbTable
	err := s.rows(ctx, "PRAGMA main.table_list", nil, func(row []sqldriver.Value) error {
		name, kind := asText(row[1]), asText(row[2])
		if (kind == "table" || kind == "view") && !strings.HasPrefix(strings.ToLower(name), "sqlite_") {
			tables = append(tables, dbTable{name: name, kind: kind, withoutRowid: row[4] == int64(1)})
		}
		return nil
	})
	if err != io.EOF {
		return nil, s.failed(ctx, err, "reading the schema")
	}
	slices.SortFunc(tables, func(a, b dbTable) int { return strings.Compare(a.name, b.name) })
	return tables, nil
}

// describe fills in a table's columns.
func (s *source) describe(ctx context.Context, t *dbTable) error {
	err := s.rows(ctx, "PRAGMA main.table_xinfo("+quote(t.name)+")", nil, func(row []sqldriver.Value) error {
		if row[6] == int64(1) { // hidden column of a virtual table
			return nil
		}
		key, _ := row[5].(int64)
		t.computed = t.computed || row[6] != int64(0)
		t.columns = append(t.columns, dbColumn{name: asText(row[1]), declared: asText(row[2]), notNull: row[3] == int64(1), defaults: row[4] != nil, key: key})
		return nil
	})
	if err != io.EOF {
		return s.failed(ctx, err, "reading the columns of "+t.name)
	}
	return nil
}

// Discover lists tables and views. The types are those of the values that a
// column really holds, as far as the sample goes, because SQLite lets any value
// into any column. A view that SQLite itself cannot read is left out with a
// warning.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	found, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	tables := make([]driver.Table, 0, len(found))
	for _, t := range found {
		err := s.describe(ctx, &t)
		var table driver.Table
		if err == nil {
			table, err = s.discover(ctx, t)
		}
		if err != nil && t.kind == "view" && ctx.Err() == nil && !errors.Is(err, driver.ErrTimeout) {
			s.log.WarnContext(ctx, "a view cannot be read and is left out", "view", t.name, "error", err)
			continue
		}
		if err != nil {
			return nil, cmp.Or(s.file.unchanged(), err)
		}
		tables = append(tables, table)
	}
	return tables, s.file.unchanged()
}

func (s *source) discover(ctx context.Context, t dbTable) (driver.Table, error) {
	table := driver.Table{Name: t.name, Kind: t.kind, RowEstimate: -1}
	guesses := make([]guess, len(t.columns))
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		guesses[i].declared = declaredAs(c.declared)
		names[i] = c.name
	}
	rows, whole, err := s.scan(ctx, t, names, guesses)
	if err != nil {
		return table, err
	}
	if whole {
		table.RowEstimate = rows
	} else {
		table.RowEstimate = s.estimate(ctx, t)
	}
	keys := t.keys()
	rowid := rowidAlias(t, keys)
	for i, c := range t.columns {
		column := driver.Column{Name: c.name, Type: guesses[i].columnType(), SourceType: c.declared, Nullable: !c.notNull}
		if c.name == rowid || c.key > 0 && t.withoutRowid {
			column.Nullable = false
		}
		if t.kind == "view" {
			column.Nullable = true
		}
		table.Columns = append(table.Columns, column)
	}
	for _, c := range keys {
		table.PrimaryKey = append(table.PrimaryKey, c.name)
	}
	if err := records.Retype(table.Columns, s.settings.ColumnTypes); err != nil {
		return table, err
	}
	table.Cursor, table.CursorNotes = driver.DefaultCursor(table)
	return table, nil
}

// rowidAlias returns the column that is SQLite's own row number, or "".
func rowidAlias(t dbTable, keys []dbColumn) string {
	if len(keys) == 1 && !t.withoutRowid && strings.EqualFold(keys[0].declared, "INTEGER") {
		return keys[0].name
	}
	return ""
}

// scan looks at the values of a table's first rows.
func (s *source) scan(ctx context.Context, t dbTable, names []string, guesses []guess) (rows int64, whole bool, err error) {
	if len(names) == 0 {
		return 0, true, nil
	}
	limit := s.settings.SampleRows
	if limit == 0 {
		limit = max(sampleValues/int64(len(names)), 1000)
	}
	from, err := s.stored(ctx, t, names)
	if err != nil {
		return 0, false, err
	}
	err = s.each(ctx, plan{table: t.name, query: selectFrom(t.name, names), stored: from, span: everything}, func(row []value, _ *watchdog) error {
		if rows == limit {
			return errEnough
		}
		rows++
		for i := range row {
			guesses[i].value(&row[i])
		}
		return nil
	})
	switch err {
	case io.EOF:
		return rows, true, nil
	case errEnough:
		return rows, false, nil
	}
	return rows, false, s.failed(ctx, err, "reading "+t.name)
}

// selectFrom reads columns as they are stored: the plus sign takes away the
// declared type, by which the library would parse dates.
func selectFrom(table string, columns []string) string {
	var q strings.Builder
	q.WriteString("SELECT ")
	for i, c := range columns {
		if i > 0 {
			q.WriteString(", ")
		}
		q.WriteString("+" + quote(c))
	}
	q.WriteString(" FROM main." + quote(table))
	return q.String()
}

// estimate guesses the number of rows of a table by its greatest row number,
// or returns -1.
func (s *source) estimate(ctx context.Context, t dbTable) int64 {
	rows := int64(-1)
	name := rowidName(t)
	if t.kind != "table" || t.withoutRowid || name == "" {
		return rows
	}
	s.rows(ctx, "SELECT (SELECT max("+name+") FROM main."+quote(t.name)+") - (SELECT min("+name+") FROM main."+quote(t.name)+") + 1", nil, func(row []sqldriver.Value) error {
		if n, ok := row[0].(int64); ok {
			rows = n
		}
		return nil
	})
	return rows
}

func asText(v sqldriver.Value) string {
	s, _ := v.(string)
	return s
}
