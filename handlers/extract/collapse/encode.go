package collapse

import (
	"cmp"
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/handlers/landing/parts"
)

// encodedRows is how many rows are put together at a time, where they have to be.
const encodedRows = 4 << 10

// Encode writes what the batch holds to parts, and lets go of it. It is called
// once, by any goroutine.
func (b *Batch) Encode(ctx context.Context) (c parts.Changes, err error) {
	defer b.Release()
	c.Truncated = b.truncated
	if b.of.Log {
		c.Rows, err = b.encode(b.of.Layout, func(put putter) error { return b.eachHeld(ctx, put) })
		return c, err
	}
	var patched, kept, gone []int
	live := make([][]byte, len(b.held)) // a bit for each row that lands as it is
	deleted := make([][]byte, len(b.held))
	whole := make([]int, len(b.held))
	for i := range b.entries {
		e := &b.entries[i]
		switch {
		case e.gone:
			gone = append(gone, i)
		case e.patch == nil:
			mark(live, e.place, b.held)
			whole[e.rec]++
			if e.deleted {
				mark(deleted, e.place, b.held)
			}
		case len(e.patch.kept) == 0:
			patched = append(patched, i)
		default:
			kept = append(kept, i)
		}
	}
	c.Rows, err = b.encode(b.of.Layout, func(put putter) error {
		for rec, n := range whole {
			if n > 0 {
				if err := b.putWhole(ctx, put, rec, n, live[rec], deleted[rec]); err != nil {
					return err
				}
			}
		}
		return b.chunks(patched, func(some []int) error { return b.putPatched(ctx, put, some) })
	})
	if err == nil {
		c.Kept, err = b.encode(b.of.kept.Layout, func(put putter) error {
			return b.chunks(kept, func(some []int) error { return b.putKept(ctx, put, some) })
		})
	}
	if err == nil && !b.truncated { // else no row is left that could go
		c.Gone, err = b.encode(b.of.kept.Gone, func(put putter) error {
			return b.chunks(gone, func(some []int) error { return b.putGone(ctx, put, some) })
		})
	}
	return c, err
}

// mark sets the bit of a row.
func mark(bits [][]byte, at place, of []held) {
	if bits[at.rec] == nil {
		bits[at.rec] = make([]byte, (of[at.rec].rows+7)/8)
	}
	bits[at.rec][at.row>>3] |= 1 << (at.row & 7)
}

// putter hands columns of a layout to an encoder, which takes them over.
type putter func(ctx context.Context, columns []arrow.Array, rows int) error

// encode makes parts of what fill puts. No part is made of nothing.
func (b *Batch) encode(layout parts.Layout, fill func(put putter) error) ([]parts.Part, error) {
	var enc *parts.Encoder
	err := fill(func(ctx context.Context, columns []arrow.Array, rows int) error {
		if enc == nil {
			enc = parts.Start(parts.Config{Files: b.of.Files, Layout: layout, Name: b.of.Files.NextName, Size: b.of.PartSize, Log: b.of.Logger})
		}
		return enc.Put(ctx, recordOf(layout.Schema, columns, rows))
	})
	if enc == nil {
		return nil, err
	}
	made, failed := enc.Finish()
	if err == nil {
		err = failed
	}
	return made, err
}

// recordOf makes a batch of columns, some of which may be narrower than the layout.
// It lets go of them.
func recordOf(sc *arrow.Schema, columns []arrow.Array, rows int) arrow.RecordBatch {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = sc.Field(i)
		fields[i].Type = c.DataType()
	}
	rec := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(rows))
	releaseAll(columns)
	return rec
}

func releaseAll(columns []arrow.Array) {
	for _, c := range columns {
		if c != nil {
			c.Release()
		}
	}
}

// chunks hands entries over some at a time, in the order of their images.
func (b *Batch) chunks(entries []int, use func(some []int) error) error {
	slices.SortFunc(entries, func(x, y int) int {
		p, q := b.entries[x].place, b.entries[y].place
		return cmp.Or(cmp.Compare(p.rec, q.rec), cmp.Compare(p.row, q.row))
	})
	for some := range slices.Chunk(entries, encodedRows) {
		if err := use(some); err != nil {
			return err
		}
	}
	return nil
}

// putWhole puts those n rows of a batch whose bits are set.
func (b *Batch) putWhole(ctx context.Context, put putter, rec, n int, live, deleted []byte) error {
	h := b.held[rec]
	columns := make([]arrow.Array, 0, len(h.columns)+1)
	for _, c := range h.columns {
		c.Retain()
		columns = append(columns, c)
	}
	if b.of.soft {
		columns = append(columns, booleans(deleted, h.rows))
	}
	if n == h.rows {
		return put(ctx, columns, n)
	}
	keep := booleans(live, h.rows)
	defer keep.Release()
	for i, c := range columns {
		some, err := pick(ctx, c, keep)
		if err != nil {
			releaseAll(columns)
			return err
		}
		c.Release()
		columns[i] = some
	}
	return put(ctx, columns, n)
}

