package collapse

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// pick returns the rows of a column whose value of keep, which has no NULL, is true. The
// filter of Arrow for Go (18.8.0) loses booleans: it writes those of a column that has
// NULLs one over the other, to the same place.
func pick(ctx context.Context, column arrow.Array, keep *array.Boolean) (arrow.Array, error) {
	bits, ok := column.(*array.Boolean)
	if !ok {
		return compute.FilterArray(ctx, column, keep, *compute.DefaultFilterOptions())
	}
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(keep.Len())
	for row := range keep.Len() {
		switch {
		case !keep.Value(row):
		case bits.IsNull(row):
			b.UnsafeAppendBoolToBitmap(false)
		default:
			b.UnsafeAppend(bits.Value(row))
		}
	}
	return b.NewBooleanArray(), nil
}
