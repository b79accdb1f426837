// Package collapse turns the changes of a log into the rows that they leave: of
// each key the last change counts, and what a log does not repeat is taken from
// the change before.
package collapse

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
	"headwater/handlers/landing/content"
	"headwater/handlers/landing/keys"
	"headwater/handlers/landing/parts"
)

// Files is where parts are written.
type Files interface {
	parts.Files
	// NextName returns the name of a new part.
	NextName() string
}

// Config is one table whose changes are read.
type Config struct {
	Table  driver.Table
	Layout parts.Layout // of the rows that land: the table's columns, and those of a log or the one of deleted rows behind them
	Key    []string
	// Log has each change be a row, with parts.LogColumns.
	Log      bool
	Files    Files
	PartSize int64 // bytes; 0 for the default
	Logger   *slog.Logger
}

// Counts are changes as the source made them.
type Counts struct{ Inserted, Updated, Deleted, Truncated int64 }

// Plus returns the sum of both.
func (c Counts) Plus(d Counts) Counts {
	return Counts{c.Inserted + d.Inserted, c.Updated + d.Updated, c.Deleted + d.Deleted, c.Truncated + d.Truncated}
}

// Rows returns how many changes they are.
func (c Counts) Rows() int64 { return c.Inserted + c.Updated + c.Deleted + c.Truncated }

// Table holds changes of one table. It is not safe for concurrent use.
type Table struct {
	Config
	soft   bool // deleted rows stay
	key    []keys.Column
	keyAt  []int // the table's columns that are its key
	others []int // those that are not
	exact  bool
	kept   parts.KeptLayout
	counts Counts
	batch  *Batch
	moving *moving // the row whose key was another, until its update comes
	serial int32   // of the transaction at hand
	ends   string  // its position
}

// What is held beside values costs about so many bytes: a key (TestHeldIsWhatIsInUse
// measures it), a patch, each of the columns that it names, and an array of a column.
const (
	entryBytes  = 96
	patchBytes  = 64
	keptBytes   = 16
	takenBytes  = 64
	columnBytes = 512
)

