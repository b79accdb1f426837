// Package binarycopy decodes the binary format of PostgreSQL's COPY straight into
// Arrow's layout. It asks no server: rows come as the bytes of messages.
package binarycopy

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/text/encoding"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

var (
	signature = []byte("PGCOPY\n\xff\r\n\x00")

	errNull = errors.New("a NULL came for a column that was NOT NULL when the schema was read")
)

// Decoder turns the binary COPY format into record batches. NewDecoder makes it;
// the fields that are exported may be set before the first Message. It is used by
// one goroutine at a time, but for SentEmpty.
type Decoder struct {
	Table    driver.Table
	Limits   driver.Limits
	Emit     func(driver.Batch) error // takes each batch, which it owns
	Within   string                   // of the table that is read, for people
	ASCII    bool                     // the server does not vouch for UTF-8
	Charset  encoding.Encoding        // of text that is not UTF-8, nil if nobody said
	Nulls    bool                     // what a type cannot hold becomes NULL
	Notes    []string                 // told with the next batch
	Context  context.Context          // of the read
	FirstRow time.Duration            // before the first row

	// Of a read in the order of a cursor: the value that it goes on from, what is
	// noted beside a value, what brings one back to where rows may still come, and
	// whether a row with a value is expected.
	From       *string
	Position   json.RawMessage
	Ceiling    func(string) string
	ExpectsRow bool

	Row       int64       // how many rows there were
	SawValue  bool        // one of them had a value of the cursor
	SentEmpty atomic.Bool // a batch without rows said that the read goes on

	columns  []column
	schema   *arrow.Schema
	keys     []int // columns that name a row to people
	cursor   int   // index of the cursor column, -1 for none
	started  bool  // the header was seen
	ended    bool  // the trailer was seen
	rows     int   // in the batch
	room     int   // rows that the columns have room for
	bytes    int64 // in the batch
	pace     driver.Pace
	full     bool   // the batch is complete but for its Resume
	last     []byte // the cursor's bytes in the last row of a full batch
	lastNull bool
	before   int     // rows of the batch before, which the next will be like
	lease    *lease  // of a long row that is not given away
	unplaced bool    // the last batch was no place to go on from
	good     *string // the largest value of the cursor so far that can be gone on from
}

// batchRows is the most rows of a batch here. More of them do not fit the
// processor's caches between the decoder and the consumer, fewer wake the
// consumer too often.
const batchRows = 16_384

// batchBytes is the same for rows of many columns or long ones, of which five
// batches are in memory for every Read: one that is decoded, and those that wait or
// are worked on at either side of the consumer.
const batchBytes = 1 << 20

// NewDecoder reads rows of the table's columns. It hands each batch to emit,
// which owns it.
func NewDecoder(t driver.Table, hows []Decoding, cursor string, limits driver.Limits, emit func(driver.Batch) error) *Decoder {
	limits.BatchRows, limits.BatchBytes = min(limits.BatchRows, batchRows), min(limits.BatchBytes, batchBytes)
	d := &Decoder{Table: t, Limits: limits, cursor: -1, Emit: emit, columns: make([]column, len(hows)), schema: driver.ArrowSchema(t)}
	for i := range d.columns {
		c := t.Columns[i]
		how := hows[i]
		d.columns[i] = column{name: c.Name, how: how, nullable: c.Nullable, decimal: c.Type, arrow: d.schema.Field(i).Type, width: widths[how], reuses: true}
		if c.Name == cursor {
			d.cursor = i
		}
	}
	return d
}

// NameRows has errors name a row by columns of the table, where it has them all.
func (d *Decoder) NameRows(by []string) {
	for _, key := range by {
		d.keys = append(d.keys, slices.IndexFunc(d.columns, func(c column) bool { return c.name == key }))
	}
	if slices.Contains(d.keys, -1) {
		d.keys = nil
	}
}

// Message takes the bytes of one CopyData message: the server sends each row in
// one, the header before the first, and the trailer alone.
func (d *Decoder) Message(p []byte) error {
	if !d.started {
		if len(p) < 19 || !bytes.HasPrefix(p, signature) {
			return d.Malformed()
		}
		skip := uint64(binary.BigEndian.Uint32(p[15:])) + 19
		if binary.BigEndian.Uint32(p[11:])>>16 != 0 || skip > uint64(len(p)) { // flags that change the format
			return d.Malformed()
		}
		p, d.started = p[skip:], true
	}
	for len(p) > 0 {
		if len(p) < 2 || d.ended {
			return d.Malformed()
		}
		fields := int(int16(binary.BigEndian.Uint16(p)))
		p = p[2:]
		if fields == -1 {
			d.ended = true
			continue
		}
		if fields != len(d.columns) {
			return d.Malformed()
		}
		rest, err := d.tuple(p)
		if err != nil {
			return err
		}
		p = rest
	}
	return nil
}

