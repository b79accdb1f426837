package mysql

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/protocol"
	"headwater/connectors/sqldb"
)

// nulled counts the values of a column that landed as NULL.
type nulled struct {
	column int
	times  int64
	first  string // the row of the first
}

// maxShownKey bounds how much of a row's key is shown.
const maxShownKey = 80

// amiss decides about a value that its column cannot hold: it ends the read, or
// lands as NULL and is counted.
func (d *decoder) amiss(i int, row []byte, err error) error {
	c := &d.columns[i]
	if !d.nulls || !c.nullable || slices.Contains(d.keys, i) || err != errDate && err != errTime && err != errUTF8 {
		return d.bad(i, row, err)
	}
	c.builder.AppendNull()
	at := slices.IndexFunc(d.nulled, func(n nulled) bool { return n.column == i })
	if at < 0 {
		d.nulled = append(d.nulled, nulled{column: i, first: d.place(row)})
		at = len(d.nulled) - 1
	}
	d.nulled[at].times++
	return nil
}

// bad names the place of a value that cannot be held, never the value.
func (d *decoder) bad(i int, row []byte, err error) error {
	advice := ""
	if (err == errDate || err == errTime) && d.columns[i].kind != driver.String {
		advice = "; connection_config.column_types takes it as text, on_bad_value as NULL"
	}
	return driver.E(driver.ErrBadData, nil, "table %s, column %s, %s: %v%s", d.table, d.table.Columns[i].Name, d.place(row), err, advice)
}

// place names a row: by its number in this read, and by its key where it has
// one, which finds it in the table.
func (d *decoder) place(row []byte) string {
	place := fmt.Sprintf("row %d", d.row)
	var parts []string
	for _, i := range d.keys {
		text, ok := protocol.FieldAt(row, i)
		if !ok || len(text) > maxShownKey || !utf8.Valid(text) || d.columns[i].kind == driver.Bytes {
			return place
		}
		parts = append(parts, d.table.Columns[i].Name+" = "+string(text))
	}
	if parts == nil {
		return place
	}
	return place + " (" + strings.Join(parts, ", ") + ")"
}

// untold says how many values landed as NULL.
func (d *decoder) untold() (notes []string) {
	for _, n := range d.nulled {
		notes = append(notes, sqldb.NulledNote(n.times, d.table, d.table.Columns[n.column].Name, n.first))
	}
	return notes
}
