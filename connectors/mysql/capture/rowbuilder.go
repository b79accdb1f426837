package capture

import (
	"fmt"
	"slices"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/typemap"
)

// rowBuilder makes batches of the changes of one table.
type rowBuilder struct {
	t      *captured
	d      *typemap.Builder // its columns and their builders
	keys   []int            // the columns of the key; all columns if it has none
	keyed  bool
	of     *binlog.Table // what values were made for
	values []value

	ops      []driver.Op
	kept     map[int][]int
	partial  bool // a deleted row lacks values
	ends     []driver.End
	counted  int           // rows that ends covers
	open     bool          // the current transaction has rows here
	bytes    int64         // as the log has them
	next     *typemap.Room // for the next batch, which will be like the last; nil for none
	room     int64         // bytes that were reserved for the batch
	first    time.Time     // when the first row of the batch came
	scratch  []byte
	before   []binlog.Field
	after    []binlog.Field
	position string // of the transaction, for messages
}

func newRowBuilder(t *captured, limits driver.Limits, nulls bool) *rowBuilder {
	b := &rowBuilder{t: t, d: typemap.NewBuilder(t.table, limits, nulls)}
	b.keys, b.keyed = b.d.Keys, len(b.d.Keys) > 0
	if !b.keyed {
		for i := range t.table.Columns {
			b.keys = append(b.keys, i)
		}
	}
	return b
}

// size returns about how many bytes the batch takes. A row of many columns takes many
// times what the log has of it if most are NULL.
func (b *rowBuilder) size() int64 { return max(b.room, b.bytes+int64(len(b.ops))*b.d.Width) }

// full reports whether the batch should be given. A builder's room is a power of two:
// one row more than BatchRows, such as the old key of one, would take twice as much.
func (b *rowBuilder) full() bool {
	limits := b.d.Limits
	return len(b.ops) > 0 && (len(b.ops)+2 > limits.BatchRows || b.bytes+int64(len(b.ops))*b.d.Width >= limits.BatchBytes)
}

// begin notes when the first row of a batch came, and makes room.
func (b *rowBuilder) begin() {
	if len(b.ops) > 0 {
		return
	}
	b.first = time.Now()
	if b.next != nil {
		b.room, b.next = b.d.Reserve(*b.next), nil
	}
}

// add takes rows of one event until there are no more, or the batch is full. A *rowError
// says that a row cannot land.
func (b *rowBuilder) add(rows *binlog.Rows) error {
	if n := len(rows.Table.Columns); len(b.before) != n {
		b.before, b.after = make([]binlog.Field, n), make([]binlog.Field, n)
	}
	for rows.More() && !b.full() {
		if err := rows.Next(b.before, b.after); err != nil {
			return driver.E(driver.ErrBadData, nil, "table %s, transaction %s: %v", b.t.table, b.position, err)
		}
		var err error
		switch rows.Action {
		case binlog.Insert:
			err = b.row(driver.OpInsert, b.after, nil)
		case binlog.Delete:
			err = b.row(driver.OpDelete, b.before, nil)
		default:
			if b.moved() {
				err = b.row(driver.OpOldKey, b.before, nil)
			}
			if err == nil {
				err = b.row(driver.OpUpdate, b.after, b.before)
			}
		}
		if err != nil {
			return &rowError{err}
		}
	}
	return nil
}

// rowError is an error in a row. It keeps only the row's table from going on.
type rowError struct{ err error }

// Error returns the text of the error.
func (e *rowError) Error() string { return e.err.Error() }

// moved reports whether an update changed the row's key. If there is no key the whole
// row is its key.
func (b *rowBuilder) moved() bool {
	if !b.keyed {
		return true
	}
	return slices.ContainsFunc(b.keys, func(i int) bool {
		at := b.values[i].at
		return at >= 0 && !b.after[at].Absent && !b.before[at].Equal(b.after[at])
	})
}