// Malformed is the error of bytes that break the format, behind the rows so far.
func (d *Decoder) Malformed() error {
	return driver.E(driver.ErrBadData, nil, "table %s, after row %d%s: %v", d.Table, d.Row, d.Within, ErrMalformed)
}

// tuple appends the row at p and returns what follows it.
func (d *Decoder) tuple(p []byte) ([]byte, error) {
	if d.full {
		// Only now it shows whether the next row shares the cursor's value.
		same, err := d.sameCursor(p)
		if err != nil {
			return nil, err
		}
		if err := d.flush(!same, false); err != nil {
			return nil, err
		}
	}
	if d.rows == d.room {
		d.reserve()
	}
	d.Row++
	start := p
	for i := range d.columns {
		c := &d.columns[i]
		if len(p) < 4 {
			return nil, d.Malformed()
		}
		n := int(int32(binary.BigEndian.Uint32(p)))
		p = p[4:]
		if n < 0 {
			if n < -1 {
				return nil, d.Malformed()
			}
			if !c.nullable {
				return nil, d.bad(c, start, errNull)
			}
			c.setNull(d.rows, d.room)
			continue
		}
		if n > len(p) {
			return nil, d.Malformed()
		}
		if err := c.set(d.rows, p[:n:n], encodingOf{d.ASCII, d.Charset}); err != nil {
			if !d.Nulls || !c.nullable || !slices.Contains(unheld, err) || slices.Contains(d.keys, i) {
				return nil, d.bad(c, start, err)
			}
			c.setNull(d.rows, d.room)
			c.lost(func() string { return d.place(start) })
		}
		p = p[n:]
	}
	size := int64(len(start) - len(p))
	if size > d.Limits.MaxRowBytes {
		return nil, d.TooLong(size, append([]byte{0, 0}, start[:min(len(start), LongBegin)]...))
	}
	d.rows++
	d.bytes += size
	if d.lease != nil { // nobody else reads a long row before this one is gone
		return p, d.flush(false, false)
	}
	if d.rows >= d.Limits.BatchRows || d.bytes >= d.Limits.BatchBytes || d.pace.Due(d.rows, d.Limits.BatchAge) {
		d.full = true
		if d.cursor >= 0 {
			field, null, err := d.field(start)
			if err != nil {
				return nil, err
			}
			d.last, d.lastNull = append(d.last[:0], field...), null
		}
	}
	return p, nil
}

// reserve makes room for a batch like the one before, or for twice as much.
func (d *Decoder) reserve() {
	rows := max(2*d.room, 256)
	if d.room == 0 {
		rows = max(d.before+d.before/16, 256) // a batch that ends by its bytes has now more rows, now fewer
	}
	rows = min(rows, d.Limits.BatchRows)
	for i := range d.columns {
		d.columns[i].reserve(d.rows, rows)
	}
	d.room = rows
}

// unheld are values that are right in the source and have no place in their
// column's type.
var unheld = []error{errInfinite, errNotFinite, errRange, errTooLarge}

// bad names the place of a value that cannot be held, never the value, and what
// leads around one that only the source can change.
func (d *Decoder) bad(c *column, row []byte, err error) error {
	return Bad(d.Table, c.name, d.place(row), err)
}

// Bad is the error of a value that a column cannot hold, with what leads around it.
func Bad(t driver.Table, column, place string, err error) error {
	out := ""
	switch {
	case errors.Is(err, errUTF8):
		out = "; set connection_config.encoding to what it is in, or exclude the column in sync_options.columns"
	case slices.Contains(unheld, err):
		out = "; set connection_config.column_types to string for this column, or on_bad_value to null, or exclude it in sync_options.columns"
	case errors.Is(err, errNull):
		out = ": discover the schema again"
	}
	return driver.E(driver.ErrBadData, nil, "table %s, column %s, %s: %v%s", t, column, place, err, out)
}

