package records

import (
	"context"
	"encoding/json"
	"iter"
	"math/big"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
	"headwater/connectors/values"
)

// CheckCursor returns an *driver.Error unless from can be followed on t.
func CheckCursor(t driver.Table, from driver.Cursor) error {
	if from.Column == "" {
		return nil
	}
	c, ok := t.Column(from.Column)
	if !ok {
		return driver.E(driver.ErrNotFound, nil, "table %s has no column %q to read on from", t, from.Column)
	}
	if !c.Type.Ordered() {
		return driver.E(driver.ErrInvalidConfig, nil, "column %q of table %s is of type %s, which has no order to read on by; choose another cursor", from.Column, t, c.Type)
	}
	if from.Value == nil {
		return nil
	}
	if _, err := driver.CompareCursors(c.Type, *from.Value, *from.Value); err != nil {
		return err
	}
	return nil
}

// Ordered adds the places to resume from to batches that come in the order of
// from.Column, NULLs first, and hold only the rows that from asks for: a batch is one
// unless the next begins with the same cursor. Without a cursor it passes
// everything on unchanged.
func Ordered(t driver.Table, from driver.Cursor, batches iter.Seq2[driver.Batch, error]) iter.Seq2[driver.Batch, error] {
	column := slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == from.Column })
	if from.Column == "" || column < 0 {
		return batches
	}
	return hold(batches, func(batch, next *driver.Batch) {
		a := batch.Record.Column(column)
		last := a.Len() - 1
		if last < 0 || a.IsNull(last) { // a last batch may have notes alone
			return
		}
		value := driver.FormatCursor(a, last)
		if next != nil {
			if b := next.Record.Column(column); b.Len() > 0 && b.IsValid(0) && driver.FormatCursor(b, 0) == value {
				return
			}
		}
		batch.Resume = &driver.Cursor{Column: from.Column, Value: &value}
	})
}

// Unordered reads on in batches that hold every row in any order: it drops the
// rows that from does not ask for, and gives the last batch the greatest
// cursor, because only the end is a place to resume. Without a cursor it passes
// everything on unchanged.
func Unordered(ctx context.Context, t driver.Table, from driver.Cursor, batches iter.Seq2[driver.Batch, error]) iter.Seq2[driver.Batch, error] {
	return UnorderedBut(ctx, t, from, batches, Exempt{})
}

// Exempt is what the cursor of a read does not decide. Its functions are called
// while a batch is under way; nil is nothing.
type Exempt struct {
	Rows     func() bool            // whether all rows of the batch are wanted
	Position func() json.RawMessage // what to note beside the greatest cursor, at the end
}

// UnorderedBut is Unordered, but for what is exempt.
func UnorderedBut(ctx context.Context, t driver.Table, from driver.Cursor, batches iter.Seq2[driver.Batch, error], but Exempt) iter.Seq2[driver.Batch, error] {
	column := slices.IndexFunc(t.Columns, func(c driver.Column) bool { return c.Name == from.Column })
	if from.Column == "" || column < 0 {
		return batches
	}
	f := filter{kind: t.Columns[column].Type, after: from.Value, greatest: from.Value, nulls: from.Value == nil || from.Nulls, exempt: but.Rows}
	if from.Inclusive {
		f.least = 0
	} else {
		f.least = 1
	}
	return hold(f.rows(ctx, column, batches), func(batch, next *driver.Batch) {
		if next == nil && f.greatest != nil {
			batch.Resume = &driver.Cursor{Column: from.Column, Value: f.greatest}
			if but.Position != nil {
				batch.Resume.Position = but.Position()
			}
		}
	})
}

// hold passes batches on one behind, so that finish sees each with its
// successor, which is nil for the last.
func hold(batches iter.Seq2[driver.Batch, error], finish func(batch, next *driver.Batch)) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		var held *driver.Batch
		for batch, err := range batches {
			if err != nil {
				// What came before is whole, but no place to resume.
				if held != nil && !yield(*held, nil) {
					return
				}
				yield(driver.Batch{}, err)
				return
			}
			if held != nil {
				finish(held, &batch)
				if !yield(*held, nil) {
					batch.Record.Release()
					return
				}
			}
			held = &batch
		}
		if held == nil {
			return
		}
		finish(held, nil)
		yield(*held, nil)
	}
}