// row appends a row. Values that it lacks are taken from was, the row before the update,
// or marked as kept.
func (b *rowBuilder) row(op driver.Op, fields, was []binlog.Field) error {
	b.begin()
	gone := op == driver.OpDelete || op == driver.OpOldKey
	for i := range b.values {
		v := &b.values[i]
		if v.at < 0 {
			v.to.Builder.AppendNull()
			continue
		}
		f := fields[v.at]
		if f.Absent && was != nil {
			f = was[v.at]
		}
		switch {
		case f.Absent:
			if err := b.absent(op, i); err != nil {
				return err
			}
		case f.Null:
			if !v.to.Nullable && !gone {
				return b.bad(i, fields, typemap.ErrNull)
			}
			v.to.Builder.AppendNull()
		default:
			var err error
			if b.scratch, err = v.append(f.Raw, b.scratch); err != nil {
				if !b.d.AppendNull(i, err, func() string { return "transaction " + b.position }) {
					return b.bad(i, fields, err)
				}
			}
			b.bytes += int64(len(f.Raw)) + 2
		}
	}
	b.ops = append(b.ops, op)
	return nil
}

// absent handles a value that a row does not have.
func (b *rowBuilder) absent(op driver.Op, i int) error {
	switch {
	case slices.Contains(b.keys, i) || op == driver.OpInsert, op == driver.OpUpdate && b.t.overwrites:
		return driver.E(driver.ErrReplaced, nil, "table %s, transaction %s: the log does not have all values of its rows: set binlog_row_image to FULL, for every session%s", b.t.table, b.position, wayAnew)
	case op == driver.OpUpdate:
		if b.kept == nil {
			b.kept = map[int][]int{}
		}
		b.kept[len(b.ops)] = append(b.kept[len(b.ops)], i)
	default:
		b.partial = true
	}
	b.values[i].to.Builder.AppendNull()
	return nil
}

// truncate appends that all rows were deleted.
func (b *rowBuilder) truncate() {
	b.begin()
	for i := range b.d.Columns {
		b.d.Columns[i].Builder.AppendNull()
	}
	b.ops = append(b.ops, driver.OpTruncate)
}

// bad returns the error of a value that its column cannot hold. It names the row, never
// the value.
func (b *rowBuilder) bad(i int, fields []binlog.Field, err error) error {
	key := ""
	for _, k := range b.d.Keys {
		v := b.values[k]
		if v.at < 0 || v.log.Form() != binlog.Number || fields[v.at].Null || fields[v.at].Absent {
			key = ""
			break
		}
		if key != "" {
			key += ", "
		}
		key += fmt.Sprintf("%s = %d", v.have.name, v.log.Int(fields[v.at].Raw))
	}
	if key != "" {
		key = " (" + key + ")"
	}
	return driver.E(driver.ErrBadData, nil, "table %s, column %s, transaction %s%s: %v%s", b.t.table, b.t.table.Columns[i].Name, b.position, key, err, b.d.Advice(i, err))
}

// ended notes that the transaction has ended.
func (b *rowBuilder) ended(position string, committed time.Time) {
	b.open = false
	if n := len(b.ops) - b.counted; n > 0 {
		b.ends = append(b.ends, driver.End{Rows: n, Position: position, Committed: committed})
		b.counted = len(b.ops)
	}
}

// take returns the batch, or false if it is empty. position and committed are those of a
// transaction that has not ended.
func (b *rowBuilder) take(position string, committed time.Time) (driver.Changes, bool) {
	if len(b.ops) == 0 {
		return driver.Changes{}, false
	}
	if n := len(b.ops) - b.counted; b.open && n > 0 {
		b.ends = append(b.ends, driver.End{Rows: n + 1, Position: position, Committed: committed})
	}
	c := driver.Changes{
		Table: b.t.index, Record: b.d.Record.NewRecordBatch(), Ops: b.ops, Kept: b.kept, Old: !b.partial, Ends: b.ends, Bytes: b.bytes, Notes: b.d.NullNotes(),
	}
	b.ops, b.kept, b.partial, b.ends, b.counted, b.bytes, b.room = nil, nil, false, nil, 0, 0, 0
	// Made when a row comes: most tables that have changed need none for a while.
	next := b.d.RoomOf(c.Record)
	b.next = &next
	return c, true
}
