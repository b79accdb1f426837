package landing

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
)

// passKeys is about how many keys are in memory at a time. A commit with more
// goes over the files more than once.
const passKeys = 2 << 20

// place is where the newest row of a key is, among the pending files.
type place struct {
	file int32
	row  int64
}

// merge finds the rows that a commit to the table as it was loaded removes: the
// landed rows of the keys of the pending ones, and of pending rows of one key
// all but the last.
type merge struct {
	w       *Writer
	keys    *keyColumns
	read    []iceberg.NestedField // the key's, and the one that says deleted
	pending []iceberg.DataFile
	live    []iceberg.DataFile // that the commit keeps
	gone    positions
	doomed  positions
	parts   int // that the keys are divided into
	sieve   sieve
}

// merging reports whether a commit has to look for rows to remove.
func (w *Writer) merging(live []iceberg.DataFile) bool {
	if !w.target.Merge && w.overlap == nil {
		return false
	}
	// Ranges of one table hold each row once: that is the contract of a Scan.
	return len(live) > 0 || len(w.added) > 0 || w.target.Deleted != ""
}

// doomedRows returns the positions that a commit of what is pending removes
// from its own files and from the live ones, where gone is removed already.
func (w *Writer) doomedRows(ctx context.Context, live []iceberg.DataFile, gone positions) (positions, error) {
	keys, err := keyOf(w.schema, w.target.Key)
	if err != nil {
		return nil, err
	}
	m := &merge{w: w, keys: keys, read: slices.Clone(keys.fields), pending: w.pending(), gone: gone, doomed: positions{}}
	if w.target.Deleted != "" {
		field, ok := w.schema.FindFieldByName(w.target.Deleted)
		if !ok {
			return nil, fmt.Errorf("%w: column %q is not in the table", ErrBadTable, w.target.Deleted)
		}
		m.read = append(m.read, field)
	}
	within := spansOf(m.pending, keys.fields)
	for _, f := range live {
		if !within.apart(f, keys.fields) {
			m.live = append(m.live, f)
		}
	}
	var rows int64
	for _, f := range m.pending {
		rows += f.Count()
	}
	m.parts = int(rows/w.lake.passKeys) + 1
	for part := range m.parts {
		newest := make(map[key]place, rows/int64(m.parts))
		m.sieve = newSieve(rows / int64(m.parts))
		for i, f := range m.pending {
			if err := m.take(ctx, part, int32(i), f, newest); err != nil {
				return nil, err
			}
		}
		for _, f := range m.live {
			if err := m.find(ctx, part, f, newest); err != nil {
				return nil, err
			}
		}
	}
	return m.doomed, nil
}

// take reads the keys of a pending file.
func (m *merge) take(ctx context.Context, part int, number int32, f iceberg.DataFile, newest map[key]place) error {
	return m.w.lake.columns(ctx, f.FilePath(), m.read, func(first int64, columns []arrow.Array) error {
		of, err := m.keys.of(columns[:len(m.keys.fields)])
		if err != nil {
			return err
		}
		deleted := func(int) bool { return false }
		if len(columns) > len(m.keys.fields) {
			deleted = deletedIn(columns[len(columns)-1])
		}
		for row := range columns[0].Len() {
			k, null := of(row)
			if null >= 0 {
				return fmt.Errorf("%w: column %q of the key holds NULL", ErrBadKey, m.keys.fields[null].Name)
			}
			mixed := k.mixed()
			if m.partOf(mixed) != part {
				continue
			}
			m.sieve.add(mixed)
			if before, ok := newest[k]; ok {
				m.doomed.add(m.pending[before.file].FilePath(), before.row)
			}
			at := place{number, first + int64(row)}
			if deleted(row) {
				m.doomed.add(f.FilePath(), at.row)
			}
			newest[k] = at
		}
		return nil
	})
}

// find looks for the keys in a live file.
func (m *merge) find(ctx context.Context, part int, f iceberg.DataFile, newest map[key]place) error {
	name := f.FilePath()
	gone := m.gone[name]
	return m.w.lake.columns(ctx, name, m.keys.fields, func(first int64, columns []arrow.Array) error {
		of, err := m.keys.of(columns)
		if err != nil {
			return err
		}
		for row, n := 0, rowsOf(columns); row < n; row++ {
			k, null := of(row)
			if null >= 0 {
				continue
			}
			if mixed := k.mixed(); !m.sieve.mayHave(mixed) || m.partOf(mixed) != part {
				continue
			}
			if _, ok := newest[k]; ok && !gone.has(first+int64(row)) {
				m.doomed.add(name, first+int64(row))
			}
		}
		return nil
	})
}

// partOf returns which part of the keys one belongs to.
func (m *merge) partOf(mixed uint64) int { return int((mixed >> 32) % uint64(m.parts)) }

func rowsOf(columns []arrow.Array) int {
	for _, c := range columns {
		if c != nil {
			return c.Len()
		}
	}
	return 0
}

// deletedIn returns which rows a column says are deleted.
func deletedIn(column arrow.Array) func(int) bool {
	if column == nil {
		return func(int) bool { return false }
	}
	if b, ok := column.(*array.Boolean); ok {
		return func(row int) bool { return b.IsValid(row) && b.Value(row) }
	}
	return column.IsValid
}
