package landing

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"

	"headwater/connectors/driver"
	"headwater/handlers/landing/datafiles"
	"headwater/handlers/landing/mergekeys"
)

// passKeys is about how many keys are in memory at a time. A commit with more
// goes over the files more than once. One of changes takes an eighth of them: beside it
// a child reads on, and going over the keys again costs less than a map of them all.
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
	lake    *Lake // that reads the files
	keys    *mergekeys.Columns
	read    []iceberg.NestedField // the key's, and the one that says deleted
	pending []incoming
	older   int                // of pending, the first ones: live files, in the order in which they landed
	deleted int64              // rows of the others that are marked as deleted
	live    []iceberg.DataFile // that the commit keeps, and that hold one row of a key
	gone    datafiles.Positions
	doomed  datafiles.Positions
	at      func(k mergekeys.Key, name string, row int64) // where landed rows are to be told instead
	parts   int                                           // that the keys are divided into
	sieve   mergekeys.Sieve
	// alike are the keys of a pass that the source may take for one another, by
	// what they share; matched those of them that have landed before in the same
	// spelling; doubtful what a pending and a landed key share that differ. All
	// are nil where equal keys have one form.
	alike    map[mergekeys.Key][]mergekeys.Key
	matched  map[mergekeys.Key]bool
	doubtful map[mergekeys.Key]bool
}

// rereads reports whether rows that were read may have landed.
func (w *Writer) rereads() bool {
	if w.target.merges() || w.overlap != nil {
		return true
	}
	if len(w.target.Key) == 0 {
		return w.again.Unsure
	}
	return w.again.Again
}

// merging reports whether a commit has to look for rows to remove.
func (w *Writer) merging(live []iceberg.DataFile) bool {
	if !w.rereads() {
		return false
	}
	// Ranges of one table hold each row once: that is the contract of a Scan.
	return len(live) > 0 || len(w.added) > 0 || w.target.Deleted != ""
}

// doomedRows returns the positions that a commit of pending files removes from
// these and from the live ones, where deletes are removed already, and how many pending
// rows are marked as deleted. Of pending files the last one that has a key counts.
// With versions set, live files may hold several rows of a key, of which the last
// to land stays.
func (w *Writer) doomedRows(ctx context.Context, pending []incoming, live, deletes []iceberg.DataFile, versions bool) (datafiles.Positions, int64, error) {
	keys, err := mergekeys.Of(w.schema, w.target.Table, w.target.Key, w.target.merges())
	if err != nil {
		return nil, 0, err
	}
	if w.target.Mode == Changes {
		keys.Alike = nil // a log names the key of the row that was there as it was written
	}
	if !w.target.merges() { // versions of rows: one may have no cursor yet
		keys.MayLack(w.target.CursorColumn)
	}
	m := &merge{w: w, keys: keys, read: slices.Clone(keys.Fields), pending: pending, doomed: datafiles.Positions{}}
	if w.target.Deleted != "" {
		field, ok := w.schema.FindFieldByName(w.target.Deleted)
		if !ok {
			return nil, 0, fmt.Errorf("%w: column %q is not in the table", ErrBadTable, w.target.Deleted)
		}
		m.read = append(m.read, field)
	}
	// Bounds are of values as they landed.
	bounded := keys.AsLanded()
	within := mergekeys.SpansOf(dataFilesOf(m.pending), bounded)
	if versions {
		older := datafiles.InOrder(live)
		m.older, m.pending, live = len(older), slices.Concat(incomingOf(older), m.pending), nil
	}
	for _, f := range live {
		if !within.Apart(f, bounded) {
			m.live = append(m.live, f)
		}
	}
	rows := rowsIn(dataFilesOf(m.pending))
	m.parts = int(rows/w.lake.passKeys) + 1
	if w.target.Mode == Changes {
		m.parts = int(rows/max(1, w.lake.passKeys/8)) + 1
	}
	index := m.indexed(live, deletes, rows)
	defer index.close()
	if index == nil {
		if m.gone, err = datafiles.GoneRowsAhead(ctx, w.lake.files, deletes); err != nil {
			return nil, 0, err
		}
	}
	lake, end := w.lake.readingAhead(slices.Concat(dataFilesOf(m.pending), index.unread(m.live))...)
	defer end()
	m.lake = lake
	newest := make(map[mergekeys.Key]place, rows/int64(m.parts))
	m.sieve = mergekeys.NewSieve(rows / int64(m.parts))
	for part := range m.parts {
		if part > 0 {
			clear(newest)
			clear(m.sieve)
		}
		if keys.Alike != nil {
			m.alike, m.matched, m.doubtful = map[mergekeys.Key][]mergekeys.Key{}, map[mergekeys.Key]bool{}, map[mergekeys.Key]bool{}
		}
		for i, f := range m.pending {
			if err := m.take(ctx, part, int32(i), f, newest); err != nil {
				return nil, 0, err
			}
		}
		found, err := index.find(ctx, m, newest)
		if err != nil {
			return nil, 0, err
		}
		if !found {
			if m.gone == nil {
				if m.gone, err = datafiles.GoneRowsAhead(ctx, w.lake.files, deletes); err != nil {
					return nil, 0, err
				}
			}
			for _, f := range m.live {
				if err := m.find(ctx, part, f, newest); err != nil {
					return nil, 0, err
				}
			}
		}
		if err := m.settled(); err != nil {
			return nil, 0, err
		}
	}
	return m.doomed, m.deleted, nil
}

