package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

var (
	signature = []byte("PGCOPY\n\xff\r\n\x00")

	errNull = errors.New("a NULL came for a column that was not nullable when the schema was discovered")
)

// decoder turns the binary COPY format into record batches.
type decoder struct {
	table    driver.Table
	columns  []column
	builder  *array.RecordBuilder
	limits   driver.Limits
	ascii    bool // the server does not vouch for UTF-8
	cursor   int  // index of the cursor column, -1 for none
	emit     func(driver.Batch) error
	started  bool  // the header was seen
	ended    bool  // the trailer was seen
	row      int64 // of the read, from 1
	rows     int   // in the batch
	bytes    int64 // in the batch
	pace     driver.Pace
	full     bool   // the batch is complete but for its Resume
	last     []byte // the cursor's bytes in the last row of a full batch
	lastNull bool
	before   int // rows of the batch before, which the next will be like
}

// column is one column with its builder under its own type.
type column struct {
	name     string
	how      decoding
	nullable bool
	decimal  driver.Type

	any     array.Builder
	boolean *array.BooleanBuilder
	int32   *array.Int32Builder
	int64   *array.Int64Builder
	float32 *array.Float32Builder
	float64 *array.Float64Builder
	numeric *array.Decimal128Builder
	binary  *array.BinaryBuilder
	date    *array.Date32Builder
	time    *array.Time64Builder
	stamp   *array.TimestampBuilder
	fixed   *array.FixedSizeBinaryBuilder
}

// newDecoder reads rows of the table's columns. It hands each batch to emit,
// which owns it. The caller calls release.
func newDecoder(t driver.Table, columns []mapped, cursor string, limits driver.Limits, emit func(driver.Batch) error) *decoder {
	d := &decoder{table: t, limits: limits, cursor: -1, emit: emit, columns: make([]column, len(columns))}
	d.builder = array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(t))
	for i := range d.columns {
		c := &d.columns[i]
		*c = column{name: t.Columns[i].Name, how: columns[i].how, nullable: t.Columns[i].Nullable, decimal: t.Columns[i].Type, any: d.builder.Field(i)}
		switch b := c.any.(type) {
		case *array.BooleanBuilder:
			c.boolean = b
		case *array.Int32Builder:
			c.int32 = b
		case *array.Int64Builder:
			c.int64 = b
		case *array.Float32Builder:
			c.float32 = b
		case *array.Float64Builder:
			c.float64 = b
		case *array.Decimal128Builder:
			c.numeric = b
		case *array.StringBuilder:
			c.binary = b.BinaryBuilder
		case *array.BinaryBuilder:
			c.binary = b
		case *array.Date32Builder:
			c.date = b
		case *array.Time64Builder:
			c.time = b
		case *array.TimestampBuilder:
			c.stamp = b
		case interface{ StorageBuilder() array.Builder }:
			c.fixed = b.StorageBuilder().(*array.FixedSizeBinaryBuilder)
		}
		if c.name == cursor {
			d.cursor = i
		}
	}
	return d
}

func (d *decoder) release() { d.builder.Release() }

// chunk decodes whole rows; the server sends each row in one message.
func (d *decoder) chunk(p []byte) error {
	if !d.started && len(p) > 0 {
		if len(p) < 19 || !bytes.HasPrefix(p, signature) {
			return d.malformed()
		}
		skip := uint64(binary.BigEndian.Uint32(p[15:])) + 19
		if binary.BigEndian.Uint32(p[11:])>>16 != 0 || skip > uint64(len(p)) { // flags that change the format
			return d.malformed()
		}
		p, d.started = p[skip:], true
	}
	for len(p) > 0 {
		if len(p) < 2 || d.ended {
			return d.malformed()
		}
		fields := int(int16(binary.BigEndian.Uint16(p)))
		if fields == -1 {
			p, d.ended = p[2:], true
			continue
		}
		if fields != len(d.columns) {
			return d.malformed()
		}
		size, ok := d.measure(p)
		if !ok {
			return d.malformed()
		}
		if err := d.tuple(p[2:size]); err != nil {
			return err
		}
		p = p[size:]
	}
	return nil
}

func (d *decoder) malformed() error {
	return driver.E(driver.ErrBadData, nil, "table %s, after row %d: %v", d.table, d.row, errMalformed)
}

