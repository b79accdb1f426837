package tpch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cespare/xxhash/v2"
)

// Sums is what is compared of a table: how many rows it has, and for each column the
// sum of the hashes of its values, each with its row's key. The order of rows does
// not matter to it.
type Sums struct {
	Rows    int64
	Columns []uint64
}

// Compare names the columns of a table that differ.
func (s Sums) Compare(t Table, want Sums) error {
	if s.Rows != want.Rows {
		return fmt.Errorf("%s has %d rows, want %d", t.Name, s.Rows, want.Rows)
	}
	var all []error
	for i, c := range t.Columns {
		if s.Columns[i] != want.Columns[i] {
			all = append(all, fmt.Errorf("%s.%s has other values", t.Name, c.Name))
		}
	}
	return errors.Join(all...)
}

// adder adds rows to the sums of a table.
type adder struct {
	Sums
	keys   []int
	padded []bool // char(n), whose blanks at the end mean nothing
	buffer []byte
}

func newAdder(t Table) *adder {
	a := &adder{Sums: Sums{Columns: make([]uint64, len(t.Columns))}, keys: t.keys()}
	for _, c := range t.Columns {
		a.padded = append(a.padded, strings.HasPrefix(c.Type, "char("))
	}
	return a
}

// row adds a row of values as PostgreSQL says them.
func (a *adder) row(values [][]byte) {
	a.Rows++
	b := a.buffer[:0]
	for _, k := range a.keys {
		b = append(append(b, values[k]...), '|')
	}
	key := len(b)
	for i, v := range values {
		if a.padded[i] {
			v = bytes.TrimRight(v, " ")
		}
		b = append(b[:key], v...)
		a.Columns[i] += xxhash.Sum64(b)
	}
	a.buffer = b
}

// Text returns the sums of rows as Write writes them and COPY's text is.
func (t Table) Text(r io.Reader) (Sums, error) {
	a, values := newAdder(t), make([][]byte, len(t.Columns))
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return a.Sums, nil
		}
		if err != nil {
			return a.Sums, fmt.Errorf("read %s: %w", t.Name, err)
		}
		rest, found := line[:len(line)-1], true
		for i := range values {
			if !found {
				return a.Sums, fmt.Errorf("a row of %s has %d columns", t.Name, i)
			}
			values[i], rest, found = bytes.Cut(rest, []byte{'\t'})
		}
		if found {
			return a.Sums, fmt.Errorf("a row of %s has more than %d columns", t.Name, len(values))
		}
		a.row(values)
	}
}

// Landed returns the sums of rows that landed in a lake, whose columns may be in any
// order.
func (t Table) Landed(batches iter.Seq2[arrow.RecordBatch, error]) (Sums, error) {
	a, values := newAdder(t), make([][]byte, len(t.Columns))
	columns := make([]arrow.Array, len(t.Columns))
	for batch, err := range batches {
		if err != nil {
			return a.Sums, err
		}
		for i, c := range t.Columns {
			at := batch.Schema().FieldIndices(c.Name)
			if len(at) != 1 {
				return a.Sums, fmt.Errorf("%d columns are called %s.%s", len(at), t.Name, c.Name)
			}
			columns[i] = batch.Column(at[0])
		}
		for row := range int(batch.NumRows()) {
			for i, c := range columns {
				if values[i], err = said(values[i][:0], c, row); err != nil {
					return a.Sums, fmt.Errorf("%s.%s: %w", t.Name, t.Columns[i].Name, err)
				}
			}
			a.row(values)
		}
	}
	return a.Sums, nil
}

// said appends a value as PostgreSQL says it.
func said(b []byte, column arrow.Array, row int) ([]byte, error) {
	if column.IsNull(row) {
		return append(b, `\N`...), nil
	}
	switch a := column.(type) {
	case *array.Int32:
		return strconv.AppendInt(b, int64(a.Value(row)), 10), nil
	case *array.Int64:
		return strconv.AppendInt(b, a.Value(row), 10), nil
	case *array.Decimal128:
		n := a.Value(row)
		if scale := a.DataType().(*arrow.Decimal128Type).Scale; scale != 2 || n.HighBits() != int64(n.LowBits())>>63 {
			return append(b, n.ToString(scale)...), nil
		}
		return appendCents(b, int64(n.LowBits())), nil
	case *array.Date32:
		return a.Value(row).ToTime().AppendFormat(b, time.DateOnly), nil
	case *array.String:
		return append(b, a.Value(row)...), nil
	case *array.LargeString:
		return append(b, a.Value(row)...), nil
	}
	return b, fmt.Errorf("landed as %s, which is not compared", column.DataType())
}

// appendCents appends an amount in hundredths.
func appendCents(b []byte, n int64) []byte {
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	b = strconv.AppendInt(b, n/100, 10)
	return append(b, '.', byte('0'+n%100/10), byte('0'+n%10))
}
