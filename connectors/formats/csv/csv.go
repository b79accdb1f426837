// Package csv makes rows of CSV text. Blocks of it are decoded several at a time;
// dialect and types are found by its head.
package csv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
	"headwater/connectors/records"
)

// File is one CSV file whose dialect is known.
type File struct {
	dialect
	input   *input.Input
	rest    io.Reader // what is left of the input, where that is not all of it
	nulls   [][]byte
	limits  driver.Limits
	skips   *allSkips // of rows that cannot be read; nil where they fail
	format  format
	decimal bool  // numbers have a decimal comma
	done    int64 // rows of the blocks before
	repeats int64 // of them, that are the header once more
	drops   bool  // those are no rows
	// before counts the rows before the part that is read, to say which row is
	// wrong; nil where the whole file is read.
	before func() (int64, error)
}

// Open finds the dialect of a CSV file by its settings and its head. The rows are
// what follows in the input. Errors are typed and name the file.
func Open(in *input.Input) (*File, error) {
	d, err := findDialect(in)
	if err != nil {
		return nil, err
	}
	if _, err := in.Discard(d.skip); err != nil {
		return nil, in.Failed(err)
	}
	f := &File{dialect: d, input: in, limits: in.Limits, decimal: in.Settings.Decimal == ","}
	if f.format, err = parseFormat(in.Settings.DateFormat); err != nil {
		return nil, err
	}
	if in.Settings.BadRows == input.Skip {
		f.skips = &allSkips{}
	}
	for _, v := range in.Settings.NullValues {
		f.nulls = append(f.nulls, []byte(v))
	}
	return f, nil
}

// null reports whether a cell means NULL, whatever the column's type.
func (f *File) null(c cell) bool {
	if c.quoted {
		return false
	}
	return len(c.text) == 0 || len(f.nulls) > 0 && slices.ContainsFunc(f.nulls, func(v []byte) bool { return bytes.Equal(v, c.text) })
}

// rowError is what is wrong in a row of a block. Rows count from 1.
type rowError struct {
	row    int64
	column int // -1 is none
	kind   error
	err    error
}

func (e *rowError) Error() string { return e.err.Error() }

// rows decodes a block and gives each record to each, with its length. What is
// skipped of them goes to bad.
func (f *File) rows(b block, bad *skips, each func(row int64, cells []cell, size int) error) (int64, error) {
	d := decoder{comma: f.dialect.comma, quote: f.quote}
	block := b.data
	nul := bytes.IndexByte(block, 0) >= 0
	skip := b.first && f.header
	var row int64
	for len(block) > 0 {
		n, err := d.next(block)
		if err == nil && nul && bytes.IndexByte(block[:n], 0) >= 0 {
			err = errNUL
		}
		if err == errOpenQuote && b.short {
			return row, &rowError{row + 1, -1, driver.ErrLimit, errLongRow}
		}
		if err == errOpenQuote && f.input.Growing() {
			return row, nil // it is being written
		}
		if err != nil {
			return row, &rowError{row + 1, -1, driver.ErrBadData, err}
		}
		block = block[n:]
		if len(d.cells) == 0 {
			if skip || len(f.names) != 1 {
				continue
			}
			d.cells = append(d.cells, cell{}) // a line is all that a row of one column has
		}
		if skip {
			skip = false
			continue
		}
		row++
		if len(d.cells) != len(f.names) && !f.fill(&d) {
			if f.skips != nil {
				bad.add(row, fmt.Sprintf("%s instead of %d", driver.Count(len(d.cells), "field"), len(f.names)))
				continue
			}
			return row, &rowError{row, len(d.cells), driver.ErrBadData, errRagged}
		}
		if int64(n) > f.limits.MaxRowBytes {
			return row, &rowError{row, -1, driver.ErrLimit, errLongRow}
		}
		if bad != nil && f.head.again(d.cells) {
			if bad.repeats++; f.drops {
				continue
			}
		}
		if err := each(row, d.cells, n); err != nil {
			return row, err
		}
	}
	return row, nil
}

// fill makes a row of another length one like the others, where the settings
// say so and nothing of it is lost.
func (f *File) fill(d *decoder) bool {
	if f.input.Settings.RaggedRows != input.Fill {
		return false
	}
	for len(d.cells) < len(f.names) {
		d.cells = append(d.cells, cell{})
	}
	for _, c := range d.cells[len(f.names):] {
		if len(c.text) > 0 {
			return false
		}
	}
	d.cells = d.cells[:len(f.names)]
	return true
}

var errRagged = errors.New("wrong number of fields")