// New returns a Table without changes. It fails where rows cannot be told apart by
// the key, and where the layout is none of the table.
func New(c Config) (*Table, error) {
	t := &Table{Config: c}
	fields := c.Layout.Schema.Fields()
	extra := len(fields) - len(c.Table.Columns)
	t.soft = !c.Log && extra == 1 && fields[len(fields)-1].Name == parts.DeletedColumn.Name
	if extra < 0 || c.Log && extra != len(parts.LogColumns) || !c.Log && extra != 0 && !t.soft {
		return nil, fmt.Errorf("changes of %s: a layout of %d columns for a table of %d", c.Table, len(fields), len(c.Table.Columns))
	}
	if c.Log {
		t.batch = newBatch(t)
		return t, nil
	}
	if len(c.Key) == 0 {
		return nil, fmt.Errorf("%w: changes of %s have to land as a log", keys.ErrBadKey, c.Table)
	}
	width := 0
	for _, name := range c.Key {
		at := slices.IndexFunc(c.Table.Columns, func(col driver.Column) bool { return col.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("%w: %s has no column %q", keys.ErrBadKey, c.Table, name)
		}
		form, err := keys.Canonical(name, c.Table.Columns[at].Equality)
		if err != nil {
			return nil, err
		}
		w, short := keys.Width(fields[at].Type)
		width += w
		t.key, t.keyAt = append(t.key, keys.Column{Form: form, Short: short}), append(t.keyAt, at)
	}
	t.exact = width <= len(keys.Key{})
	for i := range c.Table.Columns {
		if !slices.Contains(t.keyAt, i) {
			t.others = append(t.others, i)
		}
	}
	var err error
	if t.kept, err = c.Layout.Kept(c.Key); err != nil {
		return nil, err
	}
	t.batch = newBatch(t)
	return t, nil
}

// Held returns about how many bytes are held.
func (t *Table) Held() int64 { return t.batch.bytes + int64(len(t.batch.entries))*entryBytes }

// Empty reports whether nothing is held.
func (t *Table) Empty() bool { return t.batch.empty() }

// Counted returns the changes that were taken since it was called before.
func (t *Table) Counted() Counts {
	c := t.counts
	t.counts = Counts{}
	return c
}

// Sealable reports whether what is held can be sealed: not between the two halves
// of the change of a key.
func (t *Table) Sealable() bool { return t.moving == nil }

// Seal returns what is held, to be encoded, and starts anew.
func (t *Table) Seal() *Batch {
	b := t.batch
	t.batch = newBatch(t)
	return b
}

// place is a row of what is held.
type place struct{ rec, row int32 }

// entry is what is known of a key.
type entry struct {
	place          // of the row's image, of which patch says more; of a row that is gone, one that has its key
	gone    bool   // no row has the key
	deleted bool   // the row is one that the source has deleted, and stays
	came    int32  // the transaction in which the row came to a key that another may have had, -1 for none
	patch   *patch // nil for an image that is whole
}

// patch says which values of a row are not those of its image.
type patch struct {
	kept []int         // columns whose values are those of the row that was there before the batch
	old  place         // a row that has the key under which that is
	from map[int]place // columns whose values are those of other images
}

// moving is a row between the two halves of the change of its key.
type moving struct {
	at    place
	entry entry // what was known of it
	known bool
	whole bool // all of its values are at the place
}

// Take takes changes, and releases them in time. An error is one of the log: of kind
// ErrBadData.
func (t *Table) Take(c driver.Changes) error {
	defer c.Record.Release()
	if int(c.Record.NumCols()) != len(t.Table.Columns) || int(c.Record.NumRows()) != len(c.Ops) {
		return fmt.Errorf("changes of %s: a batch of %d columns and %d rows where %d and %d were announced", t.Table, c.Record.NumCols(), c.Record.NumRows(), len(t.Table.Columns), len(c.Ops))
	}
	if t.Log {
		return t.log(c)
	}
	columns := make([]arrow.Array, len(t.keyAt))
	for i, at := range t.keyAt {
		columns[i] = c.Record.Column(at)
	}
	of := keys.Of(t.key, t.exact, -1, columns)
	next := ender{ends: c.Ends}
	if len(c.Ends) == 0 {
		t.serial++
	}
	rec := t.batch.add(c.Record)
	for row, op := range c.Ops {
		if end := next.row(); end != nil && (t.serial == 0 || end.Position != t.ends) {
			t.serial, t.ends = t.serial+1, end.Position
		}
		at := place{rec, int32(row)}
		if op == driver.OpTruncate {
			if t.moving != nil {
				return t.halved()
			}
			t.counts.Truncated++
			t.batch.truncate()
			rec = t.batch.add(c.Record)
		} else {
			k, null := of(row)
			if null >= 0 {
				return driver.E(driver.ErrBadData, nil, "a change of %s came without a value in column %q of its key", t.Table, t.Key[null])
			}
			at.rec = rec
			if err := t.apply(op, k, at, c.Kept[row], c.Old); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply applies one change.
func (t *Table) apply(op driver.Op, k keys.Key, at place, kept []int, whole bool) error {
	if m := t.moving; m != nil {
		if op != driver.OpUpdate {
			return t.halved()
		}
		t.moving = nil
		t.counts.Updated++
		t.put(k, t.compose(m.entry, m.known, at, kept, m.at, m.whole), true)
		return nil
	}
	before, known := t.batch.find(k)
	switch op {
	case driver.OpInsert:
		t.counts.Inserted++
		t.put(k, entry{place: at}, true)
	case driver.OpUpdate:
		t.counts.Updated++
		if known && before.gone && len(kept) > 0 {
			return driver.E(driver.ErrBadData, nil, "the log of %s changes a row that it had deleted", t.Table)
		}
		t.put(k, t.compose(before, known, at, kept, at, false), false)
	case driver.OpDelete:
		t.counts.Deleted++
		if t.displaced(before, known, at, whole) {
			return nil
		}
		if t.soft {
			t.put(k, t.softly(before, known, at, whole), false)
			return nil
		}
		t.put(k, entry{place: at, gone: true}, false)
	case driver.OpOldKey:
		t.moving = &moving{at: at, entry: before, known: known, whole: whole}
		if t.displaced(before, known, at, whole) {
			t.moving.known = false
			return nil
		}
		t.put(k, entry{place: at, gone: true}, false)
	default:
		return fmt.Errorf("changes of %s: an unknown operation %d", t.Table, op)
	}
	return nil
}

func (t *Table) halved() error {
	return driver.E(driver.ErrBadData, nil, "the log of %s tells of a row's former key and not of the row", t.Table)
}

// put sets what is known of a key. came says that a row came to it.
func (t *Table) put(k keys.Key, e entry, came bool) {
	e.came = -1
	if before, known := t.batch.find(k); came && !(known && before.gone) {
		e.came = t.serial
	}
	t.batch.put(k, e)
}

// displaced reports whether a row that leaves its key is not the one that came to
// it in the same transaction: two rows may have one key until a transaction ends,
// where the source checks that so late. Then the row that came stays.
func (t *Table) displaced(e entry, known bool, leaves place, whole bool) bool {
	if !known || !whole || e.gone || e.patch != nil || e.came != t.serial {
		return false
	}
	return t.batch.hash(e.place) != t.batch.hash(leaves)
}

// compose returns the entry of a row whose new image is at a place, but for the
// columns that it keeps: of the image before where that is known, else of the row
// that was there before the batch. old has the key that it had; whole says that it has
// all its values.
func (t *Table) compose(before entry, known bool, at place, kept []int, old place, whole bool) entry {
	if len(kept) == 0 {
		return entry{place: at}
	}
	p := &patch{old: old}
	take := func(column int, from place) {
		if p.from == nil {
			p.from = map[int]place{}
		}
		p.from[column] = from
	}
	for _, column := range kept {
		switch {
		case slices.Contains(t.keyAt, column): // an image has its key
		case whole:
			take(column, old)
		case !known || before.gone:
			p.kept = append(p.kept, column)
		case before.patch == nil:
			take(column, before.place)
		case slices.Contains(before.patch.kept, column):
			p.kept, p.old = append(p.kept, column), before.patch.old
		default:
			from, ok := before.patch.from[column]
			if !ok {
				from = before.place
			}
			take(column, from)
		}
	}
	return entry{place: at, patch: p}
}

// softly returns the entry of a deleted row that stays.
func (t *Table) softly(before entry, known bool, at place, whole bool) entry {
	switch {
	case whole:
		return entry{place: at, deleted: true}
	case known && before.gone:
		return before
	case known:
		before.deleted = true
		return before
	}
	return entry{place: at, deleted: true, patch: &patch{kept: t.others, old: at}}
}

// ender tells which transactions rows belong to.
type ender struct {
	ends []driver.End
	seen int
}

// row returns the end of the next row's transaction, nil where that is not known.
func (e *ender) row() *driver.End {
	for len(e.ends) > 0 && e.seen >= e.ends[0].Rows {
		e.ends, e.seen = e.ends[1:], 0
	}
	if len(e.ends) == 0 {
		return nil
	}
	e.seen++
	return &e.ends[0]
}

// held is a batch of the table's columns; those that nobody needs are nil.
type held struct {
	columns []arrow.Array
	rows    int
	hash    *content.Rows
}

func (h held) release() {
	for _, c := range h.columns {
		if c != nil {
			c.Release()
		}
	}
}

// sizeOf returns about how many bytes a batch holds: what its buffers were made for,
// and not what is in them. Builders make powers of two, and cut nothing off at the end.
func sizeOf(rec arrow.RecordBatch) (n int64) {
	for _, c := range rec.Columns() {
		n += columnBytes
		for _, b := range c.Data().Buffers() {
			if b != nil {
				n += int64(cap(b.Buf()))
			}
		}
	}
	return n
}
