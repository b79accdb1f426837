package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/records"
	"headwater/connectors/sqlite/btree"
)

// sampleValues is how many values of a table are looked at if the settings do not say
// how many rows.
const sampleValues = 5_000_000

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// dbTable is a table or view as SQLite describes it.
type dbTable struct {
	name         string
	kind         string
	left         string // why it is left out
	sql          string // that made it
	withoutRowid bool
	computed     bool // some columns are
	indexed      bool // its key is not the row number: it has an index
	columns      []dbColumn
	notes        []string
}

type dbColumn struct {
	name     string
	declared string
	fallback string // the default, as SQL
	notNull  bool
	defaults bool // to something
	computed bool
	key      int64 // place in the primary key, from 1
}

// quote writes a name as an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// tables lists tables and views, without SQLite's own. Virtual tables, and the tables
// that have their content, are left out.
func (s *source) tables(ctx context.Context) ([]dbTable, error) {
	var tables []dbTable
	err := s.rows(ctx, "PRAGMA main.table_list", nil, func(row []sqldriver.Value) error {
		if name, kind := asText(row[1]), asText(row[2]); !strings.HasPrefix(strings.ToLower(name), "sqlite_") {
			tables = append(tables, dbTable{name: name, kind: kind, withoutRowid: row[4] == int64(1)})
		}
		return nil
	})
	if err != io.EOF {
		return nil, s.failed(ctx, err, "reading the schema")
	}
	slices.SortFunc(tables, func(a, b dbTable) int { return strings.Compare(a.name, b.name) })
	made := map[string]string{}
	err = s.rows(ctx, "SELECT name, sql FROM main.sqlite_schema WHERE type IN ('table', 'view')", nil, func(row []sqldriver.Value) error {
		made[asText(row[0])] = asText(row[1])
		return nil
	})
	if err != io.EOF {
		return nil, s.failed(ctx, err, "reading the schema")
	}
	for i := range tables {
		tables[i].sql = made[tables[i].name]
	}
	return leaveOut(tables), nil
}

// describe fills in the columns of a table.
func (s *source) describe(ctx context.Context, t *dbTable) error {
	err := s.rows(ctx, "PRAGMA main.table_xinfo("+quote(t.name)+")", nil, func(row []sqldriver.Value) error {
		if row[6] == int64(1) { // hidden column of a virtual table
			return nil
		}
		key, _ := row[5].(int64)
		computed := row[6] != int64(0)
		t.computed = t.computed || computed
		t.columns = append(t.columns, dbColumn{name: asText(row[1]), declared: asText(row[2]), notNull: row[3] == int64(1), defaults: row[4] != nil, fallback: asText(row[4]), computed: computed, key: key})
		return nil
	})
	if err != io.EOF {
		return s.failed(ctx, err, "reading the columns of "+t.name)
	}
	if rowidAlias(*t, t.keys()) != "" {
		// INTEGER PRIMARY KEY DESC is no alias of the row number, and may be NULL.
		err := s.rows(ctx, "PRAGMA main.index_list("+quote(t.name)+")", nil, func(row []sqldriver.Value) error {
			t.indexed = t.indexed || asText(row[3]) == "pk"
			return nil
		})
		if err != io.EOF {
			return s.failed(ctx, err, "reading the columns of "+t.name)
		}
	}
	return s.evaluated(ctx, t)
}

// evaluated drops computed columns whose expression only the program that created them
// can evaluate.
func (s *source) evaluated(ctx context.Context, t *dbTable) error {
	var kept []dbColumn
	for _, c := range t.columns {
		if c.computed && t.kind == "table" {
			err := s.rows(ctx, "SELECT +"+quote(c.name)+" FROM main."+quote(t.name)+" LIMIT 0", nil, func([]sqldriver.Value) error { return nil })
			if ctx.Err() != nil {
				return s.failed(ctx, err, "reading the columns of "+t.name)
			}
			if err != io.EOF {
				t.notes = append(t.notes, "Column "+c.name+" is left out: it cannot be computed outside of the program that made it ("+err.Error()+").")
				continue
			}
		}
		kept = append(kept, c)
	}
	t.columns = kept
	return nil
}

// Discover lists tables and views. SQLite lets any value into any column, so types are
// those of the values in the sample. A table that cannot be read is in the
// *driver.UnreadTables; a view that SQLite itself cannot read is left out with the
// reason.
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
	var unread []driver.UnreadTable
	for _, t := range found {
		left := driver.Table{Name: t.name, Kind: t.kind, RowEstimate: -1, LeftOut: t.left}
		if t.left != "" {
			tables = append(tables, left)
			continue
		}
		err := s.describe(ctx, &t)
		var table driver.Table
		if err == nil {
			table, err = s.discover(ctx, t)
		}
		switch {
		case err == nil:
			tables = append(tables, table)
		case ctx.Err() != nil:
			return nil, err
		case t.kind == "view" && !errors.Is(err, driver.ErrTimeout):
			left.LeftOut = "the view cannot be read: " + err.Error()
			tables = append(tables, left)
		default:
			unread = append(unread, driver.UnreadTable{Name: t.name, Err: err})
		}
	}
	if err := s.file.unchanged(); err != nil || len(unread) == 0 {
		return tables, err
	}
	if len(unread) == len(found) {
		return nil, unread[0].Err
	}
	return tables, &driver.UnreadTables{Tables: unread}
}

