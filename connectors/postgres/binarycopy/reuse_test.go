package binarycopy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
)

// reusing decodes rows of a column of each layout, batches of so many rows.
func reusing(t *testing.T, rows int64, emit func(arrow.RecordBatch)) func(row []byte) {
	t.Helper()
	table := driver.Table{Name: "t", Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64), Nullable: true}, {Name: "yes", Type: driver.Of(driver.Boolean), Nullable: true},
		{Name: "text", Type: driver.Of(driver.String), Nullable: true}, {Name: "uid", Type: driver.Of(driver.UUID), Nullable: true},
	}}
	d := NewDecoder(table, []Decoding{AsInt8, AsBool, AsText, AsUUID}, "", driver.Limits{BatchRows: int(rows)}.WithDefaults(), func(b driver.Batch) error {
		emit(b.Record)
		return nil
	})
	if err := d.Message(append(bytes.Clone(signature), make([]byte, 8)...)); err != nil {
		t.Fatal(err)
	}
	return func(row []byte) {
		if err := d.Message(row); err != nil {
			t.Fatal(err)
		}
	}
}

// messageOf returns the row with a number as the server sends it.
func messageOf(row int) []byte {
	p := binary.BigEndian.AppendUint16(nil, 4)
	for _, v := range fieldsOf(row) {
		if v == nil {
			p = binary.BigEndian.AppendUint32(p, 1<<32-1)
			continue
		}
		p = append(binary.BigEndian.AppendUint32(p, uint32(len(v))), v...)
	}
	return p
}

// fieldsOf returns the row with a number: one in three has NULLs, and no two that
// follow one another at the same place of a batch are alike.
func fieldsOf(row int) [][]byte {
	null := func(every int, v []byte) []byte {
		if row%every == 0 {
			return nil
		}
		return v
	}
	return [][]byte{
		null(3, binary.BigEndian.AppendUint64(nil, uint64(row))), null(5, []byte{byte(row / 7 % 2)}),
		null(4, fmt.Appendf(nil, "%0*d", row%97, row)), null(7, fmt.Appendf(nil, "%016d", row)),
	}
}

// holds compares a batch with the rows that it is of.
func holds(t *testing.T, rec arrow.RecordBatch, first int) {
	t.Helper()
	for i := range int(rec.NumRows()) {
		want := fieldsOf(first + i)
		for at, column := range rec.Columns() {
			if column.IsNull(i) != (want[at] == nil) {
				t.Fatalf("row %d, column %d: NULL %t", first+i, at, column.IsNull(i))
			}
			storage := column
			if e, ok := column.(array.ExtensionArray); ok {
				storage = e.Storage()
			}
			var got []byte
			switch a := storage.(type) {
			case *array.Int64:
				got = binary.BigEndian.AppendUint64(nil, uint64(a.Value(i)))
				if want[at] == nil {
					want[at] = make([]byte, 8)
				}
			case *array.Boolean:
				got = []byte{0}
				if a.Value(i) {
					got[0] = 1
				}
				if want[at] == nil {
					want[at] = []byte{0}
				}
			case *array.String:
				got = []byte(a.Value(i))
			case *array.FixedSizeBinary:
				got = a.Value(i)
				if want[at] == nil {
					want[at] = make([]byte, 16)
				}
			}
			if !bytes.Equal(got, want[at]) {
				t.Fatalf("row %d, column %d: %q where %q was", first+i, at, got, want[at])
			}
		}
	}
}

// A batch lies where one was that is released, and nothing of that one shows. What
// somebody still holds, as a whole or in part, stays as it is.
func TestReleasedBatchesAreUsedAgain(t *testing.T) {
	const rows = 300 // no whole bytes of bits
	first := 0
	type kept struct {
		rec   arrow.RecordBatch
		first int
	}
	var all []kept
	put := reusing(t, rows, func(rec arrow.RecordBatch) {
		holds(t, rec, first)
		switch first / rows % 8 {
		case 3:
			rec.Retain()
			all = append(all, kept{rec, first})
		case 5:
			all = append(all, kept{rec.NewSlice(17, 211), first + 17})
		}
		rec.Release()
		first += int(rec.NumRows())
	})
	for row := range 100 * rows {
		put(messageOf(row))
	}
	if len(all) < 20 {
		t.Fatalf("%d batches are held", len(all))
	}
	for _, k := range all {
		holds(t, k.rec, k.first)
		k.rec.Release()
	}
}

// Reading on allocates next to nothing for values where batches are released.
func TestReadingAllocatesLittle(t *testing.T) {
	const rows = 4096
	var messages [rows][]byte
	for row := range messages {
		messages[row] = messageOf(row)
	}
	put := reusing(t, rows, func(rec arrow.RecordBatch) { rec.Release() })
	var before, after runtime.MemStats
	for range 10 {
		runtime.ReadMemStats(&before)
		for range 16 {
			for _, m := range messages {
				put(m)
			}
		}
		runtime.ReadMemStats(&after)
		// The values have some 400 KB a batch. A pool forgets at times, with the race detector often.
		if after.TotalAlloc-before.TotalAlloc < 16*200_000 {
			return
		}
	}
	t.Errorf("%d bytes were allocated for 16 batches", after.TotalAlloc-before.TotalAlloc)
}
