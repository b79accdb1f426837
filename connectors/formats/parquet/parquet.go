// Package parquet makes rows of Parquet files: the library reads pages and levels,
// what values mean is decided here.
package parquet

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
	"headwater/connectors/formats/input"
)

// maxInMemory bounds a Parquet file that has to be held in memory because it is
// compressed as a whole.
const maxInMemory = 256 << 20

// guard turns a panic of the Parquet library, which trusts its files, into an
// error, and gives errors their kind.
func guard(in *input.Input, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = driver.E(driver.ErrBadData, fmt.Errorf("%v", r), "%s is a damaged Parquet file", in.Name)
		}
	}()
	err = f()
	var typed *driver.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typed):
		return driver.E(typed.Kind, typed.Cause, "%s: %s", in.Name, typed.Message)
	case strings.Contains(err.Error(), "exceeds configured limit"):
		return driver.E(driver.ErrLimit, err, "%s has a page that is too large", in.Name)
	}
	return driver.E(driver.ErrBadData, err, "%s is a damaged Parquet file", in.Name)
}

// Open reads the footer. A file whose bytes cannot be read at random is held in
// memory; more than 256 MiB of one are an ErrLimit.
func Open(in *input.Input) (*File, error) {
	at, size := in.Random()
	if at == nil {
		data, err := held(in, maxInMemory)
		if err != nil {
			return nil, err
		}
		at, size = bytes.NewReader(data), int64(len(data))
	}
	var p *File
	err := guard(in, func() (err error) {
		p, err = newFile(io.NewSectionReader(at, 0, size))
		return err
	})
	if err != nil {
		return nil, err
	}
	if p.in = in; len(p.fields) == 0 {
		return nil, driver.E(driver.ErrUnsupported, nil, "%s has no columns", in.Name)
	}
	return p, nil
}

// held returns the bytes of a file that is read from its beginning to its end, of
// which it may have so many.
func held(in *input.Input, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, in.Failed(err)
	}
	switch {
	case int64(len(data)) <= most:
		return data, nil
	case in.Compression == "":
		return nil, driver.E(driver.ErrLimit, nil, "%s has more than %d bytes and comes from where it cannot be read at random, as Parquet has to be", in.Name, most)
	}
	return nil, driver.E(driver.ErrLimit, nil, "%s has more than %d bytes; decompress it, Parquet is compressed inside", in.Name, most)
}

// File is an open file and the fields of its rows.
type File struct {
	*pqfile.Reader
	in     *input.Input
	source io.ReaderAt
	fields []*field
	rows   int64 // of all row groups
	bytes  int64 // of a row, uncompressed, about
}

func newFile(r parquet.ReaderAtSeeker) (*File, error) {
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
	p := &File{Reader: file, source: r}
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

// Names returns the names of the columns.
func (p *File) Names() []string {
	names := make([]string, len(p.fields))
	for i, f := range p.fields {
		names[i] = f.name
	}
	return names
}

// Discover returns the columns that the footer says, without a name of the table.
func Discover(in *input.Input) (driver.Table, error) {
	p, err := Open(in)
	if err != nil {
		return driver.Table{}, err
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
func (p *File) column(f *field, to driver.Type) (column, error) {
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

// Read yields the rows of t's columns.
func Read(ctx context.Context, in *input.Input, t driver.Table, yield func(driver.Batch) error) error {
	p, err := Open(in)
	if err != nil {
		return err
	}
	return p.Read(ctx, t, yield)
}

// Read yields the rows of t's columns, of which the file must have all. It ends
// with the first error of yield, which releases what it gets.
func (p *File) Read(ctx context.Context, t driver.Table, yield func(driver.Batch) error) error {
	in := p.in
	columns := make([]column, 0, len(t.Columns))
	defer func() {
		for _, c := range columns {
			c.release()
		}
	}()
	for _, c := range t.Columns {
		at := slices.IndexFunc(p.fields, func(f *field) bool { return f.name == c.Name })
		if at < 0 {
			return driver.E(driver.ErrNotFound, nil, "%s has no column %q any more; discover the schema again", in.Name, c.Name)
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
	size, schema := min(int64(in.Limits.BatchRows), max(1, in.Limits.BatchBytes/max(1, p.bytes))), driver.ArrowSchema(t)
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
func readBatch(in *input.Input, t driver.Table, schema *arrow.Schema, columns []column, before, rows int64) (arrow.RecordBatch, error) {
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
			return nil, driver.E(driver.ErrBadData, nil, "%s is a damaged Parquet file: column %q has %d values and %d NULLs in %d rows", in.Name, c.Name, a.Len(), a.NullN(), rows)
		}
	}
	return array.NewRecordBatch(schema, arrays, rows), nil
}

// misfit is the error for a value of a column, with what helps.
func misfit(in *input.Input, c driver.Column, row int64, wrong error) error {
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
		return driver.E(driver.ErrBadData, nil, "%s, row %d: column %q (%s) holds %v%s", in.Name, row, c.Name, c.SourceType, wrong, help)
	}
	return driver.E(driver.ErrBadData, nil, "%s, row %d: column %q (%s) holds a value that %s cannot hold unchanged%s", in.Name, row, c.Name, c.SourceType, c.Type, help)
}
