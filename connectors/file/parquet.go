package file

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headwater/connectors/driver"
)

// maxInMemory bounds a Parquet file that has to be held in memory because it is
// compressed as a whole.
const maxInMemory = 256 << 20

// guard turns a panic of the Parquet library, which trusts its files, into an
// error.
func guard(in *input, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = driver.E(driver.ErrBadData, fmt.Errorf("%v", r), "%s is a damaged Parquet file", in.entry.path)
		}
	}()
	if err := f(); err != nil {
		return driver.E(driver.ErrBadData, err, "%s is a damaged or encrypted Parquet file", in.entry.path)
	}
	return nil
}

// openParquet reads the footer.
func (s *source) openParquet(ctx context.Context, in *input) (*pqarrow.FileReader, error) {
	r, ok := in.file.(parquet.ReaderAtSeeker)
	if !ok || in.compressed != "" {
		data, err := io.ReadAll(io.LimitReader(in, maxInMemory+1))
		if err != nil {
			return nil, in.failed(ctx, err)
		}
		if len(data) > maxInMemory {
			return nil, driver.E(driver.ErrLimit, nil, "%s has more than %d bytes; decompress it, Parquet is compressed inside", in.entry.path, maxInMemory)
		}
		r = bytes.NewReader(data)
	}
	var reader *pqarrow.FileReader
	err := guard(in, func() error {
		props := parquet.NewReaderProperties(memory.DefaultAllocator)
		props.BufferedStreamEnabled = true
		props.BufferSize = 256 << 10
		file, err := pqfile.NewParquetReader(r, pqfile.WithReadProps(props))
		if err != nil {
			return err
		}
		for i := range file.NumRowGroups() {
			group := file.MetaData().RowGroup(i)
			if group.NumRows() < 0 || group.TotalByteSize() < 0 {
				return fmt.Errorf("row group %d has a negative size", i)
			}
		}
		reader, err = pqarrow.NewFileReader(file, pqarrow.ArrowReadProperties{BatchSize: s.batchRows(file)}, memory.DefaultAllocator)
		return err
	})
	return reader, err
}

// batchRows returns how many rows make a batch of the wanted bytes.
func (s *source) batchRows(file *pqfile.Reader) int64 {
	return min(int64(s.limits.BatchRows), max(1, s.limits.BatchBytes/max(1, rowBytes(file))))
}

// rowBytes returns about how many bytes a row takes, uncompressed.
func rowBytes(file *pqfile.Reader) int64 {
	var size int64
	for i := range file.NumRowGroups() {
		size += file.MetaData().RowGroup(i).TotalByteSize()
	}
	return size / max(1, file.NumRows())
}

func (s *source) discoverParquet(ctx context.Context, in *input) (driver.Table, error) {
	reader, err := s.openParquet(ctx, in)
	if err != nil {
		return driver.Table{}, err
	}
	table := driver.Table{RowEstimate: reader.ParquetReader().NumRows()}
	for _, field := range reader.Manifest.Fields {
		f := field.Field
		if _, twice := table.Column(f.Name); twice {
			return table, driver.E(driver.ErrUnsupported, nil, "%s has two columns named %q", in.entry.path, f.Name)
		}
		table.Columns = append(table.Columns, driver.Column{Name: f.Name, Type: typeOf(f.Type), SourceType: f.Type.String(), Nullable: f.Nullable})
	}
	return table, nil
}

// leaves adds the Parquet columns that a field is made of.
func leaves(field *pqarrow.SchemaField, into []int) []int {
	if field.IsLeaf() {
		return append(into, field.ColIndex)
	}
	for i := range field.Children {
		into = leaves(&field.Children[i], into)
	}
	return into
}

// readParquet yields t's columns, row group by row group.
func (s *source) readParquet(ctx context.Context, in *input, t driver.Table, yield func(driver.Batch) error) error {
	reader, err := s.openParquet(ctx, in)
	if err != nil {
		return err
	}
	var columns []int
	for _, c := range t.Columns {
		at := slices.IndexFunc(reader.Manifest.Fields, func(f pqarrow.SchemaField) bool { return f.Field.Name == c.Name })
		if at < 0 {
			return driver.E(driver.ErrNotFound, nil, "%s has no column %q any more; discover the schema again", in.entry.path, c.Name)
		}
		columns = leaves(&reader.Manifest.Fields[at], columns)
	}
	slices.Sort(columns)
	var rr pqarrow.RecordReader
	if err := guard(in, func() (err error) {
		rr, err = reader.GetRecordReader(ctx, columns, nil)
		return err
	}); err != nil {
		return err
	}
	defer rr.Release()
	file := reader.ParquetReader()
	size, schema := rowBytes(file), driver.ArrowSchema(t)
	var rows int64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more := false
		if err := guard(in, func() error {
			more = rr.Next()
			return rr.Err()
		}); err != nil {
			return err
		}
		if !more {
			break
		}
		record, err := convert(in, t, schema, rr.RecordBatch(), rows)
		if err != nil {
			return err
		}
		rows += record.NumRows()
		batch := driver.Batch{Record: record, Bytes: size * record.NumRows()}
		if err := sliced(batch, s.limits.BatchRows, yield); err != nil {
			return err
		}
	}
	if rows != file.NumRows() {
		return driver.E(driver.ErrBadData, nil, "%s holds %d of the %d rows that it says it has", in.entry.path, rows, file.NumRows())
	}
	return nil
}

// convert makes a batch of t's columns out of one of the file's. before is how
// many rows came before it.
func convert(in *input, t driver.Table, schema *arrow.Schema, from arrow.RecordBatch, before int64) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, len(t.Columns))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, c := range t.Columns {
		at := from.Schema().FieldIndices(c.Name)
		if len(at) != 1 {
			return nil, driver.E(driver.ErrBadData, nil, "%s lost column %q while it was read", in.entry.path, c.Name)
		}
		source := from.Column(at[0])
		if !c.Nullable && source.NullN() > 0 {
			return nil, driver.E(driver.ErrBadData, nil, "%s: column %q has NULLs, but was said to have none", in.entry.path, c.Name)
		}
		var converted arrow.Array
		row := 0
		err := guard(in, func() error {
			converted, row = convertArray(source, c.Type, schema.Field(i).Type)
			return nil
		})
		if err != nil {
			return nil, err
		}
		if converted == nil {
			return nil, driver.E(driver.ErrBadData, nil, "%s, row %d: column %q (%s) holds a value that %s cannot hold unchanged; set connection_config.column_types.%s to \"string\"", in.entry.path, before+int64(row)+1, c.Name, source.DataType(), c.Type, c.Name)
		}
		columns = append(columns, converted)
	}
	return array.NewRecordBatch(schema, columns, from.NumRows()), nil
}
