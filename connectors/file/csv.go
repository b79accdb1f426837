package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// csvFile decodes the blocks of one CSV file.
type csvFile struct {
	dialect
	input   *input
	source  *source
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

// csvFile opens a CSV file. The rows are what follows in the input.
func (s *source) csvFile(in *input) (*csvFile, error) {
	d, err := s.dialect(in)
	if err != nil {
		return nil, err
	}
	if _, err := in.Discard(d.skip); err != nil {
		return nil, in.failed(in.ctx, err)
	}
	f := &csvFile{dialect: d, input: in, source: s, limits: s.limits, decimal: s.settings.Decimal == ","}
	if f.format, err = parseFormat(s.settings.DateFormat); err != nil {
		return nil, err
	}
	if s.settings.BadRows == skip {
		f.skips = &allSkips{}
	}
	for _, v := range s.settings.NullValues {
		f.nulls = append(f.nulls, []byte(v))
	}
	return f, nil
}

// null reports whether a cell means NULL, whatever the column's type.
func (f *csvFile) null(c cell) bool {
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
func (f *csvFile) rows(b block, bad *skips, each func(row int64, cells []cell, size int) error) (int64, error) {
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
		if err == errOpenQuote && f.input.grew() {
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
				bad.add(row, fmt.Sprintf("%d fields instead of %d", len(d.cells), len(f.names)))
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
func (f *csvFile) fill(d *decoder) bool {
	if f.source.settings.RaggedRows != ragged {
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
func (f *csvFile) explain(err error, before int64, t driver.Table) error {
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
		return driver.E(at.kind, nil, "%s, row %d (after the header) has %d fields, the first row %d; check connection_config.delimiter and quote, or set ragged_rows to \"fill\" (with NULL), bad_rows to \"skip\", or skip_rows where lines stand before the header", f.input.entry.path, row, at.column, len(f.names))
	case errLongRow:
		return driver.E(at.kind, nil, "%s, row %d is longer than %d bytes; a quote may be missing", f.input.entry.path, row, f.limits.MaxRowBytes)
	case records.ErrMisfit:
		c := t.Columns[at.column]
		if c.Type.Kind == driver.JSON {
			return driver.E(at.kind, nil, "%s, row %d: column %q holds a value that is not JSON; set connection_config.column_types.%s to \"string\"", f.input.entry.path, row, c.Name, c.Name)
		}
		return driver.E(at.kind, nil, "%s, row %d: column %q holds a value that is not %s (or not UTF-8); set connection_config.sample_rows to -1 to have every row looked at, or connection_config.column_types.%s to \"string\"", f.input.entry.path, row, c.Name, c.Type, c.Name)
	}
	return driver.E(at.kind, nil, "%s, row %d: %v", f.input.entry.path, row, at.err)
}

// decoded is the rows of one block.
type decoded struct {
	batch driver.Batch
	rows  int64
	bad   skips
	err   error
}

// readCSV yields the rows of t's columns.
func (s *source) readCSV(ctx context.Context, in *input, t driver.Table, yield func(driver.Batch) error) error {
	f, err := s.csvFile(in)
	if err != nil {
		return err
	}
	return s.readRows(ctx, f, t, yield)
}

// readRows yields the rows of a file, or of a part of it.
func (s *source) readRows(ctx context.Context, f *csvFile, t driver.Table, yield func(driver.Batch) error) error {
	in := f.input
	target := make([]int, len(f.names)) // place in t, or -1
	for i, name := range f.names {
		target[i] = slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == name })
	}
	convert := make([]bool, len(t.Columns))
	for i, c := range t.Columns {
		if !slices.Contains(f.names, c.Name) {
			return driver.E(driver.ErrNotFound, nil, "%s has no column %q any more; discover the schema again", in.entry.path, c.Name)
		}
		convert[i] = f.converts(c.Type)
	}
	f.drops = f.head.proven(t, target)
	exact := s.sampled(in, t)
	unlimited := s.limits
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
	decode := func(f *csvFile, b block) decoded {
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
	err := eachBlock(ctx, f, decode, func(out decoded) error { return out.err }, func(f *csvFile, out decoded) error {
		if out.err != nil {
			return f.explain(out.err, f.done, t)
		}
		if f.skips != nil {
			f.skips.merge(out.bad, f.done)
		}
		f.done += out.rows
		f.repeats += out.bad.repeats
		return sliced(out.batch, s.limits.BatchRows, yield)
	}, func(out decoded) {
		if out.batch.Record != nil {
			out.batch.Record.Release()
		}
	})
	if err != nil {
		return err
	}
	if notes := slices.DeleteFunc([]string{f.skips.note(in.entry.path), f.repeatedHeader()}, func(s string) bool { return s == "" }); len(notes) > 0 {
		return yield(noted(t, notes...))
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