func (s *source) discover(ctx context.Context, t dbTable) (driver.Table, error) {
	table := driver.Table{Name: t.name, Kind: t.kind, RowEstimate: -1, Notes: slices.Concat(t.notes, s.file.notes)}
	if n := s.file.stamp.inode; n != 0 {
		table.Identity = fmt.Sprintf("file %d, %s %s", n, t.kind, t.name)
	}
	guesses := make([]guess, len(t.columns))
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		guesses[i].declared = declaredAs(c.declared)
		names[i] = c.name
	}
	keys, unique, err := s.keysOf(ctx, t)
	if err != nil {
		return table, err
	}
	for i := range guesses {
		guesses[i].key = slices.ContainsFunc(keys, func(k keyColumn) bool { return k.name == names[i] })
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
	rowid := rowidAlias(t, t.keys())
	for i, c := range t.columns {
		column := driver.Column{Name: c.name, Type: guesses[i].columnType(), SourceType: c.declared, Nullable: !c.notNull, Grain: guesses[i].grain(), Unique: c.name == rowid || unique[c.name]}
		if c.name == rowid || c.key > 0 && t.withoutRowid {
			column.Nullable = false
		}
		if t.kind == "view" {
			column.Nullable = true
		}
		column.Identity = t.identity(c)
		if at := slices.IndexFunc(keys, func(k keyColumn) bool { return k.name == c.name }); at >= 0 {
			column.Equality = keys[at].equality(&guesses[i])
		}
		table.Columns = append(table.Columns, column)
	}
	for _, k := range keys {
		table.PrimaryKey = append(table.PrimaryKey, k.name)
	}
	if err := records.Retype(table.Columns, s.settings.ColumnTypes); err != nil {
		return table, err
	}
	if s.settings.nulls() {
		mayBeNull(&table)
	}
	s.chooseCursor(&table, t, rowid, guesses)
	return table, nil
}

// mayBeNull makes columns nullable if a value may land as NULL because the type does not
// hold it. Bytes hold every value.
func mayBeNull(table *driver.Table) {
	for i := range table.Columns {
		c := &table.Columns[i]
		if c.Type.Kind != driver.Bytes && !slices.Contains(table.PrimaryKey, c.Name) {
			c.Nullable = true
		}
	}
}

// chooseCursor sets the default cursor. Row numbers without AUTOINCREMENT are given
// again after rows at the end were deleted, and such rows would be missed, so they are
// not chosen.
func (s *source) chooseCursor(table *driver.Table, t dbTable, rowid string, guesses []guess) {
	choice := *table
	if rowid != "" && !autoincrement(t.sql) {
		choice.PrimaryKey = nil
	}
	table.Cursor, table.CursorNotes = driver.DefaultCursor(choice)
	if table.Cursor != "" {
		return
	}
	// What is declared as a time and named like one, but holds something else.
	declared := choice
	declared.Columns = slices.Clone(choice.Columns)
	for i := range declared.Columns {
		if guesses[i].declared == isTimestamp && s.settings.ColumnTypes[declared.Columns[i].Name] == "" {
			declared.Columns[i].Type = driver.Of(driver.Timestamp)
		}
	}
	if name, _ := driver.DefaultCursor(declared); name != "" {
		table.Notes = append(table.Notes, "Column "+name+" is declared as a time, but does not hold times alone, so it is no cursor and an incremental sync reads the whole table; mend the values that are none.")
	}
}

// rowidAlias returns the column that is the row number, "" if there is none.
func rowidAlias(t dbTable, keys []dbColumn) string {
	if len(keys) == 1 && !t.withoutRowid && !t.indexed && strings.EqualFold(keys[0].declared, "INTEGER") {
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
	err = s.each(ctx, plan{table: t.name, query: selectFrom(t.name, names), stored: from, span: btree.Everything}, func(row []btree.Value, _ *watchdog) error {
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

// selectFrom reads columns as they are stored: the plus sign removes the declared type,
// by which the library would parse dates.
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

// estimate returns about how many rows a table has, by its largest row number, -1 if
// that is not known.
func (s *source) estimate(ctx context.Context, t dbTable) int64 {
	rows := int64(-1)
	name := rowidName(t)
	if t.kind != "table" || t.withoutRowid || name == "" {
		return rows
	}
	// Without the answer the estimate is what it was.
	_ = s.rows(ctx, "SELECT (SELECT max("+name+") FROM main."+quote(t.name)+") - (SELECT min("+name+") FROM main."+quote(t.name)+") + 1", nil, func(row []sqldriver.Value) error {
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
