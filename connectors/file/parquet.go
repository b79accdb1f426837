package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"

	"headwater/connectors/driver"
)

// maxInMemory bounds a Parquet file that has to be held in memory because it is
// compressed as a whole.
const maxInMemory = 256 << 20

// guard turns a panic of the Parquet library, which trusts its files, into an
// error, and gives errors their kind.
func guard(in *input, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = driver.E(driver.ErrBadData, fmt.Errorf("%v", r), "%s is a damaged Parquet file", in.entry.path)
		}
	}()
	err = f()
	var typed *driver.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typed):
		return driver.E(typed.Kind, typed.Cause, "%s: %s", in.entry.path, typed.Message)
	case strings.Contains(err.Error(), "exceeds configured limit"):
		return driver.E(driver.ErrLimit, err, "%s has a page that is too large", in.entry.path)
	}
	return driver.E(driver.ErrBadData, err, "%s is a damaged Parquet file", in.entry.path)
}

// openParquet reads the footer.
func (s *source) openParquet(ctx context.Context, in *input) (*parquetFile, error) {
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
	var p *parquetFile
	err := guard(in, func() (err error) {
		p, err = newParquetFile(r)
		return err
	})
	return p, err
}

// parquetFile is an open file and the fields of its rows.
type parquetFile struct {
	*pqfile.Reader
	source io.ReaderAt
	fields []*field
	rows   int64 // of all row groups
	bytes  int64 // of a row, uncompressed, about
}

