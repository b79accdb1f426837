package datafiles

import (
	"cmp"
	"context"
	"path"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
)

// InOrder returns files in the order in which they landed: their names begin
// with the fence, and end with their number.
func InOrder(files []iceberg.DataFile) []iceberg.DataFile {
	return slices.SortedStableFunc(slices.Values(files), func(a, b iceberg.DataFile) int {
		return cmp.Compare(path.Base(a.FilePath()), path.Base(b.FilePath()))
	})
}

// RecordOf makes a batch of columns as they were read: some may be narrower than the
// table by now. The caller releases it.
func RecordOf(sc *arrow.Schema, columns []arrow.Array, rows int64) arrow.RecordBatch {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = sc.Field(i)
		fields[i].Type = c.DataType()
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rows)
}

// Without returns a batch without deleted rows; its first row is that of its file.
// It takes the batch over: the caller releases what is returned.
func Without(ctx context.Context, rec arrow.RecordBatch, first int64, gone *RowSet) (arrow.RecordBatch, error) {
	any := false
	for row := range rec.NumRows() {
		any = any || gone.Has(first+row)
	}
	if !any {
		return rec, nil
	}
	defer rec.Release()
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	for row := range rec.NumRows() {
		mask.Append(!gone.Has(first + row))
	}
	keep := mask.NewBooleanArray()
	defer keep.Release()
	return compute.FilterRecordBatch(ctx, rec, keep, compute.DefaultFilterOptions())
}
