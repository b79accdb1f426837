package binarycopy

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/text/encoding"

	"headwater/connectors/driver"
)

// Rows gathers rows whose values come one at a time, in the layout of Arrow. Every
// row gets each of its columns once, by Null, Binary or Text, and then End. It is
// used by one goroutine at a time.
type Rows struct {
	columns []column
	forms   []Form
	schema  *arrow.Schema
	text    encodingOf
	rows    int
	room    int
	before  int // rows of the record before, which the next will be like
	bytes   int64
	width   int64 // bytes of a row, beside those of values of any length
}

// firstRoom is how many rows a Rows makes room for at first: there may be one for
// each of thousands of tables, of which most change little.
const firstRoom = 16

// NewRows gathers rows of the table's columns. hows says how binary values are
// read, forms how text is. ascii says that the server does not vouch for UTF-8, and
// charset what its text is in then, nil if nobody said.
func NewRows(t driver.Table, hows []Decoding, forms []Form, ascii bool, charset encoding.Encoding) *Rows {
	r := &Rows{columns: make([]column, len(hows)), forms: forms, schema: driver.ArrowSchema(t), text: encodingOf{ascii, charset}, width: t.RowWidth()}
	for i, how := range hows {
		c := t.Columns[i]
		r.columns[i] = column{name: c.Name, how: how, nullable: c.Nullable, decimal: c.Type, arrow: r.schema.Field(i).Type, width: widths[how]}
	}
	return r
}

// Len returns how many rows were ended since the last Record.
func (r *Rows) Len() int { return r.rows }

// Bytes returns about how much they were as the source sent them.
func (r *Rows) Bytes() int64 { return r.bytes }

// Size returns about how many bytes they take, with the room for more. It is far more than
// Bytes where rows have many columns and few values.
func (r *Rows) Size() int64 { return r.bytes + int64(r.room)*r.width }

// Begin makes room for a row.
func (r *Rows) Begin() {
	if r.rows < r.room {
		return
	}
	rows := max(2*r.room, firstRoom)
	if r.room == 0 {
		rows = max(min(r.before, batchRows), firstRoom)
	}
	for i := range r.columns {
		r.columns[i].reserve(r.rows, rows)
	}
	r.room = rows
}

// Null sets the row's value of a column to NULL, whatever the table says.
func (r *Rows) Null(i int) { r.columns[i].setNull(r.rows, r.room) }

// Binary sets the row's value of a column from the server's binary form. The bytes
// are copied. After an error, which says what is wrong with the value and not what it
// is, the column may be set again.
func (r *Rows) Binary(i int, v []byte) error { return r.columns[i].set(r.rows, v, r.text) }

// Text is Binary of the server's text.
func (r *Rows) Text(i int, v []byte) error {
	return r.columns[i].setText(r.rows, v, r.forms[i], r.text)
}

// End ends a row of about so many bytes.
func (r *Rows) End(size int64) {
	r.rows++
	r.bytes += size
}

// Record hands the rows over, and starts anew. The caller releases the record.
func (r *Rows) Record() arrow.RecordBatch {
	if r.room == 0 {
		r.Begin()
	}
	arrays := make([]arrow.Array, len(r.columns))
	for i := range arrays {
		arrays[i] = r.columns[i].array(r.rows, nil)
	}
	record := array.NewRecordBatch(r.schema, arrays, int64(r.rows))
	for _, a := range arrays {
		a.Release() // the record has its own hold
	}
	r.before, r.rows, r.room, r.bytes = r.rows, 0, 0, 0
	return record
}

// Unheld reports whether an error of Binary or Text is about a value that is right in
// the source and has no place in its column's type.
func Unheld(err error) bool { return slices.Contains(unheld, err) }
