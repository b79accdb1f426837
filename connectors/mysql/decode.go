package mysql

import (
	sqldriver "database/sql/driver"
	"errors"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

var errNull = errors.New("a NULL came for a column that was not nullable when the schema was discovered")

// decoder turns rows of the text protocol into record batches.
type decoder struct {
	table   driver.Table
	builder *array.RecordBuilder
	fields  []array.Builder
	fixed   []*array.FixedSizeBinaryBuilder // of UUID columns
	limits  driver.Limits
	cursor  int // index of the cursor column, -1 for none
	emit    func(driver.Batch) error
	row     int64 // of the read, from 1
	rows    int   // in the batch
	bytes   int64 // in the batch
	pace    driver.Pace
	full    bool            // the batch is complete but for its Resume
	last    sqldriver.Value // the cursor in the last row of a full batch
}

// newDecoder reads rows of the table's columns. It hands each batch to emit,
// which owns it. The caller calls release.
func newDecoder(t driver.Table, cursor string, limits driver.Limits, emit func(driver.Batch) error) *decoder {
	d := &decoder{table: t, limits: limits, cursor: -1, emit: emit}
	d.builder = array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(t))
	d.fields, d.fixed = d.builder.Fields(), make([]*array.FixedSizeBinaryBuilder, len(t.Columns))
	for i, b := range d.fields {
		if e, ok := b.(interface{ StorageBuilder() array.Builder }); ok {
			d.fixed[i], _ = e.StorageBuilder().(*array.FixedSizeBinaryBuilder)
		}
		if t.Columns[i].Name == cursor {
			d.cursor = i
		}
	}
	return d
}

func (d *decoder) release() { d.builder.Release() }

// append takes one row; it keeps nothing of values.
func (d *decoder) append(values []sqldriver.Value) error {
	if d.full {
		// Only now it shows whether the next row shares the cursor's value.
		if err := d.flush(d.cursor >= 0 && !same(values[d.cursor], d.last)); err != nil {
			return err
		}
	}
	d.row++
	var size int64
	for i, v := range values {
		c := &d.table.Columns[i]
		if v == nil {
			if !c.Nullable {
				return d.bad(i, errNull)
			}
			d.fields[i].AppendNull()
			continue
		}
		if err := d.value(i, c.Type, v); err != nil {
			return d.bad(i, err)
		}
		size += 8
		if text, ok := v.([]byte); ok {
			size += int64(len(text)) - 8
		}
	}
	if size > d.limits.MaxRowBytes {
		return driver.E(driver.ErrLimit, nil, "table %s, row %d has %d bytes, more than the limit of %d", d.table, d.row, size, d.limits.MaxRowBytes)
	}
	d.rows++
	d.bytes += size
	if d.rows >= d.limits.BatchRows || d.bytes >= d.limits.BatchBytes || d.pace.Due(d.rows, d.limits.BatchAge) {
		d.full = true
		if d.cursor >= 0 {
			d.last = values[d.cursor]
			if text, ok := d.last.([]byte); ok {
				d.last = string(text)
			}
		}
	}
	return nil
}

// same compares a cursor's value with a kept one.
func same(v, kept sqldriver.Value) bool {
	if text, ok := v.([]byte); ok {
		other, ok := kept.(string)
		return ok && string(text) == other
	}
	return v == kept
}

// bad names the place of a value that cannot be held, never the value.
func (d *decoder) bad(i int, err error) error {
	return driver.E(driver.ErrBadData, nil, "table %s, column %s, row %d: %v", d.table, d.table.Columns[i].Name, d.row, err)
}

// finish emits the last batch.
func (d *decoder) finish() error {
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
	d.rows, d.bytes, d.full = 0, 0, false
	// Rows with a NULL cursor come first and only to a read from the start, so
	// they are no place to resume.
	if d.cursor >= 0 && boundary && !record.Column(d.cursor).IsNull(last) {
		value := driver.FormatCursor(record.Column(d.cursor), last)
		b.Resume = &driver.Cursor{Column: d.table.Columns[d.cursor].Name, Value: &value}
	}
	return d.emit(b)
}

// value appends one value that is not NULL. The driver has made numbers of the
// integer and floating point columns already; the rest is text.
func (d *decoder) value(i int, t driver.Type, v sqldriver.Value) error {
	text, isText := v.([]byte)
	switch b := d.fields[i].(type) {
	case *array.StringBuilder:
		if !isText {
			b.Append(textOf(v))
			return nil
		}
		b.BinaryBuilder.Append(text)
		return nil
	case *array.BinaryBuilder:
		if !isText {
			return errType
		}
		b.Append(text)
		return nil
	case *array.Int32Builder:
		n, err := int64Of(v)
		if err == nil && int64(int32(n)) != n {
			err = errRange
		}
		if err != nil {
			return err
		}
		b.Append(int32(n))
		return nil
	case *array.Int64Builder:
		n, err := int64Of(v)
		if err != nil {
			return err
		}
		b.Append(n)
		return nil
	case *array.BooleanBuilder:
		n, err := int64Of(v)
		if err == nil && n != 0 && n != 1 {
			err = errRange
		}
		if err != nil {
			return err
		}
		b.Append(n == 1)
		return nil
	case *array.Decimal128Builder:
		n, err := decimalOf(v, t.Precision, t.Scale)
		if err != nil {
			return err
		}
		b.Append(n)
		return nil
	case *array.Float64Builder:
		n, ok := v.(float64)
		if !ok {
			return errType
		}
		b.Append(n)
		return nil
	case *array.Float32Builder:
		n, ok := v.(float64)
		if !ok {
			return errType
		}
		if math.Abs(n) > math.MaxFloat32 {
			return errRange
		}
		b.Append(float32(n))
		return nil
	case *array.Date32Builder:
		n, err := parseDate(text)
		if err != nil {
			return err
		}
		b.Append(arrow.Date32(n))
		return nil
	case *array.TimestampBuilder:
		n, err := parseTimestamp(text)
		if err != nil {
			return err
		}
		b.Append(arrow.Timestamp(n))
		return nil
	}
	if d.fixed[i] == nil {
		return errType
	}
	u, err := parseUUID(text)
	if err != nil {
		return err
	}
	d.fixed[i].Append(u[:])
	return nil
}

// decimalOf reads a decimal's text or an unsigned integer.
func decimalOf(v sqldriver.Value, precision, scale int32) (decimal128.Num, error) {
	switch v := v.(type) {
	case []byte:
		return parseDecimal(v, precision, scale)
	case uint64:
		return decimal128.FromU64(v), nil
	case int64:
		return decimal128.FromI64(v), nil
	}
	return decimal128.Num{}, errType
}
