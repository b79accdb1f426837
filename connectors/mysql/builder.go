package mysql

import (
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

var errNull = errors.New("a NULL came for a column that was not nullable when the schema was discovered")

// builder makes record batches of a table's columns. It is used by one goroutine at a
// time.
type builder struct {
	table   driver.Table
	record  *array.RecordBuilder
	columns []column // of the table, in its order
	limits  driver.Limits
	keys    []int // of the columns, those that name a row
	nulls   bool  // what a type cannot hold lands as NULL
	nulled  []nulled
}

// nulled counts the values of a column that landed as NULL.
type nulled struct {
	column int
	times  int64
	first  string // the row of the first
}

// newBuilder makes batches of the table's columns. With nulls, what a type cannot
// hold lands as NULL. The caller calls release.
func newBuilder(t driver.Table, limits driver.Limits, nulls bool) *builder {
	b := &builder{table: t, limits: limits, nulls: nulls}
	b.record = array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(t))
	b.columns = make([]column, len(t.Columns))
	for i, field := range b.record.Fields() {
		b.columns[i] = newColumn(t.Columns[i], field)
		if slices.Contains(t.PrimaryKey, t.Columns[i].Name) {
			b.keys = append(b.keys, i)
		}
	}
	return b
}

// release gives the memory of rows back that are in no batch.
func (b *builder) release() { b.record.Release() }

// reserve makes room for a batch like the last one, so that it grows once.
func (b *builder) reserve(last arrow.RecordBatch) {
	b.record.Reserve(int(last.NumRows()))
	for i := range b.columns {
		if data, ok := last.Column(i).(interface{ ValueBytes() []byte }); ok && b.columns[i].binary != nil {
			n := len(data.ValueBytes())
			b.columns[i].binary.ReserveData(n + n/16)
		}
	}
}

// null appends NULL for a value that its column cannot hold, where the settings say
// so, and counts it. It reports false where the value has to end the read. place
// names the row for people.
func (b *builder) null(i int, err error, place func() string) bool {
	c := &b.columns[i]
	if !b.nulls || !c.nullable || slices.Contains(b.keys, i) || err != errDate && err != errTime && err != errUTF8 {
		return false
	}
	c.builder.AppendNull()
	at := slices.IndexFunc(b.nulled, func(n nulled) bool { return n.column == i })
	if at < 0 {
		b.nulled = append(b.nulled, nulled{column: i, first: place()})
		at = len(b.nulled) - 1
	}
	b.nulled[at].times++
	return true
}

// advice names the settings that decide about such a value, "" where none does.
func (b *builder) advice(i int, err error) string {
	if (err == errDate || err == errTime) && b.columns[i].kind != driver.String {
		return "; connection_config.column_types takes it as text, on_bad_value as NULL"
	}
	return ""
}

// nullNotes says how many values landed as NULL since it was called last.
func (b *builder) nullNotes() (notes []string) {
	for _, n := range b.nulled {
		notes = append(notes, sqldb.NulledNote(n.times, b.table, b.table.Columns[n.column].Name, n.first))
	}
	b.nulled = nil
	return notes
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

func newColumn(of driver.Column, b array.Builder) column {
	c := column{kind: of.Type.Kind, nullable: of.Nullable, precision: of.Type.Precision, scale: of.Type.Scale, builder: b}
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
	return c
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
