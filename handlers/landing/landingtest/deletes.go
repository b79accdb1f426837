package landingtest

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// deleted is a row of a data file, from 0, and when it was deleted.
type deleted struct{ position, sequence int64 }

// deletes are the deleted rows by the name of their file.
type deletes map[string][]deleted

// The columns of a position delete file, by the ids that Iceberg reserves.
const (
	deletedFileID     = 2147483546
	deletedPositionID = 2147483545
)

// read adds what a position delete file names.
func (d deletes) read(ctx context.Context, path string, sequence int64) error {
	r, err := openParquet(path)
	if err != nil {
		return err
	}
	defer r.close()
	file, position := r.column(deletedFileID), r.column(deletedPositionID)
	if file < 0 || position < 0 {
		return fmt.Errorf("no position delete file: it lacks a column")
	}
	return r.each(ctx, []int{file, position}, func(rec arrow.RecordBatch) (bool, error) {
		// The reader gives columns in the order of the file.
		names, at := rec.Column(0), rec.Column(1)
		if file > position {
			names, at = at, names
		}
		positions, ok := at.(*array.Int64)
		if !ok || names.NullN() > 0 || positions.NullN() > 0 {
			return false, fmt.Errorf("positions are %s with %d NULLs", at.DataType(), names.NullN()+at.NullN())
		}
		for i := range int(rec.NumRows()) {
			name := string([]byte(names.ValueStr(i))) // the batch is released
			d[name] = append(d[name], deleted{positions.Value(i), sequence})
		}
		return true, nil
	})
}

// in returns the rows of a file that are deleted, in order, each once. A delete
// counts for files that were there before it or came with it.
func (d deletes) in(p part) []int64 {
	var positions []int64
	for _, x := range d[p.path] {
		if x.sequence >= p.sequence {
			positions = append(positions, x.position)
		}
	}
	slices.Sort(positions)
	return slices.Compact(positions)
}
