package mysql

import (
	"bytes"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/protocol"
)

var errNull = errors.New("a NULL came for a column that was not nullable when the schema was discovered")

// decoder turns rows of the text protocol into record batches.
type decoder struct {
	table   driver.Table
	builder *array.RecordBuilder
	columns []column
	limits  driver.Limits
	cursor  int     // index of the cursor column, -1 for none
	valued  bool    // a row with a cursor value came
	reading reading // what is asked
	keys    []int   // of the columns, those that name a row
	nulls   bool    // what a type cannot hold lands as NULL
	nulled  []nulled
	emit    func(driver.Batch) error
	row     int64 // of the read, from 1
	rows    int   // in the batch
	bytes   int64 // in the batch
	pace    driver.Pace
	full    bool   // the batch is complete but for its Resume
	last    []byte // the cursor in the last row of a full batch, nil for NULL
}

// column appends to one column of the batch; the builder is that of its kind.
type column struct {
	kind             driver.Kind
	nullable         bool
	precision, scale int32
	builder          array.Builder
	binary           *array.BinaryBuilder // also of strings
	boolean          *array.BooleanBuilder
	int32            *array.Int32Builder
	int64            *array.Int64Builder
	float32          *array.Float32Builder
	float64          *array.Float64Builder
	decimal          *array.Decimal128Builder
	date             *array.Date32Builder
	stamp            *array.TimestampBuilder
	fixed            *array.FixedSizeBinaryBuilder
}

// newDecoder reads rows of the table's columns. It hands each batch to emit,
// which owns it. The caller calls release.
func newDecoder(t driver.Table, cursor string, limits driver.Limits, emit func(driver.Batch) error) *decoder {
	d := &decoder{table: t, limits: limits, cursor: -1, emit: emit}
	d.builder = array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(t))
	d.columns = make([]column, len(t.Columns))
	for i, b := range d.builder.Fields() {
		typ := t.Columns[i].Type
		c := column{kind: typ.Kind, nullable: t.Columns[i].Nullable, precision: typ.Precision, scale: typ.Scale, builder: b}
		switch b := b.(type) {
		case *array.StringBuilder:
			c.binary = b.BinaryBuilder
		case *array.BinaryBuilder:
			c.binary = b
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
			c.decimal = b
		case *array.Date32Builder:
			c.date = b
		case *array.TimestampBuilder:
			c.stamp = b
		case interface{ StorageBuilder() array.Builder }:
			c.fixed, _ = b.StorageBuilder().(*array.FixedSizeBinaryBuilder)
		}
		d.columns[i] = c
		if t.Columns[i].Name == cursor {
			d.cursor = i
		}
		if slices.Contains(t.PrimaryKey, t.Columns[i].Name) {
			d.keys = append(d.keys, i)
		}
	}
	return d
}

func (d *decoder) release() { d.builder.Release() }

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
	for i := range d.columns {
		c := &d.columns[i]
		// The two commonest forms of a field are read here, in place.
		var text []byte
		switch {
		case len(p) > 0 && p[0] < protocol.Null && int(p[0]) < len(p):
			n := 1 + int(p[0])
			text, p = p[1:n], p[n:]
		case len(p) > 0 && p[0] == protocol.Null:
			if !c.nullable {
				return d.bad(i, row, errNull)
			}
			p = p[1:]
			c.builder.AppendNull()
			continue
		default:
			var ok bool
			if text, p, ok = protocol.Field(p); !ok {
				return d.malformed()
			}
		}
		if err := c.append(text); err != nil {
			if err := d.amiss(i, row, err); err != nil {
				return err
			}
		}
	}
	if len(p) > 0 {
		return d.malformed()
	}
	d.rows++
	d.bytes += int64(len(row))
	if d.rows >= d.limits.BatchRows || d.bytes >= d.limits.BatchBytes || d.pace.Due(d.rows, d.limits.BatchAge) {
		d.full = true
		if d.cursor >= 0 {
			last, _ := protocol.FieldAt(row, d.cursor)
			d.last = bytes.Clone(last)
		}
	}
	return nil
}

