package typemap

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

// ErrNull says that a column which was not nullable has a NULL.
var ErrNull = errors.New("a NULL came for a column that was not nullable when the schema was discovered")

// Builder makes record batches of a table's columns. It is used by one goroutine at a
// time.
type Builder struct {
	Table   driver.Table
	Record  *array.RecordBuilder
	Columns []Column // in the order of the table's columns
	Width   int64    // bytes that a row takes, beside those of values of any length
	Limits  driver.Limits
	Keys    []int // indexes of the columns of the key
	Nulls   bool  // a value that its type cannot hold lands as NULL
	nulled  []nulled
}

// nulled counts the values of a column that landed as NULL.
type nulled struct {
	column int
	times  int64
	first  string // names the row of the first
}

// NewBuilder makes a builder for the table's columns. With nulls, a value that its type
// cannot hold lands as NULL. The caller calls Release.
func NewBuilder(t driver.Table, limits driver.Limits, nulls bool) *Builder {
	b := &Builder{Table: t, Width: t.RowWidth(), Limits: limits, Nulls: nulls}
	b.Record = array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(t))
	b.Columns = make([]Column, len(t.Columns))
	for i, field := range b.Record.Fields() {
		b.Columns[i] = newColumn(t.Columns[i], field)
		if slices.Contains(t.PrimaryKey, t.Columns[i].Name) {
			b.Keys = append(b.Keys, i)
		}
	}
	return b
}

// Release frees the memory of rows that are in no batch yet.
func (b *Builder) Release() { b.Record.Release() }

// Room is what a batch needs.
type Room struct {
	rows int
	data []int // bytes of the values of each column that have any length
}

// RoomOf returns the room for a batch like the last one.
func (b *Builder) RoomOf(last arrow.RecordBatch) Room {
	r := Room{int(last.NumRows()), make([]int, len(b.Columns))}
	for i := range b.Columns {
		if data, ok := last.Column(i).(interface{ ValueBytes() []byte }); ok && b.Columns[i].binary != nil {
			n := len(data.ValueBytes())
			r.data[i] = n + n/16
		}
	}
	return r
}

// Reserve allocates room for a batch, and returns about how many bytes that are.
func (b *Builder) Reserve(r Room) (bytes int64) {
	b.Record.Reserve(r.rows)
	bytes = int64(r.rows) * b.Width
	for i, n := range r.data {
		if n > 0 {
			b.Columns[i].binary.ReserveData(n)
			bytes += int64(n)
		}
	}
	return bytes
}

// AppendNull handles a value that its column cannot hold. If the settings allow it, it
// appends NULL, counts it and returns true. If it returns false the caller ends the
// read. place names the row for people.
func (b *Builder) AppendNull(i int, err error, place func() string) bool {
	c := &b.Columns[i]
	if !b.Nulls || !c.Nullable || slices.Contains(b.Keys, i) || err != errDate && err != errTime && err != ErrUTF8 {
		return false
	}
	c.Builder.AppendNull()
	at := slices.IndexFunc(b.nulled, func(n nulled) bool { return n.column == i })
	if at < 0 {
		b.nulled = append(b.nulled, nulled{column: i, first: place()})
		at = len(b.nulled) - 1
	}
	b.nulled[at].times++
	return true
}

// Advice names the settings that decide about such a value, "" if none does.
func (b *Builder) Advice(i int, err error) string {
	if (err == errDate || err == errTime) && b.Columns[i].Kind != driver.String {
		return "; connection_config.column_types takes it as text, on_bad_value as NULL"
	}
	return ""
}

// NullNotes says, for people, how many values landed as NULL since the last call.
func (b *Builder) NullNotes() (notes []string) {
	for _, n := range b.nulled {
		notes = append(notes, sqldb.NulledNote(n.times, b.Table, b.Table.Columns[n.column].Name, n.first))
	}
	b.nulled = nil
	return notes
}

// Column appends to one column of the batch. Of the typed builders only that of its Kind
// is set; Builder is the same one.
type Column struct {
	Kind             driver.Kind
	Nullable         bool
	precision, scale int32
	Builder          array.Builder
	binary           *array.BinaryBuilder // also for strings
	Boolean          *array.BooleanBuilder
	Int32            *array.Int32Builder
	Int64            *array.Int64Builder
	Float32          *array.Float32Builder
	Float64          *array.Float64Builder
	Decimal          *array.Decimal128Builder
	date             *array.Date32Builder
	Stamp            *array.TimestampBuilder
	fixed            *array.FixedSizeBinaryBuilder
}

func newColumn(of driver.Column, b array.Builder) Column {
	c := Column{Kind: of.Type.Kind, Nullable: of.Nullable, precision: of.Type.Precision, scale: of.Type.Scale, Builder: b}
	switch b := b.(type) {
	case *array.StringBuilder:
		c.binary = b.BinaryBuilder
	case *array.BinaryBuilder:
		c.binary = b
	case *array.BooleanBuilder:
		c.Boolean = b
	case *array.Int32Builder:
		c.Int32 = b
	case *array.Int64Builder:
		c.Int64 = b
	case *array.Float32Builder:
		c.Float32 = b
	case *array.Float64Builder:
		c.Float64 = b
	case *array.Decimal128Builder:
		c.Decimal = b
	case *array.Date32Builder:
		c.date = b
	case *array.TimestampBuilder:
		c.Stamp = b
	case interface{ StorageBuilder() array.Builder }:
		c.fixed, _ = b.StorageBuilder().(*array.FixedSizeBinaryBuilder)
	}
	return c
}

// Append appends a value that is not NULL, given as the text of the protocol. It appends
// nothing if it returns an error.
func (c *Column) Append(text []byte) error {
	switch c.Kind {
	case driver.String, driver.JSON:
		if !utf8.Valid(text) {
			return ErrUTF8
		}
		c.binary.Append(text)
	case driver.Bytes:
		c.binary.Append(text)
	case driver.Int32:
		n, err := ParseInt(text)
		if err == nil && int64(int32(n)) != n {
			err = ErrRange
		}
		if err != nil {
			return err
		}
		c.Int32.Append(int32(n))
	case driver.Int64:
		n, err := ParseInt(text)
		if err != nil {
			return err
		}
		c.Int64.Append(n)
	case driver.Boolean:
		if len(text) != 1 || text[0]&^1 != '0' {
			return ErrRange
		}
		c.Boolean.Append(text[0] == '1')
	case driver.Decimal:
		n, err := parseDecimal(text, c.precision, c.scale)
		if err != nil {
			return err
		}
		c.Decimal.Append(n)
	case driver.Float64:
		n, err := parseFloat(text, 64)
		if err != nil {
			return err
		}
		c.Float64.Append(n)
	case driver.Float32:
		n, err := parseFloat(text, 32)
		if err != nil {
			return err
		}
		c.Float32.Append(float32(n))
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
		c.Stamp.Append(arrow.Timestamp(n))
	case driver.UUID:
		u, err := ParseUUID(text)
		if err != nil {
			return err
		}
		c.fixed.Append(u[:])
	default:
		return ErrType
	}
	return nil
}
