package landing

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"headwater/connectors/driver"
)

// Sizes of what is written. A row group is in memory until it is complete, so
// the first two bound what one table takes, whatever its width.
const (
	groupRaw     = 64 << 20 // bytes of a row group before encoding
	groupEncoded = 16 << 20 // and after
	pieceRows    = 8192     // rows encoded at a time: they stay in the CPU's cache
	pagesRaw     = 32 << 20 // shared by the open pages of all columns
	partSize     = 96 << 20 // bytes of a file
)

// layout is how the rows of one source table become Parquet.
type layout struct {
	schema *iceberg.Schema // of the table, as the next commit will have it
	arrow  *arrow.Schema   // of the files: the source's columns, with field ids
	props  iceberg.Properties
}

// layoutOf returns the layout of batches that hold the named columns.
func layoutOf(schema *iceberg.Schema, columns []string, props iceberg.Properties) (layout, error) {
	fields := make([]iceberg.NestedField, len(columns))
	for i, name := range columns {
		field, ok := schema.FindFieldByName(name)
		if !ok {
			return layout{}, fmt.Errorf("%w: column %q is not in the table", ErrBadTable, name)
		}
		field.Doc = ""
		fields[i] = field
	}
	sc, err := table.SchemaToArrowSchema(iceberg.NewSchema(0, fields...), nil, true, false)
	if err != nil {
		return layout{}, fmt.Errorf("%w: %w", ErrBadTable, err)
	}
	return layout{schema: schema, arrow: sc, props: props}, nil
}

// conform returns a batch of the source as the files hold it, which the caller
// releases. A NULL where none can be is a driver.ErrBadData that names the row,
// counted from the batch's first, which is number row.
func (l layout) conform(rec arrow.RecordBatch, row int64) (arrow.RecordBatch, error) {
	if int(rec.NumCols()) != l.arrow.NumFields() {
		return nil, fmt.Errorf("a batch of %d columns where %d were announced", rec.NumCols(), l.arrow.NumFields())
	}
	first := row
	columns := make([]arrow.Array, 0, rec.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, column := range rec.Columns() {
		field := l.arrow.Field(i)
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
	return array.NewRecordBatch(l.arrow, columns, rec.NumRows()), nil
}

// properties choose the encodings by the first batch of a file.
func (l layout) properties(first arrow.RecordBatch) *parquet.WriterProperties {
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
			opts = append(opts, parquet.WithDictionaryPath(parquet.ColumnPath{l.arrow.Field(i).Name}, true))
		}
	}
	return parquet.NewWriterProperties(opts...)
}

// part is one Parquet file being written.
type part struct {
	layout layout
	name   string
	out    *counter
	w      *pqarrow.FileWriter
	rows   int64
	raw    int64 // of the open row group
}

// counter counts what goes to a file. It hides the file's Close from the
// Parquet writer: when a file is durable is not its business.
type counter struct {
	file iceio.FileWriter
	n    int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.file.Write(p)
	c.n += int64(n)
	return n, err
}

func createPart(files store, l layout, name string, first arrow.RecordBatch) (*part, error) {
	file, err := files.Create(name)
	if err != nil {
		return nil, storage("create a part", err)
	}
	p := &part{layout: l, name: name, out: &counter{file: file}}
	defer func() {
		if p.w == nil { // failed, or panicked
			p.drop()
		}
	}()
	if p.w, err = pqarrow.NewFileWriter(l.arrow, p.out, l.properties(first), pqarrow.DefaultWriterProps()); err != nil {
		return nil, storage("start a part", err)
	}
	return p, nil
}

// write appends a batch that conforms to the layout.
func (p *part) write(rec arrow.RecordBatch) error {
	for from := int64(0); from < rec.NumRows(); from += pieceRows {
		piece := rec.NewSlice(from, min(from+pieceRows, rec.NumRows()))
		size := rawSize(piece)
		err := p.w.WriteBuffered(piece)
		piece.Release()
		if err != nil {
			return storage("write a part", err)
		}
		p.rows += min(pieceRows, rec.NumRows()-from)
		p.raw += size
		if p.raw >= groupRaw || p.w.RowGroupTotalCompressedBytes() >= groupEncoded {
			if err := p.w.NewBufferedRowGroupChecked(); err != nil {
				return storage("write a part", err)
			}
			p.raw = 0
		}
	}
	return nil
}

// close makes the file durable and returns what a commit says about it.
func (p *part) close() (iceberg.DataFile, error) {
	if err := p.w.Close(); err != nil {
		p.out.file.Close()
		return nil, storage("finish a part", err)
	}
	if err := p.out.file.Close(); err != nil {
		return nil, storage("finish a part", err)
	}
	footer, err := p.w.FileMetadata()
	if err != nil {
		return nil, storage("finish a part", err)
	}
	return table.DataFileFromMetadata(table.DataFileArgs{
		Schema:     p.layout.schema,
		Spec:       *iceberg.UnpartitionedSpec,
		Format:     iceberg.ParquetFile,
		Metadata:   footer,
		FilePath:   p.name,
		FileSize:   p.out.n,
		Content:    iceberg.EntryContentData,
		Properties: p.layout.props,
	})
}

// drop gives the file up. It may stay; whoever made it removes it.
func (p *part) drop() { p.out.file.Close() }