func newParquetFile(r parquet.ReaderAtSeeker) (*parquetFile, error) {
	footer, err := readFooter(r)
	if err != nil {
		return nil, err
	}
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true
	props.BufferSize = 256 << 10
	props.MaxCompressedPageSize = props.MaxUncompressedPageSize // some writers do not compress, and have one page a column
	file, err := pqfile.NewParquetReader(r, pqfile.WithReadProps(props), pqfile.WithMetadata(footer))
	if err != nil {
		return nil, err
	}
	p := &parquetFile{Reader: file, source: r}
	for i := range file.NumRowGroups() {
		group := file.MetaData().RowGroup(i)
		if group.NumRows() < 0 || group.TotalByteSize() < 0 {
			return nil, fmt.Errorf("row group %d has a negative size", i)
		}
		p.rows += group.NumRows()
		p.bytes += group.TotalByteSize()
	}
	p.bytes /= max(1, p.rows)
	// Some writers leave the number of all rows out.
	if n := file.NumRows(); n != p.rows && n != 0 {
		return nil, fmt.Errorf("the file says that it has %d rows, and its row groups %d", n, p.rows)
	}
	schema := file.MetaData().Schema
	if p.fields, err = (&schemaReader{schema: schema, durations: durations(file)}).fields(); err != nil {
		return nil, err
	}
	for _, f := range p.fields {
		if err := p.readable(f, 1); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (s *source) discoverParquet(ctx context.Context, in *input) (driver.Table, error) {
	p, err := s.openParquet(ctx, in)
	if err != nil {
		return driver.Table{}, err
	}
	if len(p.fields) == 0 {
		return driver.Table{}, driver.E(driver.ErrUnsupported, nil, "%s has no columns", in.entry.path)
	}
	table := driver.Table{RowEstimate: p.rows}
	for _, f := range p.fields {
		c := driver.Column{Name: f.name, Type: f.driverType(), SourceType: f.String(), Nullable: f.nullable}
		if f.kind == leafField {
			c.Sampled = f.leaf.value.means == isNothing
			if f.leaf.value.means == isClock && f.leaf.value.utc {
				c.Comment = "in UTC"
			}
			if f.leaf.value.means == isMoment && f.leaf.value.unit == arrow.Millisecond {
				c.Grain = time.Millisecond
			}
		}
		table.Columns = append(table.Columns, c)
	}
	return table, nil
}

// column reads one of a table's columns, batch by batch.
type column interface {
	load(rows int64) error
	array(rows int) (a arrow.Array, row int, err error)
	release()
}

// column returns the reader of a field as a column of the type.
func (p *parquetFile) column(f *field, to driver.Type) (column, error) {
	if err := p.readable(f, math.MaxInt); err != nil {
		return nil, err
	}
	if f.kind == leafField {
		return newFlat(newColumnReader(p, f.leaf, isPlainText(f.leaf, to)), to), nil
	}
	columns := make([]*columnReader, len(f.leaves))
	for i, l := range f.leaves {
		columns[i] = newColumnReader(p, l, false)
	}
	return newNested(f, columns, to)
}

// readParquet yields t's columns.
func (s *source) readParquet(ctx context.Context, in *input, t driver.Table, yield func(driver.Batch) error) error {
	p, err := s.openParquet(ctx, in)
	if err != nil {
		return err
	}
	columns := make([]column, 0, len(t.Columns))
	defer func() {
		for _, c := range columns {
			c.release()
		}
	}()
	for _, c := range t.Columns {
		at := slices.IndexFunc(p.fields, func(f *field) bool { return f.name == c.Name })
		if at < 0 {
			return driver.E(driver.ErrNotFound, nil, "%s has no column %q any more; discover the schema again", in.entry.path, c.Name)
		}
		if err := guard(in, func() error {
			reader, err := p.column(p.fields[at], c.Type)
			if err == nil {
				columns = append(columns, reader)
			}
			return err
		}); err != nil {
			return err
		}
	}
	size, schema := min(int64(s.limits.BatchRows), max(1, s.limits.BatchBytes/max(1, p.bytes))), driver.ArrowSchema(t)
	for before := int64(0); before < p.rows; {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows := min(size, p.rows-before)
		record, err := readBatch(in, t, schema, columns, before, rows)
		if err != nil {
			return err
		}
		before += rows
		if err := yield(driver.Batch{Record: record, Bytes: p.bytes * rows}); err != nil {
			return err
		}
	}
	return nil
}

// readBatch reads the next rows. before is how many rows came before them.
func readBatch(in *input, t driver.Table, schema *arrow.Schema, columns []column, before, rows int64) (arrow.RecordBatch, error) {
	arrays := make([]arrow.Array, 0, len(columns))
	defer func() {
		for _, a := range arrays {
			a.Release()
		}
	}()
	for i, c := range t.Columns {
		var wrong error
		row := 0
		err := guard(in, func() error {
			if err := columns[i].load(rows); err != nil {
				return err
			}
			a, at, err := columns[i].array(int(rows))
			row, wrong = at, err
			if err == nil {
				arrays = append(arrays, a)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if wrong != nil {
			return nil, misfit(in, c, before+int64(row)+1, wrong)
		}
		if a := arrays[i]; int64(a.Len()) != rows || !c.Nullable && a.NullN() > 0 {
			return nil, driver.E(driver.ErrBadData, nil, "%s is a damaged Parquet file: column %q has %d values and %d NULLs in %d rows", in.entry.path, c.Name, a.Len(), a.NullN(), rows)
		}
	}
	return array.NewRecordBatch(schema, arrays, rows), nil
}

// misfit is the error for a value of a column, with what helps.
func misfit(in *input, c driver.Column, row int64, wrong error) error {
	help := ""
	switch {
	case strings.Contains(c.SourceType, "<") || c.SourceType == "variant": // no text is better
	case wrong == errNoText:
		help = fmt.Sprintf("; set connection_config.column_types.%s to \"bytes\"", c.Name)
	case c.Type.Kind != driver.String:
		help = fmt.Sprintf("; set connection_config.column_types.%s to \"string\"", c.Name)
	}
	switch wrong {
	case errNoText, errNoJSON, errNoClock, errNoValue, errNoVariant:
		return driver.E(driver.ErrBadData, nil, "%s, row %d: column %q (%s) holds %v%s", in.entry.path, row, c.Name, c.SourceType, wrong, help)
	}
	return driver.E(driver.ErrBadData, nil, "%s, row %d: column %q (%s) holds a value that %s cannot hold unchanged%s", in.entry.path, row, c.Name, c.SourceType, c.Type, help)
}