// explain makes an error of a row for people. before is how many rows came in
// earlier blocks.
func (f *File) explain(err error, before int64, t driver.Table) error {
	var at *rowError
	if !errors.As(err, &at) {
		return err
	}
	row := before + at.row
	if f.before != nil {
		n, err := f.before()
		if err != nil {
			return err
		}
		row += n
	}
	switch at.err {
	case errRagged:
		return driver.E(at.kind, nil, "%s, row %d (after the header) has %s, the first row %d; check connection_config.delimiter and quote, or set ragged_rows to \"fill\" (with NULL), bad_rows to \"skip\", or skip_rows where lines stand before the header", f.input.Name, row, driver.Count(at.column, "field"), len(f.names))
	case errLongRow:
		return driver.E(at.kind, nil, "%s, row %d is longer than %d bytes; a quote may be missing", f.input.Name, row, f.limits.MaxRowBytes)
	case records.ErrMisfit:
		c := t.Columns[at.column]
		if c.Type.Kind == driver.JSON {
			return driver.E(at.kind, nil, "%s, row %d: column %q holds a value that is not JSON; set connection_config.column_types.%s to \"string\"", f.input.Name, row, c.Name, c.Name)
		}
		if c.Type.Kind == driver.String {
			return driver.E(at.kind, nil, "%s, row %d: column %q holds text that is not UTF-8; set connection_config.encoding to what it is, such as \"windows-1252\", or bad_rows to \"skip\"", f.input.Name, row, c.Name)
		}
		return driver.E(at.kind, nil, "%s, row %d: column %q holds a value that is not %s (or not UTF-8); set connection_config.sample_rows to -1 to have every row looked at, or connection_config.column_types.%s to \"string\"", f.input.Name, row, c.Name, c.Type, c.Name)
	}
	return driver.E(at.kind, nil, "%s, row %d: %v", f.input.Name, row, at.err)
}

// decoded is the rows of one block.
type decoded struct {
	batch driver.Batch
	rows  int64
	bad   skips
	err   error
}

// Names returns the names of the columns.
func (f *File) Names() []string { return f.names }

// Read yields the rows of t's columns.
func Read(ctx context.Context, in *input.Input, t driver.Table, yield func(driver.Batch) error) error {
	f, err := Open(in)
	if err != nil {
		return err
	}
	return f.Read(ctx, t, yield)
}

// Read yields the rows of a file, or of a part of it, in t's columns, of which the
// file must have all. It ends with the first error of yield; what yield gets it
// releases. It decodes several blocks at a time.
func (f *File) Read(ctx context.Context, t driver.Table, yield func(driver.Batch) error) error {
	in := f.input
	target := make([]int, len(f.names)) // place in t, or -1
	for i, name := range f.names {
		target[i] = slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == name })
	}
	convert := make([]bool, len(t.Columns))
	for i, c := range t.Columns {
		if !slices.Contains(f.names, c.Name) {
			return driver.E(driver.ErrNotFound, nil, "%s has no column %q any more; discover the schema again", in.Name, c.Name)
		}
		convert[i] = f.converts(c.Type)
	}
	f.drops = f.head.proven(t, target)
	exact := sampled(in, t)
	unlimited := f.limits
	unlimited.BatchRows = math.MaxInt
	unlimited.BatchBytes = math.MaxInt64
	// Builders are used again: they begin with the room that they had.
	builders := make(chan *records.Builder, maxWorkers)
	defer func() {
		for close(builders); ; {
			b, ok := <-builders
			if !ok {
				return
			}
			b.Release()
		}
	}()
	decode := func(f *File, b block) decoded {
		var builder *records.Builder
		select {
		case builder = <-builders:
		default:
			builder = records.NewBuilder(t, unlimited)
			for _, at := range exact {
				builder.Exact(at)
			}
		}
		defer func() { builders <- builder }()
		var out decoded
		var scratch []byte
		var misfits []int64
		out.rows, out.err = f.rows(b, &out.bad, func(row int64, cells []cell, size int) error {
			fits := true
			for i, c := range cells {
				at := target[i]
				if at < 0 {
					continue
				}
				if f.null(c) || len(c.text) == 0 && !holdsEmpty(t.Columns[at].Type) {
					builder.Null(at)
					continue
				}
				text := c.text
				if convert[at] {
					text = f.converted(&scratch, text)
				}
				if err := builder.Text(at, text); err != nil && f.skips == nil {
					return &rowError{row, at, driver.ErrBadData, err}
				} else if err != nil {
					builder.Null(at)
					if fits {
						fits = false
						misfits = append(misfits, int64(builder.Rows()))
						out.bad.add(row, fmt.Sprintf("column %q holds a value that is not %s", t.Columns[at].Name, t.Columns[at].Type))
					}
				}
			}
			builder.EndRow(int64(size))
			return nil
		})
		out.batch = builder.Batch() // also of a block that is read again
		if out.err != nil {
			out.batch.Record.Release()
			out.batch.Record = nil
			return out
		}
		out.err = without(ctx, &out.batch, misfits)
		builder.Reserve(int(out.rows))
		return out
	}
	err := eachBlock(ctx, f, decode, func(out decoded) error { return out.err }, func(f *File, out decoded) error {
		if out.err != nil {
			return f.explain(out.err, f.done, t)
		}
		if f.skips != nil {
			f.skips.merge(out.bad, f.done)
		}
		f.done += out.rows
		f.repeats += out.bad.repeats
		return sliced(out.batch, f.limits.BatchRows, yield)
	}, func(out decoded) {
		if out.batch.Record != nil {
			out.batch.Record.Release()
		}
	})
	if err != nil {
		return err
	}
	if notes := slices.DeleteFunc([]string{f.skips.note(in.Name), f.repeatedHeader()}, func(s string) bool { return s == "" }); len(notes) > 0 {
		return yield(records.Noted(t, notes...))
	}
	return nil
}

// sliced yields a batch in pieces of at most so many rows, and releases it.
func sliced(b driver.Batch, rows int, yield func(driver.Batch) error) error {
	defer b.Record.Release()
	n := b.Record.NumRows()
	for from := int64(0); from < n; {
		to := min(from+int64(rows), n)
		piece := driver.Batch{Record: b.Record.NewSlice(from, to), Bytes: b.Bytes * (to - from) / n}
		if err := yield(piece); err != nil {
			return err
		}
		from = to
	}
	return nil
}
