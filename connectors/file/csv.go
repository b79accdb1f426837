package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// sampleBytes is how much of a file decides its types when the settings do not
// say how many rows.
const sampleBytes = 64 << 20

// csvFile decodes the blocks of one CSV file.
type csvFile struct {
	dialect
	input  *input
	nulls  [][]byte
	limits driver.Limits
	// before counts the rows before the part that is read, to say which row is
	// wrong; nil where the whole file is read.
	before func() (int64, error)
}

func (s *source) csvFile(in *input) (*csvFile, error) {
	d, err := s.dialect(in)
	if err != nil {
		return nil, err
	}
	f := &csvFile{dialect: d, input: in, limits: s.limits}
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

// rows decodes a block and gives each record to each, with its length.
func (f *csvFile) rows(b block, each func(row int64, cells []cell, size int) error) (int64, error) {
	d := decoder{comma: f.comma, quote: f.quote}
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
		if err != nil {
			return row, &rowError{row + 1, -1, driver.ErrBadData, err}
		}
		block = block[n:]
		if len(d.cells) == 0 {
			continue
		}
		if skip {
			skip = false
			continue
		}
		row++
		if len(d.cells) != len(f.names) {
			return row, &rowError{row, len(d.cells), driver.ErrBadData, errRagged}
		}
		if int64(n) > f.limits.MaxRowBytes {
			return row, &rowError{row, -1, driver.ErrLimit, errLongRow}
		}
		if err := each(row, d.cells, n); err != nil {
			return row, err
		}
	}
	return row, nil
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
		return driver.E(at.kind, nil, "%s, row %d (after the header) has %d fields, the first row %d; check connection_config.delimiter and quote", f.input.entry.path, row, at.column, len(f.names))
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

// sniffed is what one block says about the types.
type sniffed struct {
	columns []records.Sniffer
	rows    int64
	bytes   int64
	err     error
}

// discoverCSV finds the columns' types.
func (s *source) discoverCSV(ctx context.Context, in *input) (driver.Table, error) {
	f, err := s.csvFile(in)
	if err != nil {
		return driver.Table{}, err
	}
	sniff := func(b block) sniffed {
		out := sniffed{columns: make([]records.Sniffer, len(f.names))}
		limit := int64(math.MaxInt64)
		if s.settings.SampleRows > 0 {
			limit = s.settings.SampleRows
		}
		out.rows, out.err = f.rows(b, func(row int64, cells []cell, size int) error {
			if row > limit {
				return errLeft
			}
			out.bytes += int64(size)
			for i, c := range cells {
				if !f.null(c) && len(c.text) > 0 {
					out.columns[i].Text(c.text)
				}
			}
			return nil
		})
		return out
	}
	columns := make([]records.Sniffer, len(f.names))
	var rows, bytes int64
	whole := true
	err = inOrder(ctx, newSplitter(in, f.quote, s.limits), sniff, func(out sniffed) error {
		if out.err != nil && out.err != errLeft {
			return f.explain(out.err, rows, driver.Table{})
		}
		for i := range columns {
			columns[i].Merge(out.columns[i])
		}
		rows += out.rows
		bytes += out.bytes
		if out.err == errLeft || s.settings.SampleRows == 0 && bytes >= sampleBytes || s.settings.SampleRows > 0 && rows >= s.settings.SampleRows {
			whole = false
			return errLeft
		}
		return nil
	}, func(sniffed) {})
	if err != nil && err != errLeft {
		return driver.Table{}, err
	}
	table := driver.Table{RowEstimate: rows}
	if !whole {
		table.RowEstimate = in.estimate(rows, bytes)
	}
	for i, name := range f.names {
		if !utf8.ValidString(name) {
			return table, driver.E(driver.ErrBadData, nil, "%s: the name of column %d is not UTF-8", in.entry.path, i+1)
		}
		table.Columns = append(table.Columns, driver.Column{Name: name, Type: columns[i].Type(), SourceType: "text", Nullable: true})
	}
	return table, nil
}

// decoded is the rows of one block.
type decoded struct {
	batch driver.Batch
	rows  int64
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
	for _, c := range t.Columns {
		if !slices.Contains(f.names, c.Name) {
			return driver.E(driver.ErrNotFound, nil, "%s has no column %q any more; discover the schema again", in.entry.path, c.Name)
		}
	}
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
	decode := func(b block) decoded {
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
		out.rows, out.err = f.rows(b, func(row int64, cells []cell, size int) error {
			for i, c := range cells {
				at := target[i]
				if at < 0 {
					continue
				}
				if f.null(c) || len(c.text) == 0 && !holdsEmpty(t.Columns[at].Type) {
					builder.Null(at)
				} else if err := builder.Text(at, c.text); err != nil {
					return &rowError{row, at, driver.ErrBadData, err}
				}
			}
			builder.EndRow(int64(size))
			return nil
		})
		if out.err == nil {
			out.batch = builder.Batch()
			builder.Reserve(int(out.rows))
		}
		return out
	}
	var rows int64
	return inOrder(ctx, newSplitter(in, f.quote, s.limits), decode, func(out decoded) error {
		if out.err != nil {
			return f.explain(out.err, rows, t)
		}
		rows += out.rows
		return sliced(out.batch, s.limits.BatchRows, yield)
	}, func(out decoded) {
		if out.batch.Record != nil {
			out.batch.Record.Release()
		}
	})
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

// block is one part of a CSV file.
type block struct {
	data  []byte
	first bool // begins with the header
	short bool // ends within a row that is too long
}

// maxWorkers is how many blocks of a file are decoded at a time, at most.
const maxWorkers = 4

// inOrder gives the blocks of a file to work, several at a time, and their
// results to each in order. The results that each does not see go to discard.
// It returns when nothing runs any more: with the first error of each, or of
// reading.
func inOrder[T any](ctx context.Context, s *splitter, work func(block) T, each func(T) error, discard func(T)) error {
	type job struct {
		block block
		out   chan T
	}
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	stop := make(chan struct{})
	jobs := make(chan job)
	order := make(chan chan T, workers)
	finished := make(chan struct{}, workers)
	var readErr error
	go func() {
		defer close(order)
		defer close(jobs)
		for first := true; ; first = false {
			data, err := s.next()
			if err != nil && err != errLongRow {
				if err != io.EOF {
					readErr = err
				}
				return
			}
			j := job{block{data, first, err != nil}, make(chan T, 1)}
			select {
			case jobs <- j:
				order <- j.out
			case <-stop:
				return
			}
			if err != nil {
				readErr = err
				return
			}
		}
	}()
	for range workers {
		go func() {
			for j := range jobs {
				j.out <- work(j.block)
				s.recycle(j.block.data)
			}
			finished <- struct{}{}
		}()
	}
	var err error
	stopped := false
	for out := range order {
		result := <-out
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			discard(result)
		} else {
			err = each(result)
		}
		if err != nil && !stopped {
			stopped = true
			close(stop)
		}
	}
	for range workers {
		<-finished
	}
	if err == nil && readErr == errLongRow {
		err = driver.E(driver.ErrLimit, nil, "the file has a row that is longer than %d bytes; a quote may be missing", s.max)
	} else if err == nil {
		err = readErr
	}
	return err
}