// field returns the cursor's bytes in a row.
func (d *Decoder) field(p []byte) (value []byte, null bool, err error) {
	for i := 0; len(p) >= 4; i++ {
		n := int(int32(binary.BigEndian.Uint32(p)))
		p = p[4:]
		if n > len(p) {
			break
		}
		if i == d.cursor {
			return p[:max(n, 0)], n < 0, nil
		}
		p = p[max(n, 0):]
	}
	return nil, false, d.Malformed()
}

func (d *Decoder) sameCursor(next []byte) (bool, error) {
	if d.cursor < 0 {
		return false, nil
	}
	value, null, err := d.field(next)
	return null == d.lastNull && bytes.Equal(value, d.last), err
}

// Finish emits the last batch. The stream must have come to its end.
func (d *Decoder) Finish() error {
	if !d.ended {
		return d.Malformed()
	}
	for i := range d.columns {
		if c := &d.columns[i]; c.nulled > 0 {
			d.Notes = append(d.Notes, sqldb.NulledNote(c.nulled, d.Table, c.name, c.first))
		}
	}
	if d.rows > 0 {
		return d.flush(true, true)
	}
	ordered := d.cursor >= 0 && (d.From != nil && (d.Position != nil || d.SentEmpty.Load()) || d.unplaced)
	if len(d.Notes) == 0 && !ordered {
		return nil
	}
	d.reserve() // a batch without rows says where to go on
	return d.flush(true, true)
}

// flush emits the batch. With boundary, the next row has another cursor value;
// with final, there is none.
func (d *Decoder) flush(boundary, final bool) error {
	arrays := make([]arrow.Array, len(d.columns))
	for i := range arrays {
		arrays[i] = d.columns[i].array(d.rows, d.lease)
	}
	record := array.NewRecordBatch(d.schema, arrays, int64(d.rows))
	for _, a := range arrays {
		a.Release() // the record has its own hold
	}
	d.Release()
	b := driver.Batch{Record: record, Bytes: d.bytes, Notes: d.Notes}
	last := d.rows - 1
	d.before = d.rows
	d.rows, d.room, d.bytes, d.full, d.Notes = 0, 0, 0, false, nil
	if d.cursor >= 0 {
		place, err := d.resume(record.Column(d.cursor), last, final)
		if err != nil {
			record.Release()
			return err
		}
		if boundary {
			b.Resume = place
		}
		d.unplaced = b.Resume == nil
	}
	return d.Emit(b)
}

// resume returns where a later read goes on behind the last row of a batch, nil
// if that is no place for it. Rows with a NULL cursor come first, then those that
// came late behind the value that the read went on from.
func (d *Decoder) resume(column arrow.Array, last int, final bool) (*driver.Cursor, error) {
	t := d.Table.Columns[d.cursor].Type
	there := last >= 0 && !column.IsNull(last)
	d.SawValue = d.SawValue || there
	if there {
		value := driver.FormatCursor(column, last)
		if there = Comparable(t, value); there {
			d.good = &value
		}
	}
	value := d.good
	if d.From != nil {
		if value != nil {
			order, err := driver.CompareCursors(t, *value, *d.From)
			if err != nil {
				return nil, err
			}
			there = there && order >= 0
			if order < 0 {
				value = d.From
			}
		} else {
			value = d.From
		}
	}
	if value == nil || !there && !final {
		return nil, nil
	}
	if d.Ceiling != nil {
		text := d.Ceiling(*value)
		if d.From != nil {
			if order, err := driver.CompareCursors(t, text, *d.From); err != nil || order < 0 {
				text = *d.From
			}
		}
		value = &text
	}
	return &driver.Cursor{Column: d.columns[d.cursor].name, Value: value, Position: d.Position}, nil
}

// Comparable reports whether a cursor's text orders like its value: the forms
// of dates and times have a fixed width.
func Comparable(t driver.Type, value string) bool {
	switch t.Kind {
	case driver.Date:
		return len(value) == len("2006-01-02")
	case driver.Timestamp:
		return len(value) == len("2006-01-02T15:04:05.000000")
	case driver.TimestampTZ:
		return len(value) == len("2006-01-02T15:04:05.000000Z")
	}
	return true
}

// EmptyBatch returns a batch without rows.
func (d *Decoder) EmptyBatch() driver.Batch {
	arrays := make([]arrow.Array, len(d.columns))
	for i := range arrays {
		arrays[i] = array.MakeArrayOfNull(memory.DefaultAllocator, d.schema.Field(i).Type, 0)
		defer arrays[i].Release() // the record has its own hold
	}
	return driver.Batch{Record: array.NewRecordBatch(d.schema, arrays, 0)}
}
