package mysql

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// index is a unique index.
type index struct {
	name    string
	columns []string
	partial bool // it holds only the beginning of a column, or an expression
}

// key adds a row of STATISTICS. Rows come in the order of their position in the index.
func (d *tableInfo) key(row []*string) {
	name := session.Text(row[5])
	at := slices.IndexFunc(d.unique, func(i index) bool { return i.name == name })
	if at < 0 {
		d.unique = append(d.unique, index{name: name})
		at = len(d.unique) - 1
	}
	i := &d.unique[at]
	i.columns = append(i.columns, session.Text(row[2]))
	i.partial = i.partial || row[2] == nil || row[4] != nil
}

// settle chooses key, cursor and notes once all columns and indexes are there. With
// nulls, dates and times become nullable, because an invalid one lands as NULL.
func (d *tableInfo) settle(nulls bool) {
	if len(d.Columns) == 0 {
		d.LeftOut = d.unoffered()
		return
	}
	d.chooseKey()
	for i := range d.Columns {
		c := &d.Columns[i]
		if nulls && (c.Type.Kind == driver.Date || c.Type.Kind == driver.Timestamp || c.Type.Kind == driver.TimestampTZ) && !slices.Contains(d.PrimaryKey, c.Name) {
			c.Nullable = true
		}
	}
	for _, i := range d.unique {
		if len(i.columns) != 1 || i.partial {
			continue
		}
		for c := range d.Columns {
			d.Columns[c].Unique = d.Columns[c].Unique || d.Columns[c].Name == i.columns[0]
		}
	}
	if len(d.withheld) > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("Left out are columns that this account may not read: %s.", strings.Join(d.withheld, ", ")))
	}
	if note := d.locking(); note != "" {
		d.Notes = append(d.Notes, note)
	}
	d.Identity = "database " + d.Namespace
	d.Cursor, d.CursorNotes = driver.DefaultCursor(d.Table)
	if d.Cursor != "" && len(d.PrimaryKey) == 0 {
		d.CursorNotes = append(d.CursorNotes, "Without a key, a table that was emptied and filled again with rows as old as those that landed, beside newer ones, is not told from one that went on.")
	}
}

// unoffered says why a table has no column that can be read.
func (d *tableInfo) unoffered() string {
	switch {
	case len(d.withheld) > 0:
		return "this account may read none of its columns: GRANT SELECT on it"
	case d.comment != "" && d.comment != "VIEW":
		return "the server cannot describe it: " + d.comment
	}
	return "the server shows this account none of its columns: it may refer to what is not there any more, or to what its definer may not read"
}

// chooseKey takes the primary key, or else the shortest unique index whose columns are
// all readable and never NULL.
func (d *tableInfo) chooseKey() {
	whole := func(i index) bool {
		return !slices.ContainsFunc(i.columns, func(name string) bool { _, ok := d.Column(name); return !ok })
	}
	var others []index
	for _, i := range d.unique {
		switch {
		case i.name == "PRIMARY":
			d.prefixed = i.partial
			if whole(i) {
				d.PrimaryKey, d.clustered = i.columns, true
			}
		case i.partial || !whole(i):
		case !slices.ContainsFunc(i.columns, func(name string) bool { c, _ := d.Column(name); return c.Nullable }):
			others = append(others, i)
		}
	}
	if d.PrimaryKey != nil || len(others) == 0 || slices.ContainsFunc(d.unique, func(i index) bool { return i.name == "PRIMARY" }) {
		return
	}
	slices.SortFunc(others, func(a, b index) int {
		return cmp.Or(cmp.Compare(len(a.columns), len(b.columns)), cmp.Compare(a.name, b.name))
	})
	d.PrimaryKey = others[0].columns
}
