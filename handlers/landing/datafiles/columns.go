// Package datafiles reads columns of the Parquet files of a table, and reads and writes
// the files that say which of their rows are deleted.
package datafiles

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/apache/iceberg-go"

	"headwater/handlers/landing/storage"
)

// readRows is how many rows of a few columns are read at a time, those with
// their whole part of a file.
const readRows = 32 << 10

// PieceRows and PieceBytes are how much of all columns is read at a time: with their
// whole parts of a file that would be most of the file.
const (
	PieceRows  = 8 << 10
	PieceBytes = 256 << 10
)

// Columns reads some columns of a data file, and nothing of the others. It calls each
// with the columns in the order of fields, nil for one that the file does not have, and
// the number of their first row, from 0. They are valid until each returns. Without any
// of the fields in the file it calls nothing. It returns parts.ErrStorage, ctx's error
// or that of each, which ends the reading.
func Columns(ctx context.Context, files storage.Store, name string, fields []iceberg.NestedField, each func(first int64, columns []arrow.Array) error) error {
	return ColumnsBy(ctx, files, name, fields, parquet.NewReaderProperties(nil), readRows, each)
}

// AllColumns is Columns for many fields: it decodes PieceRows at a time, into buffers
// that it uses again after each has returned.
func AllColumns(ctx context.Context, files storage.Store, name string, fields []iceberg.NestedField, each func(first int64, columns []arrow.Array) error) error {
	by := parquet.NewReaderProperties(newReuse())
	by.BufferedStreamEnabled, by.BufferSize = true, PieceBytes
	return ColumnsBy(ctx, files, name, fields, by, PieceRows, each)
}

// ColumnsBy is Columns with the reader's properties by, which decodes so many rows at a
// time, or fewer if they are long.
func ColumnsBy(ctx context.Context, files storage.Store, name string, fields []iceberg.NestedField, by *parquet.ReaderProperties, rows int64, each func(first int64, columns []arrow.Array) error) (err error) {
	f, err := files.Open(name)
	if err != nil {
		return storage.Wrap("open a data file", err)
	}
	r, err := file.NewParquetReader(f, file.WithReadProps(by))
	if err != nil {
		return storage.Wrap("read a data file", errors.Join(err, f.Close()))
	}
	defer func() { err = errors.Join(err, storage.Wrap("close a data file", r.Close())) }()
	leaves, at := leavesOf(r.MetaData().Schema, fields)
	if len(leaves) == 0 {
		return nil
	}
	for group := range r.NumRowGroups() {
		rows = batchOf(r.MetaData().RowGroup(group), leaves, rows)
	}
	arrows, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: rows}, by.Allocator())
	if err != nil {
		return storage.Wrap("read a data file", err)
	}
	batches, err := arrows.GetRecordReader(ctx, leaves, nil)
	if err != nil {
		return storage.Wrap("read a data file", err)
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
		return storage.Wrap("read a data file", err)
	}
	return ctx.Err()
}

const (
	// rowBytes is about how many bytes of decoded rows are in memory at a time.
	rowBytes = 4 << 20
	// leafBytes is the least that a value takes once it is decoded: a column of one
	// value takes next to nothing in a file.
	leafBytes = 8
)

// batchOf returns how many rows of a row group are decoded at a time, at most so many.
func batchOf(group *metadata.RowGroupMetaData, leaves []int, most int64) int64 {
	if group.NumRows() == 0 {
		return most
	}
	size := int64(0)
	for _, leaf := range leaves {
		if c, err := group.ColumnChunk(leaf); err == nil {
			size += max(c.TotalUncompressedSize(), leafBytes*group.NumRows())
		}
	}
	return max(1, min(most, rowBytes*group.NumRows()/max(1, size)))
}

// RowsAt reads some columns of some rows of a data file, which must ascend, and decodes
// no row group without one of them. It calls each as Columns does, with the next n of the
// rows, even if the file has none of the fields. It returns parts.ErrStorage, ctx's error or that of each.
func RowsAt(ctx context.Context, files storage.Store, name string, fields []iceberg.NestedField, rows []int64, each func(columns []arrow.Array, n int) error) (err error) {
	f, err := files.Open(name)
	if err != nil {
		return storage.Wrap("open a data file", err)
	}
	by := parquet.NewReaderProperties(nil)
	by.BufferedStreamEnabled, by.BufferSize = true, PieceBytes
	r, err := file.NewParquetReader(f, file.WithReadProps(by))
	if err != nil {
		return storage.Wrap("read a data file", errors.Join(err, f.Close()))
	}
	defer func() { err = errors.Join(err, storage.Wrap("close a data file", r.Close())) }()
	leaves, at := leavesOf(r.MetaData().Schema, fields)
	if len(leaves) == 0 {
		return each(make([]arrow.Array, len(fields)), len(rows))
	}
	first := int64(0)
	for group := range r.NumRowGroups() {
		meta := r.MetaData().RowGroup(group)
		n := 0
		for n < len(rows) && rows[n] < first+meta.NumRows() {
			n++
		}
		if n > 0 {
			if err := rowsInGroup(ctx, r, group, first, batchOf(meta, leaves, PieceRows), leaves, at, rows[:n], each); err != nil {
				return err
			}
		}
		rows, first = rows[n:], first+meta.NumRows()
	}
	return ctx.Err()
}

// rowsInGroup is RowsAt for one row group; first is the number of its first row.
func rowsInGroup(ctx context.Context, r *file.Reader, group int, first, batch int64, leaves, at []int, rows []int64, each func(columns []arrow.Array, n int) error) error {
	arrows, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: batch}, memory.DefaultAllocator)
	if err != nil {
		return storage.Wrap("read a data file", err)
	}
	batches, err := arrows.GetRecordReader(ctx, leaves, []int{group})
	if err != nil {
		return storage.Wrap("read a data file", err)
	}
	defer batches.Release()
	for len(rows) > 0 && batches.Next() {
		rec := batches.RecordBatch()
		var some []int32
		for len(rows) > 0 && rows[0] < first+rec.NumRows() {
			some, rows = append(some, int32(rows[0]-first)), rows[1:]
		}
		if first += rec.NumRows(); len(some) == 0 {
			continue
		}
		if err := eachTaken(ctx, rec, at, some, each); err != nil {
			return err
		}
	}
	if err := batches.Err(); err != nil && !errors.Is(err, io.EOF) {
		return storage.Wrap("read a data file", err)
	}
	return ctx.Err()
}

func eachTaken(ctx context.Context, rec arrow.RecordBatch, at []int, rows []int32, each func(columns []arrow.Array, n int) error) error {
	found := make([]arrow.Array, len(at))
	defer func() {
		for _, c := range found {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, column := range at {
		if column < 0 {
			continue
		}
		var err error
		if found[i], err = Taken(ctx, rec.Column(column), rows); err != nil {
			return err
		}
	}
	return each(found, len(rows))
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

// Taken returns the given rows of a column, in their order. The caller releases the
// array. A row that is out of range is not checked for.
func Taken(ctx context.Context, column arrow.Array, rows []int32) (arrow.Array, error) {
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(rows), []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(rows))}, nil, 0, 0)
	defer data.Release()
	at := array.NewInt32Data(data)
	defer at.Release()
	return compute.TakeArrayOpts(ctx, column, at, compute.TakeOptions{BoundsCheck: false})
}

// Rows returns how many rows columns have, of which some may be nil.
func Rows(columns []arrow.Array) int {
	for _, c := range columns {
		if c != nil {
			return c.Len()
		}
	}
	return 0
}
