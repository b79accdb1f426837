package parts

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Of sampleRows rows at most one in sampleRepeat may be a new value for a
// dictionary to pay: dictionaries on every column cost a fifth of a sync's
// time, and grow the files of columns that hardly repeat.
const (
	sampleRows   = 512
	sampleRepeat = 8
)

// repeats reports whether a column's values repeat enough for a dictionary,
// judged by rows spread evenly over it.
func repeats(column arrow.Array) bool {
	n := column.Len() - column.NullN()
	if n < 2*sampleRepeat {
		return false
	}
	value := valuesOf(column)
	if value == nil {
		return false
	}
	step := max(1, column.Len()/sampleRows)
	seen := make(map[string]struct{}, sampleRows/sampleRepeat)
	sampled := 0
	for i := 0; i < column.Len(); i += step {
		if column.IsNull(i) {
			continue
		}
		sampled++
		seen[value(i)] = struct{}{}
		if len(seen) > sampleRows/sampleRepeat {
			return false
		}
	}
	return sampled >= 2*sampleRepeat && len(seen)*sampleRepeat <= sampled
}

// valuesOf returns how to read a column's values as comparable text, valid as
// long as the column. It is nil for types that no dictionary helps.
func valuesOf(column arrow.Array) func(int) string {
	switch a := column.(type) {
	case *array.String:
		return a.Value
	case *array.Binary:
		return a.ValueString
	case *array.Boolean:
		return nil // already a bit each
	case array.ExtensionArray:
		return valuesOf(a.Storage())
	}
	fixed, ok := column.DataType().(arrow.FixedWidthDataType)
	if !ok || fixed.BitWidth()%8 != 0 || len(column.Data().Buffers()) < 2 || column.Data().Buffers()[1] == nil {
		return nil
	}
	width := fixed.BitWidth() / 8
	raw := column.Data().Buffers()[1].Bytes()
	offset := column.Data().Offset()
	return func(i int) string {
		at := (offset + i) * width
		return string(raw[at : at+width])
	}
}

// rawSize is about how many bytes the rows of a batch take in memory, without
// what a slice shares with its parent.
func rawSize(rec arrow.RecordBatch) int64 {
	var size int64
	for _, column := range rec.Columns() {
		size += columnSize(column)
	}
	return size
}

func columnSize(column arrow.Array) int64 {
	switch a := column.(type) {
	case *array.String:
		return int64(len(a.ValueBytes())) + 4*int64(a.Len())
	case *array.Binary:
		return int64(len(a.ValueBytes())) + 4*int64(a.Len())
	case array.ExtensionArray:
		return columnSize(a.Storage())
	}
	if fixed, ok := column.DataType().(arrow.FixedWidthDataType); ok {
		return int64(math.Ceil(float64(fixed.BitWidth()) / 8 * float64(column.Len())))
	}
	return 8 * int64(column.Len())
}