func (d *decoder) malformed() error {
	return driver.E(driver.ErrBadData, nil, "table %s, row %d: the server sent malformed bytes", d.table, d.row)
}

// reserve makes room for a batch like the last one, so that it grows once.
func (d *decoder) reserve(last arrow.RecordBatch) {
	d.builder.Reserve(int(last.NumRows()))
	for i := range d.columns {
		if data, ok := last.Column(i).(interface{ ValueBytes() []byte }); ok && d.columns[i].binary != nil {
			n := len(data.ValueBytes())
			d.columns[i].binary.ReserveData(n + n/16)
		}
	}
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
	record := d.builder.NewRecordBatch()
	b := driver.Batch{Record: record, Bytes: d.bytes}
	last := d.rows - 1
	d.valued = d.valued || d.cursor >= 0 && last >= 0 && !record.Column(d.cursor).IsNull(last)
	boundary = boundary && d.rows > 0
	d.rows, d.bytes, d.full = 0, 0, false
	// Rows with a NULL cursor come first and only to a read from the start, so
	// they are no place to resume.
	if d.cursor >= 0 && boundary && !record.Column(d.cursor).IsNull(last) {
		value := d.below(driver.FormatCursor(record.Column(d.cursor), last))
		b.Resume = &driver.Cursor{Column: d.table.Columns[d.cursor].Name, Value: &value, Position: d.reading.position}
	}
	if end {
		b.Notes = append(d.reading.notes, d.untold()...)
	}
	if record.NumRows() == 0 && d.reading.from != nil {
		b.Resume = &driver.Cursor{Column: d.reading.cursor, Value: d.reading.from, Position: d.reading.position}
	}
	if !end {
		d.reserve(record)
	}
	return d.emit(b)
}

// below returns a place to go on from that no row lies behind which is still to
// come, and that is no step back.
func (d *decoder) below(value string) string {
	typ := d.table.Columns[d.cursor].Type
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

// append appends one value that is not NULL.
func (c *column) append(text []byte) error {
	switch c.kind {
	case driver.String, driver.JSON:
		if !utf8.Valid(text) {
			return errUTF8
		}
		c.binary.Append(text)
	case driver.Bytes:
		c.binary.Append(text)
	case driver.Int32:
		n, err := parseInt(text)
		if err == nil && int64(int32(n)) != n {
			err = errRange
		}
		if err != nil {
			return err
		}
		c.int32.Append(int32(n))
	case driver.Int64:
		n, err := parseInt(text)
		if err != nil {
			return err
		}
		c.int64.Append(n)
	case driver.Boolean:
		if len(text) != 1 || text[0]&^1 != '0' {
			return errRange
		}
		c.boolean.Append(text[0] == '1')
	case driver.Decimal:
		n, err := parseDecimal(text, c.precision, c.scale)
		if err != nil {
			return err
		}
		c.decimal.Append(n)
	case driver.Float64:
		n, err := parseFloat(text, 64)
		if err != nil {
			return err
		}
		c.float64.Append(n)
	case driver.Float32:
		n, err := parseFloat(text, 32)
		if err != nil {
			return err
		}
		c.float32.Append(float32(n))
	case driver.Date:
		n, err := parseDate(text)
		if err != nil {
			return err
		}
		c.date.Append(arrow.Date32(n))
	case driver.Timestamp, driver.TimestampTZ:
		n, err := parseTimestamp(text)
		if err != nil {
			return err
		}
		c.stamp.Append(arrow.Timestamp(n))
	case driver.UUID:
		u, err := parseUUID(text)
		if err != nil {
			return err
		}
		c.fixed.Append(u[:])
	default:
		return errType
	}
	return nil
}