// measure returns the length of the row at p, and whether all of it is there,
// so that tuple need not look.
func (d *decoder) measure(p []byte) (int, bool) {
	at := 2
	for range d.columns {
		if len(p)-at < 4 {
			return 0, false
		}
		n := int(int32(binary.BigEndian.Uint32(p[at:])))
		at += 4
		if n > 0 {
			if n > len(p)-at {
				return 0, false
			}
			at += n
		} else if n < -1 {
			return 0, false
		}
	}
	return at, true
}

// tuple appends one row.
func (d *decoder) tuple(p []byte) error {
	if d.full {
		// Only now it shows whether the next row shares the cursor's value.
		if err := d.flush(!d.sameCursor(p)); err != nil {
			return err
		}
	}
	if d.rows == 0 {
		d.reserve()
	}
	d.row++
	size := int64(len(p))
	if size > d.limits.MaxRowBytes {
		return driver.E(driver.ErrLimit, nil, "table %s, row %d has %d bytes, more than the limit of %d", d.table, d.row, size, d.limits.MaxRowBytes)
	}
	start := p
	for i := range d.columns {
		c := &d.columns[i]
		n := int32(binary.BigEndian.Uint32(p))
		p = p[4:]
		if n < 0 {
			if !c.nullable {
				return d.bad(c, errNull)
			}
			c.any.AppendNull()
			continue
		}
		if err := d.value(c, p[:n]); err != nil {
			return d.bad(c, err)
		}
		p = p[n:]
	}
	d.rows++
	d.bytes += size
	if d.rows >= d.limits.BatchRows || d.bytes >= d.limits.BatchBytes || d.pace.Due(d.rows, d.limits.BatchAge) {
		d.full = true
		if d.cursor >= 0 {
			field, null := d.field(start)
			d.last, d.lastNull = append(d.last[:0], field...), null
		}
	}
	return nil
}

// reserve makes room for a batch like the one before.
func (d *decoder) reserve() {
	rows := d.before
	if rows == 0 {
		rows = min(d.limits.BatchRows, 256)
	}
	for i := range d.columns {
		d.columns[i].any.Reserve(rows)
	}
}

// bad names the place of a value that cannot be held, never the value.
func (d *decoder) bad(c *column, err error) error {
	return driver.E(driver.ErrBadData, nil, "table %s, column %s, row %d: %v", d.table, c.name, d.row, err)
}

// field returns the cursor's bytes in a row.
func (d *decoder) field(p []byte) (value []byte, null bool) {
	for i := 0; ; i++ {
		n := int32(binary.BigEndian.Uint32(p))
		p = p[4:]
		if i == d.cursor {
			if n < 0 {
				return nil, true
			}
			return p[:n], false
		}
		p = p[max(n, 0):]
	}
}

func (d *decoder) sameCursor(next []byte) bool {
	if d.cursor < 0 {
		return false
	}
	value, null := d.field(next)
	return null == d.lastNull && bytes.Equal(value, d.last)
}

// finish emits the last batch. The stream must have come to its end.
func (d *decoder) finish() error {
	if !d.ended {
		return d.malformed()
	}
	if d.rows == 0 {
		return nil
	}
	return d.flush(true)
}

// flush emits the batch. With boundary, the next row has another cursor value.
func (d *decoder) flush(boundary bool) error {
	record := d.builder.NewRecordBatch()
	b := driver.Batch{Record: record, Bytes: d.bytes}
	last := d.rows - 1
	d.before = d.rows
	d.rows, d.bytes, d.full = 0, 0, false
	// Rows with a NULL cursor come first and only to a read from the start, so
	// they are no place to resume.
	if d.cursor >= 0 && boundary && !record.Column(d.cursor).IsNull(last) {
		value := driver.FormatCursor(record.Column(d.cursor), last)
		if !comparable(d.table.Columns[d.cursor].Type, value) {
			record.Release()
			return d.bad(&d.columns[d.cursor], errors.New("a cursor lies outside the years 1 to 9999"))
		}
		b.Resume = &driver.Cursor{Column: d.columns[d.cursor].name, Value: &value}
	}
	return d.emit(b)
}

// comparable reports whether a cursor's text orders like its value: the forms
// of dates and times have a fixed width.
func comparable(t driver.Type, value string) bool {
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
