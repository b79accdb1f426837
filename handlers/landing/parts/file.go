package parts

import (
	"bytes"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headwater/connectors/driver"
)

// Sizes of what is written. A row group is in memory until it is complete, so
// the first two bound what one table takes, whatever its width.
const (
	groupRaw     = 64 << 20 // bytes of a row group before encoding
	groupEncoded = 16 << 20 // and after
	pieceRows    = 8192     // rows encoded at a time: they stay in the CPU's cache
	pagesRaw     = 32 << 20 // shared by the open pages of all columns
)

// conform returns a batch of the source as the files hold it, which the caller
// releases. A NULL where none can be is a driver.ErrBadData that names the row,
// counted from the batch's first, which is number row.
func (l Layout) conform(rec arrow.RecordBatch, row int64) (arrow.RecordBatch, error) {
	if int(rec.NumCols()) != l.Schema.NumFields() {
		return nil, fmt.Errorf("a batch of %d columns where %d were announced", rec.NumCols(), l.Schema.NumFields())
	}
	first := row
	columns := make([]arrow.Array, 0, rec.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, column := range rec.Columns() {
		field := l.Schema.Field(i)
		if rec.ColumnName(i) != field.Name {
			return nil, fmt.Errorf("column %q where %q was announced", rec.ColumnName(i), field.Name)
		}
		if !field.Nullable && column.NullN() > 0 {
			for column.IsValid(int(row - first)) {
				row++
			}
			return nil, driver.E(driver.ErrBadData, nil, "row %d: column %q was discovered as not null and holds NULL", row, field.Name)
		}
		wide, err := widen(column, field.Type)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", field.Name, err)
		}
		columns = append(columns, wide)
	}
	return array.NewRecordBatch(l.Schema, columns, rec.NumRows()), nil
}

// properties choose the encodings by the first batch of a file.
func (l Layout) properties(first arrow.RecordBatch) *parquet.WriterProperties {
	page := min(int64(parquet.DefaultDataPageSize), max(16<<10, pagesRaw/max(1, first.NumCols())))
	opts := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(false),
		parquet.WithDataPageSize(page),
		parquet.WithStats(true),
		// Iceberg wants decimals of up to 18 digits as integers.
		parquet.WithStoreDecimalAsInteger(true),
		parquet.WithMaxRowGroupLength(1 << 30),
		parquet.WithCreatedBy("headwater"),
	}
	for i, column := range first.Columns() {
		if repeats(column) {
			opts = append(opts, parquet.WithDictionaryPath(parquet.ColumnPath{l.Schema.Field(i).Name}, true))
		}
	}
	return parquet.NewWriterProperties(opts...)
}

// file is one Parquet file being written.
type file struct {
	name string
	out  *counter
	w    *pqarrow.FileWriter
	rows int64
	raw  int64 // of the open row group
}

// counter counts what goes to a file. It hides the file's Close from the
// Parquet writer: when a file is durable is not its business.
type counter struct {
	file io.WriteCloser
	n    int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.file.Write(p)
	c.n += int64(n)
	return n, err
}

func create(files Files, l Layout, name string, first arrow.RecordBatch) (*file, error) {
	out, err := files.Create(name)
	if err != nil {
		return nil, storage("create a part", err)
	}
	f := &file{name: name, out: &counter{file: out}}
	defer func() {
		if f.w == nil { // failed, or panicked
			f.drop()
		}
	}()
	if f.w, err = pqarrow.NewFileWriter(l.Schema, f.out, l.properties(first), pqarrow.DefaultWriterProps()); err != nil {
		return nil, storage("start a part", err)
	}
	return f, nil
}

// write appends a batch that conforms to the layout.
func (f *file) write(rec arrow.RecordBatch) error {
	for from := int64(0); from < rec.NumRows(); from += pieceRows {
		piece := rec.NewSlice(from, min(from+pieceRows, rec.NumRows()))
		size := rawSize(piece)
		err := f.w.WriteBuffered(piece)
		piece.Release()
		if err != nil {
			return storage("write a part", err)
		}
		f.rows += min(pieceRows, rec.NumRows()-from)
		f.raw += size
		if f.raw >= groupRaw || f.w.RowGroupTotalCompressedBytes() >= groupEncoded {
			if err := f.w.NewBufferedRowGroupChecked(); err != nil {
				return storage("write a part", err)
			}
			f.raw = 0
		}
	}
	return nil
}

// close makes the file durable.
func (f *file) close() (Part, error) {
	if err := f.w.Close(); err != nil {
		f.out.file.Close()
		return Part{}, storage("finish a part", err)
	}
	if err := f.out.file.Close(); err != nil {
		return Part{}, storage("finish a part", err)
	}
	meta, err := f.w.FileMetadata()
	if err != nil {
		return Part{}, storage("finish a part", err)
	}
	var footer bytes.Buffer
	if _, err := meta.WriteTo(&footer, nil); err != nil {
		return Part{}, storage("finish a part", err)
	}
	return Part{Name: f.name, Rows: f.rows, Size: f.out.n, Footer: footer.Bytes()}, nil
}

// drop gives the file up. It may stay; whoever made it removes it.
func (f *file) drop() { f.out.file.Close() }
