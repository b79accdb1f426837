package parts

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// widen returns a column as a wider type, for a source whose type is narrower
// than that of its table. The caller releases it. A pair of types that widens
// does not know is an error.
func widen(column arrow.Array, to arrow.DataType) (arrow.Array, error) {
	if arrow.TypeEqual(column.DataType(), to) {
		column.Retain()
		return column, nil
	}
	switch from := column.(type) {
	case *array.Int32:
		if to.ID() == arrow.INT64 {
			b := array.NewInt64Builder(memory.DefaultAllocator)
			defer b.Release()
			b.Reserve(from.Len())
			for i, v := range from.Int32Values() {
				if from.IsNull(i) {
					b.UnsafeAppendBoolToBitmap(false)
				} else {
					b.UnsafeAppend(int64(v))
				}
			}
			return b.NewArray(), nil
		}
	case *array.Float32:
		if to.ID() == arrow.FLOAT64 {
			b := array.NewFloat64Builder(memory.DefaultAllocator)
			defer b.Release()
			b.Reserve(from.Len())
			for i, v := range from.Float32Values() {
				if from.IsNull(i) {
					b.UnsafeAppendBoolToBitmap(false)
				} else {
					b.UnsafeAppend(float64(v))
				}
			}
			return b.NewArray(), nil
		}
	case *array.Decimal128:
		a, b := from.DataType().(*arrow.Decimal128Type), to
		if b, ok := b.(*arrow.Decimal128Type); ok && a.Scale == b.Scale && a.Precision <= b.Precision {
			// Both are 128-bit integers of the same scale.
			data := array.NewData(to, from.Len(), from.Data().Buffers(), nil, from.NullN(), from.Data().Offset())
			defer data.Release()
			return array.MakeFromData(data), nil
		}
	}
	return nil, fmt.Errorf("a column of %s where %s was announced", column.DataType(), to)
}