// filter keeps the rows after a cursor.
type filter struct {
	kind     driver.Type
	after    *string
	greatest *string
	least    int  // how a row must compare with after: 0 takes those at it, too
	nulls    bool // rows without a cursor are wanted
	exempt   func() bool
}

// rows yields the batches without the rows that are not after the cursor. One
// that is then empty still says that the read goes on.
func (f *filter) rows(ctx context.Context, column int, batches iter.Seq2[driver.Batch, error]) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		for batch, err := range batches {
			if err != nil {
				yield(driver.Batch{}, err)
				return
			}
			kept, err := f.apply(ctx, batch.Record, column)
			batch.Record.Release()
			if err != nil {
				yield(driver.Batch{}, err)
				return
			}
			batch.Record = kept
			if !yield(batch, nil) {
				return
			}
		}
	}
}

// apply returns the rows of record to keep, which the caller releases.
func (f *filter) apply(ctx context.Context, record arrow.RecordBatch, column int) (arrow.RecordBatch, error) {
	a := record.Column(column)
	after, err := f.comparer(a, f.after)
	if err != nil {
		return nil, err
	}
	keep := make([]bool, a.Len())
	all := f.exempt != nil && f.exempt()
	var kept int
	best := -1
	for i := range keep {
		if a.IsNull(i) {
			keep[i] = all || f.nulls
		} else if keep[i] = all || f.after == nil || after(i) >= f.least; keep[i] && (best < 0 || compareRows(a, i, best) > 0) {
			best = i
		}
		if keep[i] {
			kept++
		}
	}
	if best >= 0 {
		over, err := f.comparer(a, f.greatest)
		if err != nil {
			return nil, err
		}
		if f.greatest == nil || over(best) > 0 {
			value := driver.FormatCursor(a, best)
			f.greatest = &value
		}
	}
	if kept == len(keep) {
		record.Retain()
		return record, nil
	}
	if kept == 0 {
		return record.NewSlice(0, 0), nil
	}
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	mask.AppendValues(keep, nil)
	selected := mask.NewBooleanArray()
	defer selected.Release()
	return compute.FilterRecordBatch(ctx, record, selected, compute.DefaultFilterOptions())
}

// compareRows orders two rows of one column, neither of them NULL.
func compareRows(a arrow.Array, i, j int) int {
	switch a := a.(type) {
	case *array.Int64:
		return order(a.Value(i), a.Value(j))
	case *array.Int32:
		return order(a.Value(i), a.Value(j))
	case *array.Timestamp:
		return order(a.Value(i), a.Value(j))
	case *array.Date32:
		return order(a.Value(i), a.Value(j))
	case *array.String:
		return order(a.Value(i), a.Value(j))
	case *array.Decimal128:
		return a.Value(i).Cmp(a.Value(j))
	}
	return order(driver.FormatCursor(a, i), driver.FormatCursor(a, j))
}

func order[T int32 | int64 | string | arrow.Timestamp | arrow.Date32](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// comparer returns a function that orders a row against a cursor value.
func (f *filter) comparer(a arrow.Array, value *string) (func(row int) int, error) {
	if value == nil {
		return func(int) int { return 1 }, nil
	}
	bad := driver.E(driver.ErrInvalidConfig, nil, "the cursor value does not fit the column's type %s; read in full once", f.kind)
	switch a := a.(type) {
	case *array.Int64:
		n, ok := new(big.Rat).SetString(*value)
		if !ok {
			return nil, bad
		}
		if n.IsInt() && n.Num().IsInt64() {
			limit := n.Num().Int64()
			return func(i int) int { return order(a.Value(i), limit) }, nil
		}
		return func(i int) int { return new(big.Rat).SetInt64(a.Value(i)).Cmp(n) }, nil
	case *array.Date32:
		if days, ok := values.Date([]byte(*value)); ok {
			return func(i int) int { return order(a.Value(i), arrow.Date32(days)) }, nil
		}
	case *array.Timestamp:
		if micros, _, ok := values.Timestamp([]byte(*value)); ok {
			return func(i int) int { return order(a.Value(i), arrow.Timestamp(micros)) }, nil
		}
	case *array.String:
		return func(i int) int { return order(a.Value(i), *value) }, nil
	}
	if _, err := driver.CompareCursors(f.kind, *value, *value); err != nil {
		return nil, bad
	}
	return func(i int) int {
		c, err := driver.CompareCursors(f.kind, driver.FormatCursor(a, i), *value)
		if err != nil {
			return 1
		}
		return c
	}, nil
}
