package csv

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
	"headwater/connectors/records"
)

// sniffed is what one block says about the types.
type sniffed struct {
	columns []records.Sniffer
	rows    int64
	bytes   int64
	bad     skips
	err     error
}

// Discover finds the columns and their types, and reads as far as the settings
// say. The table has no name.
func Discover(ctx context.Context, in *input.Input) (driver.Table, error) {
	f, err := Open(in)
	if err != nil {
		return driver.Table{}, err
	}
	columns, rows, whole, err := f.types(ctx)
	if err != nil {
		return driver.Table{}, err
	}
	if f.repeats > 0 {
		in.Note(fmt.Sprintf("%s has its header again amid its rows. Such rows are left out where a column that is no text proves that they are none, and land where all columns are text.", in.Name))
	}
	table := driver.Table{RowEstimate: rows.rows, Notes: in.Notes, Blank: rows.rows == 0}
	if !whole {
		table.RowEstimate = in.Estimate(rows.rows, rows.bytes)
	}
	for i, name := range f.names {
		switch {
		case !utf8.ValidString(name):
			return table, driver.E(driver.ErrBadData, nil, "%s: the name of column %d is not UTF-8", in.Name, i+1)
		case strings.IndexByte(name, 0) >= 0:
			return table, driver.E(driver.ErrBadData, nil, "%s: the name of column %d has a NUL byte", in.Name, i+1)
		}
		c := driver.Column{Name: name, Type: columns[i].Type(), SourceType: "text", Nullable: true, Sampled: true}
		if !columns[i].Seen() {
			c.SourceType = driver.Unseen
		}
		table.Columns = append(table.Columns, c)
	}
	return table, nil
}

// types looks at the values as far as the settings say, and returns what it
// counted and whether that is all of the file.
func (f *File) types(ctx context.Context) (columns []records.Sniffer, seen sniffed, whole bool, err error) {
	sample := f.input.Settings.SampleRows
	limit := int64(math.MaxInt64)
	if sample > 0 {
		limit = sample
	}
	f.drops = true // or the names would make text of what proves that they are names
	sniff := func(f *File, b block) sniffed {
		out := sniffed{columns: make([]records.Sniffer, len(f.names))}
		var scratch []byte
		out.rows, out.err = f.rows(b, &out.bad, func(row int64, cells []cell, size int) error {
			if row > limit {
				return input.ErrStopped
			}
			out.bytes += int64(size)
			for i, c := range cells {
				if !f.null(c) && len(c.text) > 0 {
					out.columns[i].Text(f.converted(&scratch, c.text))
				}
			}
			return nil
		})
		return out
	}
	columns, whole = make([]records.Sniffer, len(f.names)), true
	err = eachBlock(ctx, f, sniff, func(out sniffed) error { return out.err }, func(f *File, out sniffed) error {
		if out.err != nil && out.err != input.ErrStopped {
			return f.explain(out.err, f.done, driver.Table{})
		}
		for i := range columns {
			columns[i].Merge(out.columns[i])
		}
		f.done += out.rows
		f.repeats += out.bad.repeats
		seen.bytes += out.bytes
		seen.rows = f.done
		if out.err == input.ErrStopped || sample == 0 && seen.bytes >= input.SampleBytes || sample > 0 && f.done >= sample {
			whole = false
			return input.ErrStopped
		}
		return nil
	}, func(sniffed) {})
	if err == input.ErrStopped {
		err = nil
	}
	return columns, seen, whole, err
}

// converted returns a value as the types are found and read by: with a decimal
// point, and days in ISO 8601, where the settings say how the file writes them.
func (f *File) converted(scratch *[]byte, v []byte) []byte {
	if f.format.layout != "" {
		if iso := f.format.iso((*scratch)[:0], v); iso != nil {
			*scratch = iso
			return iso
		}
	}
	if f.decimal {
		if *scratch = slices.Grow((*scratch)[:0], len(v)); len(v) > 0 {
			return plainNumber(*scratch, v)
		}
	}
	return v
}

// converts reports whether values of a type are converted before they are read.
func (f *File) converts(t driver.Type) bool {
	switch t.Kind {
	case driver.Date, driver.Timestamp, driver.TimestampTZ:
		return f.format.layout != ""
	case driver.Int32, driver.Int64, driver.Float32, driver.Float64, driver.Decimal:
		return f.decimal
	}
	return false
}
