package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite/btree"
)

// nulled handles values that their columns' types cannot hold in one read, and counts
// those that land as NULL.
type nulled struct {
	table   driver.Table
	allowed bool // by on_bad_value
	columns []nulledColumn
}

type nulledColumn struct {
	column int
	times  int64
	first  string // the row of the first
}

// maxShownKey is the most bytes of a part of a row's key that a message shows.
const maxShownKey = 80

// take reports whether such a value of a column lands as NULL. A value of a key never
// does, because keys tell rows apart.
func (n *nulled) take(column int) bool {
	c := n.table.Columns[column]
	return n.allowed && c.Nullable && !slices.Contains(n.table.PrimaryKey, c.Name)
}

// count counts a value. where names its row, and is called only for the first one.
func (n *nulled) count(column int, where func() string) {
	at := slices.IndexFunc(n.columns, func(c nulledColumn) bool { return c.column == column })
	if at < 0 {
		at = len(n.columns)
		n.columns = append(n.columns, nulledColumn{column: column, first: where()})
	}
	n.columns[at].times++
}

// notes say, for people, how many values landed as NULL.
func (n *nulled) notes() (notes []string) {
	for _, c := range n.columns {
		which := "the first"
		if c.times == 1 {
			which = "it"
		}
		notes = append(notes, fmt.Sprintf("%s of %s.%s that its type cannot hold landed as NULL; %s is in %s.", driver.Count(c.times, "value"), n.table, n.table.Columns[c.column].Name, which, c.first))
	}
	return notes
}

// misfit returns the error of a value that its column's type cannot hold, with the
// settings that land it.
func (n *nulled) misfit(column int, row string, v *btree.Value) error {
	c := n.table.Columns[column]
	null := ""
	if !slices.Contains(n.table.PrimaryKey, c.Name) {
		null = "; connection_config.on_bad_value takes it as NULL"
		if n.allowed {
			null = "; discover the schema again, by which the column may be NULL"
		}
	}
	if v.Class == btree.Text && !utf8.Valid(v.Bytes) {
		return driver.E(driver.ErrBadData, nil, "table %s, %s: column %q holds %s; set connection_config.column_types.%s to \"bytes\", which lands it as it is%s", n.table, row, c.Name, v.Kind(), c.Name, null)
	}
	advice := "to \"string\" or \"bytes\""
	switch {
	case v.Class == btree.Blob:
		advice = "to \"bytes\""
	case v.Class == btree.Integer || v.Class == btree.Real:
		advice = "to \"string\""
	}
	return driver.E(driver.ErrBadData, nil, "table %s, %s: column %q holds %s that does not fit %s; set connection_config.column_types.%s %s, or connection_config.sample_rows to -1 to have every row looked at%s", n.table, row, c.Name, v.Kind(), c.Type, c.Name, advice, null)
}

// named names a row by its place in the table, and by its key if that is short.
func (s *source) named(ctx context.Context, t driver.Table, p plan, number int64, row []btree.Value) string {
	place := fmt.Sprintf("row %d", s.place(ctx, p, number))
	var parts []string
	for _, name := range t.PrimaryKey {
		at := slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == name })
		if at < 0 {
			return place
		}
		text, ok := row[at].Text(nil)
		if !ok || len(text) > maxShownKey {
			return place
		}
		parts = append(parts, name+" = "+string(text))
	}
	if parts == nil {
		return place
	}
	return place + " (" + strings.Join(parts, ", ") + ")"
}
