package parts

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// kinds are the types that tables have, each with the narrower ones that a
// source may send.
var kinds = []struct{ table, source arrow.DataType }{
	{arrow.BinaryTypes.String, arrow.BinaryTypes.String},
	{arrow.BinaryTypes.Binary, arrow.BinaryTypes.Binary},
	{arrow.FixedWidthTypes.Boolean, arrow.FixedWidthTypes.Boolean},
	{arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int32},
	{arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int64},
	{arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32},
	{arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float32},
	{arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Float64},
	{arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Float32},
	{&arrow.Decimal128Type{Precision: 5, Scale: 2}, &arrow.Decimal128Type{Precision: 5, Scale: 2}},
	{&arrow.Decimal128Type{Precision: 15, Scale: 2}, &arrow.Decimal128Type{Precision: 5, Scale: 2}},
	{&arrow.Decimal128Type{Precision: 18, Scale: 0}, &arrow.Decimal128Type{Precision: 18, Scale: 0}},
	{&arrow.Decimal128Type{Precision: 19, Scale: 0}, &arrow.Decimal128Type{Precision: 18, Scale: 0}},
	{&arrow.Decimal128Type{Precision: 38, Scale: 10}, &arrow.Decimal128Type{Precision: 38, Scale: 10}},
	{arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Date32},
	{arrow.FixedWidthTypes.Time64us, arrow.FixedWidthTypes.Time64us},
	{&arrow.TimestampType{Unit: arrow.Microsecond}, &arrow.TimestampType{Unit: arrow.Microsecond}},
	{&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}},
	{extensions.NewUUIDType(), extensions.NewUUIDType()},
}

// appendValue appends value number n of a column: the numbers stand for the
// edges of a type first.
func appendValue(b array.Builder, n int64) {
	switch b := b.(type) {
	case *array.StringBuilder:
		switch n {
		case 0:
			b.Append("")
		case 1:
			b.Append(strings.Repeat("ö\U0010ffff", 200))
		case 2:
			b.Append(strings.Repeat("\U0010ffff", 200))
		default:
			b.Append(fmt.Sprintf("common prefix %d", n))
		}
	case *array.BinaryBuilder:
		switch n {
		case 0:
			b.Append(nil)
		case 1:
			b.Append(bytes.Repeat([]byte{0xff}, 600))
		case 2:
			b.Append(append(bytes.Repeat([]byte{0xff}, 100), bytes.Repeat([]byte{0xfe}, 300)...))
		default:
			b.Append([]byte{byte(n), 0, byte(n >> 8), byte(n >> 16)})
		}
	case *array.BooleanBuilder:
		b.Append(n&1 == 0)
	case *array.Int32Builder:
		b.Append([]int32{0, math.MinInt32, math.MaxInt32, int32(n)}[min(n, 3)])
	case *array.Int64Builder:
		b.Append([]int64{0, math.MinInt64, math.MaxInt64, n * 0x100000001}[min(n, 3)])
	case *array.Float32Builder:
		b.Append([]float32{float32(math.Copysign(0, -1)), float32(math.NaN()), float32(math.Inf(1)), 0, float32(n) / 3}[min(n, 4)])
	case *array.Float64Builder:
		b.Append([]float64{math.Copysign(0, -1), math.NaN(), math.Inf(-1), 0, float64(n) / 3}[min(n, 4)])
	case *array.Decimal128Builder:
		most := decimal128.GetMaxValue(b.Type().(*arrow.Decimal128Type).Precision)
		b.Append([]decimal128.Num{{}, most, most.Negate(), decimal128.FromI64(n%99_000 - 40_000)}[min(n, 3)])
	case *array.Date32Builder:
		b.Append(arrow.Date32([]int64{0, -719_162, 2_932_896, n}[min(n, 3)]))
	case *array.Time64Builder:
		b.Append(arrow.Time64([]int64{0, 1, 86_399_999_999, n}[min(n, 3)]))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp([]int64{0, -62_135_596_800_000_000, 253_402_300_799_999_999, n * 1_000_003}[min(n, 3)]))
	case *extensions.UUIDBuilder:
		id := [16]byte{}
		if n == 1 {
			id = [16]byte(bytes.Repeat([]byte{0xff}, 16))
		} else if n > 1 {
			id = [16]byte{byte(n), 7: byte(n >> 8), 15: byte(n >> 16)}
		}
		b.Append(id)
	default:
		panic(fmt.Sprintf("no values of %T", b))
	}
}
