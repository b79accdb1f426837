package content

import (
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var pool = memory.DefaultAllocator

// column builds an array of any values; a nil one is NULL.
func column[T any](b interface {
	array.Builder
	Append(T)
}, values ...any) arrow.Array {
	for _, v := range values {
		if v == nil {
			b.AppendNull()
		} else {
			b.Append(v.(T))
		}
	}
	return b.NewArray()
}

// Values have one form, whatever their width and wherever they lie in a batch.
func TestTheSameValuesAreTheSame(t *testing.T) {
	strange := math.Float64frombits(math.Float64bits(math.NaN()) ^ 1)
	for name, c := range map[string][2]arrow.Array{
		"whole numbers": {column[int32](array.NewInt32Builder(pool), int32(-7), nil, int32(0)), column[int64](array.NewInt64Builder(pool), int64(-7), nil, int64(0))},
		"floats":        {column[float32](array.NewFloat32Builder(pool), float32(0.5), float32(math.NaN()), float32(math.Inf(-1))), column[float64](array.NewFloat64Builder(pool), 0.5, strange, math.Inf(-1))},
		"texts":         {column[string](array.NewStringBuilder(pool), "a", "", nil), column[string](array.NewLargeStringBuilder(pool), "a", "", nil)},
		"decimals": {column[decimal128.Num](array.NewDecimal128Builder(pool, &arrow.Decimal128Type{Precision: 5, Scale: 2}), decimal128.FromI64(-1), nil, decimal128.FromI64(9)),
			column[decimal128.Num](array.NewDecimal128Builder(pool, &arrow.Decimal128Type{Precision: 38, Scale: 2}), decimal128.FromI64(-1), nil, decimal128.FromI64(9))},
		"absent": {nil, column[bool](array.NewBooleanBuilder(pool), nil, nil, nil)},
	} {
		a, b := RowsOf([]arrow.Array{c[0]}), RowsOf([]arrow.Array{c[1]})
		later := RowsOf([]arrow.Array{array.NewSlice(c[1], 1, 3)})
		for row := range 3 {
			if a.Hash(row) != b.Hash(row) || row > 0 && a.Hash(row) != later.Hash(row-1) {
				t.Errorf("%s: row %d differs", name, row)
			}
		}
	}
}

// What differs has another hash: values, places of values, NULL from all others.
func TestOtherValuesDiffer(t *testing.T) {
	texts := func(v ...any) arrow.Array { return column[string](array.NewStringBuilder(pool), v...) }
	bytes := func(v ...any) arrow.Array {
		return column[[]byte](array.NewBinaryBuilder(pool, arrow.BinaryTypes.Binary), v...)
	}
	for name, c := range map[string][]arrow.Array{
		"texts":    {texts("ab", "a", "", nil, "a"), texts("c", "bc", "abc", "abc", nil)},
		"bytes":    {bytes([]byte{0}, []byte{}, nil, []byte{1, 0}), bytes([]byte{}, []byte{0}, []byte{0}, []byte{})},
		"booleans": {column[bool](array.NewBooleanBuilder(pool), true, false, nil)},
		"zeros":    {column[float64](array.NewFloat64Builder(pool), 0.0, math.Copysign(0, -1), nil, math.SmallestNonzeroFloat64)},
		"wholes":   {column[int64](array.NewInt64Builder(pool), int64(0), int64(1), int64(-1), int64(math.MinInt32), nil)},
		"decimals": {column[decimal128.Num](array.NewDecimal128Builder(pool, &arrow.Decimal128Type{Precision: 38}), decimal128.FromI64(-1), decimal128.FromU64(math.MaxUint64), nil)},
		"times":    {column[arrow.Timestamp](array.NewTimestampBuilder(pool, &arrow.TimestampType{Unit: arrow.Microsecond}), arrow.Timestamp(0), arrow.Timestamp(1), nil)},
	} {
		rows := RowsOf(c)
		var seen []Hash
		for row := range c[0].Len() {
			h := rows.Hash(row)
			if at := slices.Index(seen, h); at >= 0 {
				t.Errorf("%s: rows %d and %d are the same", name, at, row)
			}
			seen = append(seen, h)
		}
	}
}