// booleans makes a column of bits; nil bits are all false.
func booleans(bits []byte, rows int) *array.Boolean {
	if bits == nil {
		bits = make([]byte, (rows+7)/8)
	}
	data := array.NewData(arrow.FixedWidthTypes.Boolean, rows, []*memory.Buffer{nil, memory.NewBufferBytes(bits)}, nil, 0, 0)
	defer data.Release()
	return array.NewBooleanData(data)
}

// images puts the rows of entries together, as far as the batch has their values.
func (b *Batch) images(ctx context.Context, some []int) ([]arrow.Array, error) {
	var columns []arrow.Array
	places := make([]place, len(some))
	for column := range b.of.Table.Columns {
		for i, at := range some {
			e := &b.entries[at]
			places[i] = e.place
			if from, ok := e.patch.from[column]; ok {
				places[i] = from
			}
		}
		c, err := b.gather(ctx, column, places)
		if err != nil {
			releaseAll(columns)
			return nil, err
		}
		columns = append(columns, c)
	}
	if b.of.soft {
		bits := make([]byte, (len(some)+7)/8)
		for i, at := range some {
			if b.entries[at].deleted {
				bits[i>>3] |= 1 << (i & 7)
			}
		}
		columns = append(columns, booleans(bits, len(some)))
	}
	return columns, nil
}

func (b *Batch) putPatched(ctx context.Context, put putter, some []int) error {
	columns, err := b.images(ctx, some)
	if err != nil {
		return err
	}
	return put(ctx, columns, len(some))
}

// putKept puts rows of which the landed table has some values, and says which and
// under which key.
func (b *Batch) putKept(ctx context.Context, put putter, some []int) error {
	columns, err := b.images(ctx, some)
	if err != nil {
		return err
	}
	marks := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	defer marks.Release()
	olds := make([]place, len(some))
	for i, at := range some {
		p := b.entries[at].patch
		marks.Append(parts.KeptMark(p.kept))
		olds[i] = p.old
	}
	columns = append(columns, marks.NewArray())
	for _, column := range b.of.keyAt {
		c, err := b.gather(ctx, column, olds)
		if err != nil {
			releaseAll(columns)
			return err
		}
		columns = append(columns, c)
	}
	return put(ctx, columns, len(some))
}

func (b *Batch) putGone(ctx context.Context, put putter, some []int) error {
	places := make([]place, len(some))
	for i, at := range some {
		places[i] = b.entries[at].place
	}
	var columns []arrow.Array
	for _, column := range b.of.keyAt {
		c, err := b.gather(ctx, column, places)
		if err != nil {
			releaseAll(columns)
			return err
		}
		columns = append(columns, c)
	}
	return put(ctx, columns, len(some))
}

// gather makes a column of values that lie in several batches.
func (b *Batch) gather(ctx context.Context, column int, places []place) (arrow.Array, error) {
	order := make([]int, len(places))
	for i := range order {
		order[i] = i
	}
	byRec := func(x, y int) int { return cmp.Compare(places[x].rec, places[y].rec) }
	sorted := slices.IsSortedFunc(order, byRec)
	if !sorted {
		slices.SortStableFunc(order, byRec)
	}
	var taken []arrow.Array
	defer func() { releaseAll(taken) }()
	for from := 0; from < len(order); {
		rec, to := places[order[from]].rec, from
		rows := make([]int32, 0, len(order)-from)
		for ; to < len(order) && places[order[to]].rec == rec; to++ {
			rows = append(rows, places[order[to]].row)
		}
		some, err := take(ctx, b.held[rec].columns[column], rows)
		if err != nil {
			return nil, err
		}
		taken, from = append(taken, some), to
	}
	if len(taken) == 1 && sorted {
		taken[0].Retain()
		return taken[0], nil
	}
	all, err := array.Concatenate(taken, memory.DefaultAllocator)
	if err != nil || sorted {
		return all, err
	}
	defer all.Release()
	back := make([]int32, len(order))
	for i, at := range order {
		back[at] = int32(i)
	}
	return take(ctx, all, back)
}

// take returns some rows of a column.
func take(ctx context.Context, column arrow.Array, rows []int32) (arrow.Array, error) {
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(rows), []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(rows))}, nil, 0, 0)
	defer data.Release()
	at := array.NewInt32Data(data)
	defer at.Release()
	return compute.TakeArrayOpts(ctx, column, at, compute.TakeOptions{BoundsCheck: false})
}
