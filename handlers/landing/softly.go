package landing

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/iceberg-go"

	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/storage"
)

// allDeleted returns files of the rows that a table holds, each marked as deleted by
// its source: what a TRUNCATE leaves where deleted rows stay.
func (w *Writer) allDeleted(ctx context.Context, made storage.Store, live, deletes []iceberg.DataFile) ([]iceberg.DataFile, error) {
	gone, err := datafiles.GoneRowsAhead(ctx, w.lake.files, deletes)
	if err != nil {
		return nil, err
	}
	enc := parts.Start(parts.Config{Files: datafiles.Files{Store: made}, Layout: w.layout, Name: w.NextName, Log: w.lake.log})
	for _, f := range datafiles.InOrder(live) {
		if err = w.putDeleted(ctx, enc, f, gone[f.FilePath()]); err != nil {
			break
		}
	}
	done, failed := enc.Finish()
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return w.dataFiles(done)
}

func (w *Writer) putDeleted(ctx context.Context, enc *parts.Encoder, f iceberg.DataFile, gone *datafiles.RowSet) error {
	sc := w.layout.Schema
	fields := make([]iceberg.NestedField, sc.NumFields())
	for i, field := range sc.Fields() {
		fields[i], _ = w.schema.FindFieldByName(field.Name)
	}
	by := parquet.NewReaderProperties(nil)
	by.BufferedStreamEnabled, by.BufferSize = true, datafiles.PieceBytes
	seen := int64(0)
	err := datafiles.ColumnsBy(ctx, w.lake.files, f.FilePath(), fields, by, datafiles.PieceRows, func(first int64, columns []arrow.Array) error {
		rows := datafiles.Rows(columns)
		seen += int64(rows)
		for i, c := range columns {
			if fields[i].Name == parts.DeletedColumn.Name {
				columns[i] = trues(rows)
			} else if c == nil { // what a file lacks is NULL
				columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, sc.Field(i).Type, rows)
			}
		}
		kept, err := datafiles.Without(ctx, datafiles.RecordOf(sc, columns, int64(rows)), first, gone)
		if err != nil {
			return storage.Wrap("leave deleted rows out", err)
		}
		return enc.Put(ctx, kept)
	})
	if err == nil && seen != f.Count() {
		err = storage.Wrap("read a data file", fmt.Errorf("%s has %d rows where its manifest says %d", f.FilePath(), seen, f.Count()))
	}
	return err
}

func trues(rows int) arrow.Array {
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	for range rows {
		b.Append(true)
	}
	return b.NewArray()
}
