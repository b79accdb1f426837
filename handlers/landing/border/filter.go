package border

import (
	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
)

// Filter drops the rows of a read that have landed, as its Border tells. A nil
// one drops nothing.
type Filter struct {
	column      int
	typ         driver.Type
	value, last *value
	rows, nulls map[hash]int // nil where it is not known which rows landed
}

// Drop returns the Filter of a read of the table by the column that goes on at
// the border, nil where nothing has landed.
func Drop(t driver.Table, column string, b *Border) (*Filter, error) {
	if b == nil || b.Value == nil {
		return nil, nil
	}
	f := &Filter{column: -1}
	for i, c := range t.Columns {
		if c.Name != column {
			continue
		}
		f.column, f.typ = i, c.Type
		p, err := pointOf(c.Type, *b.Value)
		if err != nil {
			return nil, err
		}
		f.value, f.last = &value{p, *b.Value}, &value{p, *b.Value}
		if b.Last != nil {
			if p, err = pointOf(c.Type, *b.Last); err != nil {
				return nil, err
			}
			if p.compare(f.last.point) > 0 {
				f.last = &value{p, *b.Last}
			}
		}
	}
	if f.column < 0 {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s has no column %q with an order to go by", t, column)
	}
	if same := b.Of == Of(t); same && !b.Rows.Full {
		f.rows = b.Rows.counted()
	}
	if same := b.Of == Of(t); same && !b.Nulls.Full {
		f.nulls = b.Nulls.counted()
	}
	return f, nil
}

// Kept says of rows that a Filter has let through what it could not tell.
type Kept struct {
	// Again: some have a key and cursor that may have landed.
	Again bool `json:"again,omitempty"`
	// Unsure: some may have landed just as they are.
	Unsure bool `json:"unsure,omitempty"`
}

// Add joins two.
func (k *Kept) Add(other Kept) { k.Again, k.Unsure = k.Again || other.Again, k.Unsure || other.Unsure }

// Keep returns the rows of a batch that have not landed, in runs that the caller
// releases.
func (f *Filter) Keep(rec arrow.RecordBatch) (runs []arrow.RecordBatch, kept Kept) {
	whole := func() []arrow.RecordBatch { rec.Retain(); return []arrow.RecordBatch{rec} }
	if f == nil || rec.NumRows() == 0 {
		return whole(), kept
	}
	column := rec.Column(f.column)
	least, _ := extremes(column)
	if column.NullN() == 0 && (least < 0 || pointAt(column, least).compare(f.last.point) > 0) {
		return whole(), kept
	}
	hashes, first := hashesOf(rec), 0
	for row := range column.Len() {
		if !f.landed(hashes, column, row, &kept) {
			continue
		}
		if row > first {
			runs = append(runs, rec.NewSlice(int64(first), int64(row)))
		}
		first = row + 1
	}
	switch n := column.Len(); {
	case first == 0:
		return whole(), kept
	case first < n:
		runs = append(runs, rec.NewSlice(int64(first), int64(n)))
	}
	return runs, kept
}

// landed reports whether a row has landed as it is, and takes it from what is
// still to come. Of one that has not, kept says what is not known.
func (f *Filter) landed(hashes func(row int) hash, column arrow.Array, row int, kept *Kept) bool {
	known := f.nulls
	if column.IsValid(row) {
		p := pointAt(column, row)
		if p.compare(f.last.point) > 0 {
			return false
		}
		if known = f.rows; p.compare(f.value.point) < 0 {
			known = nil
		}
	}
	if known != nil {
		if h := hashes(row); known[h] > 0 {
			known[h]--
			return true
		}
	}
	kept.Add(Kept{Again: true, Unsure: known == nil})
	return false
}

// Left adds to a border what landed before and this read has not shown yet: a
// read that goes on there may show it. Without keys a row that landed never goes
// away; with keys it may have been replaced since, so that it must land again
// when it comes.
func (f *Filter) Left(b *Border, keyless bool) {
	if f == nil || b.Value == nil {
		return
	}
	if b.Last == nil {
		b.Last = &f.last.text
	} else if last, err := pointOf(f.typ, *b.Last); err != nil || last.compare(f.last.point) < 0 {
		b.Last = &f.last.text
	}
	if !keyless {
		return
	}
	place, err := pointOf(f.typ, *b.Value)
	if known := f.rows != nil; err != nil || !known && place.compare(f.last.point) <= 0 {
		b.Rows = Set{Full: true}
	} else if known {
		b.Rows.left(f.rows)
	}
	b.Nulls.left(f.nulls)
}

func (s *Set) left(rows map[hash]int) {
	for h, n := range rows {
		for range n {
			s.add(h)
		}
	}
}
