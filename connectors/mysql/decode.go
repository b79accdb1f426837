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
	valued  bool    // a row with a cursor value came
	reading reading // what is asked
	emit    func(driver.Batch) error
	row     int64 // of the read, from 1
	rows    int   // in the batch
	bytes   int64 // in the batch
	pace    driver.Pace
	full    bool   // the batch is complete but for its Resume
	last    []byte // the cursor in the last row of a full batch, nil for NULL
}

// newDecoder reads rows of the table's columns. With nulls, what a type cannot hold
// lands as NULL. It hands each batch to emit, which owns it. The caller calls
// release.
func newDecoder(t driver.Table, cursor string, limits driver.Limits, nulls bool, emit func(driver.Batch) error) *decoder {
	d := &decoder{Builder: typemap.NewBuilder(t, limits, nulls), emit: emit}
	d.cursor = slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == cursor })
	return d
}

// append takes the packet of one row; it keeps nothing of it.
func (d *decoder) append(p []byte) error {
	if d.full {
		// Only now it shows whether the next row shares the cursor's value.
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
		// The two commonest forms of a field are read here, in place.
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

// finish emits the last batch.
func (d *decoder) finish() error {
	if d.rows == 0 && len(d.reading.notes) == 0 {
		return nil
	}
	return d.flush(true, true)
}

// flush emits the batch. With boundary, the next row has another cursor value;
// with end there is none.
func (d *decoder) flush(boundary, end bool) error {
	record := d.Record.NewRecordBatch()
	b := driver.Batch{Record: record, Bytes: d.bytes}
	last := d.rows - 1
	d.valued = d.valued || d.cursor >= 0 && last >= 0 && !record.Column(d.cursor).IsNull(last)
	boundary = boundary && d.rows > 0
	d.rows, d.bytes, d.full = 0, 0, false
	// Rows with a NULL cursor come first and only to a read from the start, so
	// they are no place to resume.
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
		d.Reserve(record)
	}
	return d.emit(b)
}

// below returns a place to go on from that no row lies behind which is still to
// come, and that is no step back.
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

// maxShownKey bounds how much of a row's key is shown.
const maxShownKey = 80

// bad names the place of a value that cannot be held, never the value.
func (d *decoder) bad(i int, row []byte, err error) error {
	return driver.E(driver.ErrBadData, nil, "table %s, column %s, %s: %v%s", d.Table, d.Table.Columns[i].Name, d.place(row), err, d.Advice(i, err))
}

// place names a row: by its number in this read, and by its key where it has
// one, which finds it in the table.
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
