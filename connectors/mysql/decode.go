package mysql

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/protocol"
	"headwater/connectors/mysql/typemap"
)

// decoder turns rows of the text protocol into record batches.
type decoder struct {
	*typemap.Builder
	cursor  int     // index of the cursor column, -1 for none
	valued  bool    // a row with a cursor value has come
	reading reading // the statement and what is done with its rows
	emit    func(driver.Batch) error
	row     int64 // of the read, from 1
	rows    int   // in the batch
	bytes   int64 // in the batch
	pace    driver.Pace
	full    bool   // the batch has all its rows; its Resume waits for the next row
	last    []byte // the cursor in the last row of a full batch, nil for NULL
}

// newDecoder decodes rows of the table's columns. With nulls, a value that its type
// cannot hold lands as NULL. Each batch is handed to emit, which owns it. The caller
// calls Release.
func newDecoder(t driver.Table, cursor string, limits driver.Limits, nulls bool, emit func(driver.Batch) error) *decoder {
	d := &decoder{Builder: typemap.NewBuilder(t, limits, nulls), emit: emit}
	d.cursor = slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == cursor })
	return d
}

// append decodes the packet of one row. It keeps nothing of p.
func (d *decoder) append(p []byte) error {
	if d.full {
		// Whether the next row has the same cursor value is known only now.
		boundary := false
		if d.cursor >= 0 {
			next, ok := protocol.FieldAt(p, d.cursor)
			if !ok {
				return d.malformed()
			}
			boundary = (next == nil) != (d.last == nil) || !bytes.Equal(next, d.last)
		}
		if err := d.flush(boundary, false); err != nil {
			return err
		}
	}
	d.row++
	row := p
	for i := range d.Columns {
		c := &d.Columns[i]
		// The two most common forms of a field are read here, without a call.
		var text []byte
		switch {
		case len(p) > 0 && p[0] < protocol.Null && int(p[0]) < len(p):
			n := 1 + int(p[0])
			text, p = p[1:n], p[n:]
		case len(p) > 0 && p[0] == protocol.Null:
			if !c.Nullable {
				return d.bad(i, row, typemap.ErrNull)
			}
			p = p[1:]
			c.Builder.AppendNull()
			continue
		default:
			var ok bool
			if text, p, ok = protocol.Field(p); !ok {
				return d.malformed()
			}
		}
		if err := c.Append(text); err != nil && !d.AppendNull(i, err, func() string { return d.place(row) }) {
			return d.bad(i, row, err)
		}
	}
	if len(p) > 0 {
		return d.malformed()
	}
	d.rows++
	d.bytes += int64(len(row))
	if d.rows >= d.Limits.BatchRows || d.bytes >= d.Limits.BatchBytes || d.pace.Due(d.rows, d.Limits.BatchAge) {
		d.full = true
		if d.cursor >= 0 {
			last, _ := protocol.FieldAt(row, d.cursor)
			d.last = bytes.Clone(last)
		}
	}
	return nil
}

func (d *decoder) malformed() error {
	return driver.E(driver.ErrBadData, nil, "table %s, row %d: the server sent malformed bytes", d.Table, d.row)
}

// finish emits the last batch, if there are rows or notes.
func (d *decoder) finish() error {
	if d.rows == 0 && len(d.reading.notes) == 0 {
		return nil
	}
	return d.flush(true, true)
}

// flush emits the batch. boundary says that the next row has another cursor value, end
// that there is no next row.
func (d *decoder) flush(boundary, end bool) error {
	record := d.Record.NewRecordBatch()
	b := driver.Batch{Record: record, Bytes: d.bytes}
	last := d.rows - 1
	d.valued = d.valued || d.cursor >= 0 && last >= 0 && !record.Column(d.cursor).IsNull(last)
	boundary = boundary && d.rows > 0
	d.rows, d.bytes, d.full = 0, 0, false
	// Rows with a NULL cursor come first, and only in a read from the start: a read
	// cannot be resumed behind them.
	if d.cursor >= 0 && boundary && !record.Column(d.cursor).IsNull(last) {
		value := d.below(driver.FormatCursor(record.Column(d.cursor), last))
		b.Resume = &driver.Cursor{Column: d.Table.Columns[d.cursor].Name, Value: &value, Position: d.reading.position}
	}
	if end {
		b.Notes = append(d.reading.notes, d.NullNotes()...)
	}
	if record.NumRows() == 0 && d.reading.from != nil {
		b.Resume = &driver.Cursor{Column: d.reading.cursor, Value: d.reading.from, Position: d.reading.position}
	}
	if !end {
		d.Reserve(d.RoomOf(record))
	}
	return d.emit(b)
}

// below lowers a cursor value to where the next read has to begin: no row that is still
// to be committed lies before it. It never goes back behind where this read began.
func (d *decoder) below(value string) string {
	typ := d.Table.Columns[d.cursor].Type
	lower := func(a, b string) bool {
		order, err := driver.CompareCursors(typ, a, b)
		return err == nil && order < 0
	}
	if c := d.reading.ceiling; c != "" && lower(c, value) {
		value = c
	}
	if from := d.reading.from; from != nil && lower(value, *from) {
		value = *from
	}
	return value
}

// maxShownKey is the most bytes of a row's key that a message shows.
const maxShownKey = 80

// bad returns the error of a value that its column cannot hold. It names the row, never
// the value.
func (d *decoder) bad(i int, row []byte, err error) error {
	return driver.E(driver.ErrBadData, nil, "table %s, column %s, %s: %v%s", d.Table, d.Table.Columns[i].Name, d.place(row), err, d.Advice(i, err))
}

// place names a row by its number in this read and, if it has a key, by the key.
func (d *decoder) place(row []byte) string {
	place := fmt.Sprintf("row %d", d.row)
	var parts []string
	for _, i := range d.Keys {
		text, ok := protocol.FieldAt(row, i)
		if !ok || len(text) > maxShownKey || !utf8.Valid(text) || d.Columns[i].Kind == driver.Bytes {
			return place
		}
		parts = append(parts, d.Table.Columns[i].Name+" = "+string(text))
	}
	if parts == nil {
		return place
	}
	return place + " (" + strings.Join(parts, ", ") + ")"
}