// landedRows tells where the rows of keys are in the live files.
func (w *Writer) landedRows(ctx context.Context, keys *mergekeys.Columns, wanted map[mergekeys.Key]place, live, deletes []iceberg.DataFile, found func(k mergekeys.Key, name string, row int64)) (err error) {
	m := &merge{w: w, keys: keys, live: live, at: found, parts: 1, sieve: mergekeys.NewSieve(int64(len(wanted)))}
	for k := range wanted {
		m.sieve.Add(k.Mixed())
	}
	index := m.indexed(live, deletes, int64(len(wanted)))
	defer index.close()
	lake, end := w.lake.readingAhead(index.unread(m.live)...)
	defer end()
	m.lake = lake
	if done, err := index.find(ctx, m, wanted); err != nil || done {
		return err
	}
	if m.gone, err = datafiles.GoneRowsAhead(ctx, w.lake.files, deletes); err != nil {
		return err
	}
	for _, f := range m.live {
		if err := m.find(ctx, 0, f, wanted); err != nil {
			return err
		}
	}
	return nil
}

// settled returns an ErrReplaced when a pending row may be a landed one under
// another spelling of its key: the collation of its source decides that, and a
// whole read shows what it has decided.
func (m *merge) settled() error {
	for shared := range m.doubtful {
		for _, k := range m.alike[shared] {
			if !m.matched[k] {
				return driver.E(driver.ErrReplaced, nil, "a key of %s came in a spelling that its collation may take for that of a row that landed before", m.w.target.Table)
			}
		}
	}
	return nil
}

// take reads the keys of a pending file.
func (m *merge) take(ctx context.Context, part int, number int32, f incoming, newest map[mergekeys.Key]place) error {
	return datafiles.Columns(ctx, m.lake.files, f.FilePath(), m.read, func(first int64, columns []arrow.Array) error {
		of := m.keys.Keys(columns[:len(m.keys.Fields)])
		group := m.keys.Group(columns[:len(m.keys.Fields)])
		deleted := func(int) bool { return false }
		if len(columns) > len(m.keys.Fields) {
			deleted = deletedIn(columns[len(columns)-1])
		}
		for row := range datafiles.Rows(columns) {
			k, null := of(row)
			if landed := int(number) < m.older; landed && (null >= 0 || m.gone[f.FilePath()].Has(first+int64(row))) {
				continue
			}
			if null >= 0 {
				return fmt.Errorf("%w: column %q of the key holds NULL", ErrBadKey, m.keys.Fields[null].Name)
			}
			shared := k
			if m.alike != nil {
				shared, _ = group(row)
			}
			mixed := shared.Mixed()
			if m.partOf(mixed) != part {
				continue
			}
			m.sieve.Add(mixed)
			if before, ok := newest[k]; ok {
				if was := m.pending[before.file]; !was.gone {
					m.doomed.Add(was.FilePath(), before.row)
				}
			} else if m.alike != nil {
				m.alike[shared] = append(m.alike[shared], k)
			}
			at := place{number, first + int64(row)}
			if deleted(row) {
				m.doomed.Add(f.FilePath(), at.row)
				if int(number) >= m.older {
					m.deleted++
				}
			}
			newest[k] = at
		}
		return nil
	})
}

// find looks for the keys in a live file.
func (m *merge) find(ctx context.Context, part int, f iceberg.DataFile, newest map[mergekeys.Key]place) error {
	name := f.FilePath()
	gone := m.gone[name]
	return datafiles.Columns(ctx, m.lake.files, name, m.keys.Fields, func(first int64, columns []arrow.Array) error {
		of := m.keys.Keys(columns)
		group := m.keys.Group(columns)
		for row, n := 0, datafiles.Rows(columns); row < n; row++ {
			shared, null := group(row)
			if null >= 0 {
				continue
			}
			if mixed := shared.Mixed(); !m.sieve.MayHave(mixed) || m.partOf(mixed) != part {
				continue
			}
			k := shared
			if m.alike != nil {
				k, _ = of(row)
			}
			at := first + int64(row)
			if gone.Has(at) {
				continue
			}
			if _, ok := newest[k]; ok {
				m.found(k, name, at)
			} else if m.alike != nil && m.alike[shared] != nil {
				m.doubtful[shared] = true
			}
		}
		return nil
	})
}

func dataFilesOf(in []incoming) []iceberg.DataFile {
	files := make([]iceberg.DataFile, len(in))
	for i, f := range in {
		files[i] = f.DataFile
	}
	return files
}

// found takes the landed row of a pending key. It is told of each once or more
// often, in no order.
func (m *merge) found(k mergekeys.Key, name string, row int64) {
	if m.at != nil {
		m.at(k, name, row)
		return
	}
	m.doomed.Add(name, row)
	if m.alike != nil {
		m.matched[k] = true
	}
}

// partOf returns which part of the keys one belongs to.
func (m *merge) partOf(mixed uint64) int { return int((mixed >> 32) % uint64(m.parts)) }

// deletedIn returns which rows a column says are deleted: true, a number other
// than zero, or anything but NULL of another type.
func deletedIn(column arrow.Array) func(int) bool {
	switch c := column.(type) {
	case nil:
		return func(int) bool { return false }
	case *array.Boolean:
		return func(row int) bool { return c.IsValid(row) && c.Value(row) }
	case *array.Int32:
		return func(row int) bool { return c.IsValid(row) && c.Value(row) != 0 }
	case *array.Int64:
		return func(row int) bool { return c.IsValid(row) && c.Value(row) != 0 }
	}
	return column.IsValid
}
