package landing

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/apache/iceberg-go"
)

// readRows is how many rows of a few columns are read at a time, those with
// their whole part of a file. Of all columns at once that would be most of the
// file, so these come in pieces.
const (
	readRows   = 32 << 10
	pieceRows  = 8 << 10
	pieceBytes = 256 << 10
)

// columns reads some columns of a data file, and nothing of the others. each
// gets them in the order of fields, nil for one that the file does not have, and
// the number of their first row. They are valid until it returns.
func (l *Lake) columns(ctx context.Context, name string, fields []iceberg.NestedField, each func(first int64, columns []arrow.Array) error) error {
	return l.columnsBy(ctx, name, fields, parquet.NewReaderProperties(nil), readRows, each)
}

// allColumns is columns of which there may be many. What each gets is
// overwritten after it returned.
func (l *Lake) allColumns(ctx context.Context, name string, fields []iceberg.NestedField, each func(first int64, columns []arrow.Array) error) error {
	by := parquet.NewReaderProperties(newReuse())
	by.BufferedStreamEnabled, by.BufferSize = true, pieceBytes
	return l.columnsBy(ctx, name, fields, by, pieceRows, each)
}

func (l *Lake) columnsBy(ctx context.Context, name string, fields []iceberg.NestedField, by *parquet.ReaderProperties, rows int64, each func(first int64, columns []arrow.Array) error) (err error) {
	f, err := l.files.Open(name)
	if err != nil {
		return storage("open a data file", err)
	}
	r, err := file.NewParquetReader(f, file.WithReadProps(by))
	if err != nil {
		return storage("read a data file", errors.Join(err, f.Close()))
	}
	defer func() { err = errors.Join(err, storage("close a data file", r.Close())) }()
	leaves, at := leavesOf(r.MetaData().Schema, fields)
	if len(leaves) == 0 {
		return nil
	}
	arrows, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: rows}, by.Allocator())
	if err != nil {
		return storage("read a data file", err)
	}
	batches, err := arrows.GetRecordReader(ctx, leaves, nil)
	if err != nil {
		return storage("read a data file", err)
	}
	defer batches.Release()
	first := int64(0)
	for batches.Next() {
		rec := batches.RecordBatch()
		found := make([]arrow.Array, len(fields))
		for i, column := range at {
			if column >= 0 {
				found[i] = rec.Column(column)
			}
		}
		if err := each(first, found); err != nil {
			return err
		}
		first += rec.NumRows()
	}
	if err := batches.Err(); err != nil && !errors.Is(err, io.EOF) {
		return storage("read a data file", err)
	}
	return ctx.Err()
}

// leavesOf returns the file's columns that are among fields, and for each field
// which of those it is, -1 for none. A file without ids goes by names.
func leavesOf(sc *schema.Schema, fields []iceberg.NestedField) (leaves, at []int) {
	at = make([]int, len(fields))
	for i := range at {
		at[i] = -1
	}
	for leaf := range sc.NumColumns() {
		column := sc.Column(leaf)
		if len(column.ColumnPath()) != 1 {
			continue
		}
		for i, f := range fields {
			id := column.SchemaNode().FieldID()
			if int(id) == f.ID || id < 0 && column.Name() == f.Name {
				at[i] = len(leaves)
				leaves = append(leaves, leaf)
				break
			}
		}
	}
	return leaves, at
}
