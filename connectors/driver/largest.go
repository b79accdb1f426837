package driver

import (
	"bytes"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// Largest returns the index of the largest value of an ordered column, -1 if all are
// NULL. The order is that of CompareCursors. It panics on a column that is not
// Ordered.
func Largest(column arrow.Array) int {
	switch a := column.(type) {
	case *array.Int32:
		return largest(a, a.Int32Values(), func(x, y int32) bool { return x < y })
	case *array.Int64:
		return largest(a, a.Int64Values(), func(x, y int64) bool { return x < y })
	case *array.Date32:
		return largest(a, a.Date32Values(), func(x, y arrow.Date32) bool { return x < y })
	case *array.Timestamp:
		return largest(a, a.TimestampValues(), func(x, y arrow.Timestamp) bool { return x < y })
	case *array.Decimal128:
		return largest(a, a.Values(), func(x, y decimal128.Num) bool { return x.Less(y) })
	case *array.String:
		return largestOf(a, func(x, y int) bool { return a.Value(x) < a.Value(y) })
	case *extensions.UUIDArray:
		return largestOf(a, func(x, y int) bool {
			p, q := a.Value(x), a.Value(y)
			return bytes.Compare(p[:], q[:]) < 0
		})
	}
	panic("a column of " + column.DataType().String() + " is no cursor")
}

func largest[T any](column arrow.Array, values []T, less func(a, b T) bool) int {
	at := -1
	if column.NullN() == 0 {
		for i := range values {
			if at < 0 || less(values[at], values[i]) {
				at = i
			}
		}
		return at
	}
	return largestOf(column, func(x, y int) bool { return less(values[x], values[y]) })
}

func largestOf(column arrow.Array, less func(x, y int) bool) int {
	at := -1
	for i := range column.Len() {
		if !column.IsNull(i) && (at < 0 || less(at, i)) {
			at = i
		}
	}
	return at
}
