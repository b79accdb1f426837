package landingtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

const batchRows = 16 << 10

// parquetFile is an open file whose columns have the ids of Iceberg fields.
type parquetFile struct {
	os *os.File
	pq *file.Reader
	ar *pqarrow.FileReader
}

func openParquet(name string) (*parquetFile, error) {
	path, err := localPath(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &parquetFile{os: f}
	if r.pq, err = file.NewParquetReader(f); err == nil {
		r.ar, err = pqarrow.NewFileReader(r.pq, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func (r *parquetFile) close() { _ = r.os.Close() }

// column returns the index of the column with a field id, -1 for none.
func (r *parquetFile) column(id int) int {
	s := r.pq.MetaData().Schema
	for i := range s.NumColumns() {
		if int(s.Column(i).SchemaNode().FieldID()) == id {
			return i
		}
	}
	return -1
}

// each reads columns from first row to last until do returns false.
func (r *parquetFile) each(ctx context.Context, columns []int, do func(arrow.RecordBatch) (bool, error)) error {
	records, err := r.ar.GetRecordReader(ctx, columns, nil)
	if err != nil {
		return err
	}
	defer records.Release()
	for {
		rec, err := records.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if more, err := do(rec); err != nil || !more {
			return err
		}
	}
}

// readPart yields the rows of a data file as the schema has them, without the
// deleted ones. more is false when the reader has had enough.
func readPart(ctx context.Context, p part, schema *iceberg.Schema, gone []int64, yield func(arrow.RecordBatch) bool) (more bool, err error) {
	r, err := openParquet(p.path)
	if err != nil {
		return false, err
	}
	defer r.close()
	want, err := table.SchemaToArrowSchema(schema, nil, false, false)
	if err != nil {
		return false, err
	}
	// place[i] is where the schema's column i is in the batches, -1 for nowhere.
	place := make([]int, schema.NumFields())
	present := make([]int, r.pq.MetaData().Schema.NumColumns())
	for i, f := range schema.Fields() {
		if place[i] = r.column(f.ID); place[i] >= 0 {
			present[place[i]] = 1
		} else if f.Required {
			return false, fmt.Errorf("it lacks the column %q, which is required", f.Name)
		}
	}
	var columns []int
	for column, used := range present {
		if used == 1 {
			present[column] = len(columns)
			columns = append(columns, column)
		}
	}
	var row int64
	more = true
	err = r.each(ctx, columns, func(rec arrow.RecordBatch) (bool, error) {
		from := row
		row += rec.NumRows()
		out, err := arranged(ctx, rec, want, place, present)
		if err != nil {
			return false, err
		}
		defer func() { out.Release() }()
		n := 0
		for n < len(gone) && gone[n] < row {
			n++
		}
		if n > 0 {
			kept, err := without(ctx, out, from, gone[:n])
			if err != nil {
				return false, err
			}
			out.Release()
			out, gone = kept, gone[n:]
		}
		if out.NumRows() > 0 {
			more = yield(out)
		}
		return more, nil
	})
	switch {
	case err != nil || !more:
		return false, err
	case len(gone) > 0:
		return false, fmt.Errorf("row %d of it is deleted, and it has %d", gone[0], row)
	case row != p.rows:
		return false, fmt.Errorf("it has %d rows, and its manifest says %d", row, p.rows)
	}
	return true, nil
}

// arranged puts the columns of a file in the order and the types of the schema.
func arranged(ctx context.Context, rec arrow.RecordBatch, want *arrow.Schema, place, present []int) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, len(place))
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, at := range place {
		kind := want.Field(i).Type
		if at < 0 {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, kind, int(rec.NumRows()))
			continue
		}
		column := rec.Column(present[at])
		if arrow.TypeEqual(column.DataType(), kind) {
			column.Retain()
			columns[i] = column
			continue
		}
		cast, err := compute.CastArray(ctx, column, compute.SafeCastOptions(kind))
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", want.Field(i).Name, err)
		}
		columns[i] = cast
	}
	return array.NewRecordBatch(want, columns, rec.NumRows()), nil
}

// without leaves rows out of a batch that begins at row from of its file.
func without(ctx context.Context, rec arrow.RecordBatch, from int64, gone []int64) (arrow.RecordBatch, error) {
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(int(rec.NumRows()))
	for row := from; row < from+rec.NumRows(); row++ {
		if len(gone) > 0 && gone[0] == row {
			gone = gone[1:]
			b.UnsafeAppend(false)
		} else {
			b.UnsafeAppend(true)
		}
	}
	mask := b.NewArray()
	defer mask.Release()
	return compute.FilterRecordBatch(ctx, rec, mask, compute.DefaultFilterOptions())
}
