// Package records turns the text and JSON that sources send into record
// batches: it guesses column types without losing a value, builds batches of a
// bounded size, and gives them the cursors that a read can resume from. The
// connectors whose sources have no types of their own share it.
package records

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"

	"headwater/connectors/driver"
	"headwater/connectors/values"
)

// Builder builds record batches of one table row by row. Every column gets one
// value, by Text, Null or its Field, before EndRow. It is not safe for
// concurrent use.
type Builder struct {
	schema  *arrow.Schema
	columns []column
	limits  driver.Limits
	rows    int
	bytes   int64 // of rows in the builder
	sent    int64 // bytes the source sent for them
	pace    driver.Pace
}

// column is one column in the making. One of builder and texts is set.
type column struct {
	append  func(v []byte) bool
	builder array.Builder
	texts   *texts
	json    bool
}

// NewBuilder returns an empty builder. The caller releases it.
func NewBuilder(t driver.Table, limits driver.Limits) *Builder {
	b := &Builder{schema: driver.ArrowSchema(t), limits: limits.WithDefaults(), columns: make([]column, len(t.Columns))}
	for i, c := range t.Columns {
		to := &b.columns[i]
		if k := c.Type.Kind; k == driver.String || k == driver.JSON {
			to.texts, to.json = &texts{}, k == driver.JSON
			to.append = to.texts.valid
			continue
		}
		to.builder = array.NewBuilder(memory.DefaultAllocator, b.schema.Field(i).Type)
		to.append = appender(to.builder, c.Type)
	}
	return b
}

// Text appends a value given in text: numbers in decimal, ISO 8601 dates and
// times, true and false, UTF-8, JSON. It returns ErrMisfit, and appends nothing,
// when the column cannot hold it unchanged. v may be reused.
func (b *Builder) Text(column int, v []byte) error {
	if c := &b.columns[column]; c.json && !Valid(v) || !c.append(v) {
		return ErrMisfit
	}
	return nil
}

// Exact makes a column of float64 refuse what Sniffer would not have found it
// for: a number in another form, such as 1.10.
func (b *Builder) Exact(column int) {
	if f, ok := b.columns[column].builder.(*array.Float64Builder); ok {
		b.columns[column].append = func(v []byte) bool {
			x, ok := values.Float(v)
			if ok = ok && written(v); ok {
				f.Append(x)
			}
			return ok
		}
	}
}

// Null appends a NULL.
func (b *Builder) Null(column int) {
	if c := &b.columns[column]; c.texts != nil {
		c.texts.null()
	} else {
		c.builder.AppendNull()
	}
}

// Field returns the column's own builder, for values that are no text. Columns
// of text have none.
func (b *Builder) Field(column int) array.Builder { return b.columns[column].builder }

// EndRow ends a row of about so many bytes and reports whether the batch is
// full, or has waited for as long as Limits.BatchAge.
func (b *Builder) EndRow(bytes int64) (full bool) {
	b.rows++
	b.bytes += bytes
	b.sent += bytes
	return b.rows >= b.limits.BatchRows || b.bytes >= b.limits.BatchBytes || b.pace.Due(b.rows, b.limits.BatchAge)
}

// Rows returns the number of rows since the last Batch.
func (b *Builder) Rows() int { return b.rows }

// Batch returns the rows since the last one and begins anew. The caller
// releases its record.
func (b *Builder) Batch() driver.Batch {
	arrays := make([]arrow.Array, len(b.columns))
	for i := range b.columns {
		arrays[i] = b.Array(i)
		defer arrays[i].Release()
	}
	batch := driver.Batch{Record: array.NewRecordBatch(b.schema, arrays, int64(b.rows)), Bytes: b.sent}
	b.rows, b.bytes, b.sent = 0, 0, 0
	return batch
}

// Array returns the values of one column, for who builds no batches, and begins
// it anew. The caller releases it.
func (b *Builder) Array(column int) arrow.Array {
	if c := &b.columns[column]; c.texts != nil {
		return c.texts.array()
	}
	return b.columns[column].builder.NewArray()
}

// Reserve makes room for rows to come, where about so many are known to.
func (b *Builder) Reserve(rows int) {
	for _, c := range b.columns {
		if c.builder != nil {
			c.builder.Reserve(rows)
		}
	}
}

// Release frees the rows that were not taken. It is safe to call twice.
func (b *Builder) Release() {
	for _, c := range b.columns {
		if c.builder != nil {
			c.builder.Release()
		}
	}
	b.columns = nil
}

// appender returns the function that parses text of one type.
func appender(field array.Builder, t driver.Type) func([]byte) bool {
	switch f := field.(type) {
	case *array.BooleanBuilder:
		return func(v []byte) bool {
			x, ok := values.Bool(v)
			if ok {
				f.Append(x)
			}
			return ok
		}
	case *array.Int32Builder:
		return func(v []byte) bool {
			n, ok := values.Int(v)
			ok = ok && n == int64(int32(n))
			if ok {
				f.Append(int32(n))
			}
			return ok
		}
	case *array.Int64Builder:
		return func(v []byte) bool {
			n, ok := values.Int(v)
			if ok {
				f.Append(n)
			}
			return ok
		}
	case *array.Float32Builder:
		return func(v []byte) bool {
			x, ok := values.Float(v)
			n, _ := values.ShapeOf(v)
			if ok = ok && !math.IsInf(float64(float32(x)), 0) && (n.Significant <= 6 || float64(float32(x)) == x); ok {
				f.Append(float32(x))
			}
			return ok
		}
	case *array.Float64Builder:
		return func(v []byte) bool {
			x, ok := values.Float(v)
			if ok {
				f.Append(x)
			}
			return ok
		}
	case *array.Decimal128Builder:
		return func(v []byte) bool {
			var n decimal128.Num
			n, ok := values.Decimal(v, t.Precision, t.Scale)
			if ok {
				f.Append(n)
			}
			return ok
		}
	case *array.Date32Builder:
		return func(v []byte) bool {
			d, ok := values.Date(v)
			if ok {
				f.Append(arrow.Date32(d))
			}
			return ok
		}
	case *array.Time64Builder:
		return func(v []byte) bool {
			m, rest, ok := values.Clock(v)
			ok = ok && len(rest) == 0
			if ok {
				f.Append(arrow.Time64(m))
			}
			return ok
		}
	case *array.TimestampBuilder:
		return func(v []byte) bool {
			m, zoned, ok := values.Timestamp(v)
			ok = ok && zoned == (t.Kind == driver.TimestampTZ)
			if ok {
				f.Append(arrow.Timestamp(m))
			}
			return ok
		}
	case *extensions.UUIDBuilder:
		return func(v []byte) bool {
			id, err := uuid.ParseBytes(v)
			ok := err == nil && len(v) == 36
			if ok {
				f.Append(id)
			}
			return ok
		}
	case *array.BinaryBuilder:
		return func(v []byte) bool {
			f.Append(v)
			return true
		}
	}
	return func([]byte) bool { return false }
}
