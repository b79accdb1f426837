package collapse

import (
	"context"
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// opNames are what a log calls the operations. The row that had another key is one
// that is gone, before the one that took its place.
var opNames = map[driver.Op]string{driver.OpInsert: "insert", driver.OpUpdate: "update", driver.OpDelete: "delete", driver.OpOldKey: "delete", driver.OpTruncate: "truncate"}

// log holds changes as rows of their own.
func (t *Table) log(c driver.Changes) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(driver.Table{Columns: parts.LogColumns}))
	defer b.Release()
	ops, positions := b.Field(0).(*array.StringBuilder), b.Field(1).(*array.StringBuilder)
	times, unchanged := b.Field(2).(*array.TimestampBuilder), b.Field(3).(*array.StringBuilder)
	next, truncates := ender{ends: c.Ends}, false
	for row, op := range c.Ops {
		t.count(op)
		truncates = truncates || op == driver.OpTruncate
		ops.Append(opNames[op])
		end := next.row()
		if end == nil {
			end = &driver.End{}
		}
		if end.Position == "" {
			positions.AppendNull()
		} else {
			positions.Append(end.Position)
		}
		if end.Committed.IsZero() {
			times.AppendNull()
		} else {
			times.Append(arrow.Timestamp(end.Committed.UnixMicro()))
		}
		if err := t.unchanged(unchanged, c.Kept[row]); err != nil {
			return err
		}
	}
	more := b.NewRecordBatch()
	defer more.Release()
	rec := t.batch.add(c.Record)
	h := &t.batch.held[rec]
	if truncates {
		if err := h.blank(c.Ops); err != nil {
			return err
		}
	}
	for _, column := range more.Columns() {
		column.Retain()
		h.columns = append(h.columns, column)
	}
	t.batch.bytes += sizeOf(more)
	t.batch.rows += h.rows
	return nil
}

func (t *Table) count(op driver.Op) {
	switch op {
	case driver.OpInsert:
		t.counts.Inserted++
	case driver.OpUpdate:
		t.counts.Updated++
	case driver.OpDelete:
		t.counts.Deleted++
	case driver.OpTruncate:
		t.counts.Truncated++
	}
}

// unchanged notes which columns a row does not repeat.
func (t *Table) unchanged(into *array.StringBuilder, kept []int) error {
	if len(kept) == 0 {
		into.AppendNull()
		return nil
	}
	names := make([]string, len(kept))
	for i, c := range kept {
		names[i] = t.Table.Columns[c].Name
	}
	text, err := json.Marshal(names)
	into.Append(string(text))
	return err
}

// blank has the rows of truncates hold NULL.
func (h *held) blank(ops []driver.Op) error {
	b := array.NewInt32Builder(memory.DefaultAllocator)
	defer b.Release()
	for row, op := range ops {
		if op == driver.OpTruncate {
			b.AppendNull()
		} else {
			b.Append(int32(row))
		}
	}
	at := b.NewArray()
	defer at.Release()
	for i, c := range h.columns {
		some, err := compute.TakeArray(context.Background(), c, at)
		if err != nil {
			return err
		}
		c.Release()
		h.columns[i] = some
	}
	return nil
}

// eachHeld puts all that is held, in its order.
func (b *Batch) eachHeld(ctx context.Context, put putter) error {
	for _, h := range b.held {
		columns := make([]arrow.Array, len(h.columns))
		for i, c := range h.columns {
			c.Retain()
			columns[i] = c
		}
		if err := put(ctx, columns, h.rows); err != nil {
			return err
		}
	}
	return nil
}
