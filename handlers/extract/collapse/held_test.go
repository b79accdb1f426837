package collapse

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
	"headwater/handlers/landing/parts"
)

// wide is a table of a key and so many columns of text.
func wide(columns int) driver.Table {
	t := driver.Table{Name: "wide", PrimaryKey: []string{"id"}, Columns: []driver.Column{{Name: "id", Type: driver.Of(driver.Int64)}}}
	for i := range columns {
		t.Columns = append(t.Columns, driver.Column{Name: fmt.Sprintf("c%d", i), Type: driver.Of(driver.String), Nullable: true})
	}
	return t
}

// ofWide is a batch of so many changes, each to a row of its own, with the text in each column. The
// builder makes room as it likes, as those of sources do.
func ofWide(t driver.Table, op driver.Op, first, rows int, text string) driver.Changes {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(t))
	defer b.Release()
	c := driver.Changes{}
	for row := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(first + row))
		for i := range t.Columns[1:] {
			b.Field(1 + i).(*array.StringBuilder).Append(text)
		}
		c.Ops = append(c.Ops, op)
	}
	c.Record, c.Ends = b.NewRecordBatch(), []driver.End{{Rows: rows}}
	return c
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What a table says that it holds is what it keeps from being collected: the limit of
// ChangesRequest.Memory stands on it.
func TestHeldIsWhatIsInUse(t *testing.T) {
	kept := func(c driver.Changes) driver.Changes { // long values that the log did not repeat
		c.Kept = map[int][]int{}
		for row := range c.Ops {
			c.Kept[row] = []int{2, 3}
		}
		return c
	}
	for name, made := range map[string]struct {
		columns, batches int
		batch            func(of driver.Table, i int) driver.Changes
	}{
		"short rows":                          {1, 64, func(of driver.Table, i int) driver.Changes { return ofWide(of, driver.OpInsert, i*4096, 4096, "x") }},
		"batches past a power of two":         {4, 64, func(of driver.Table, i int) driver.Changes { return ofWide(of, driver.OpInsert, i*4200, 4200, "words") }},
		"few keys":                            {4, 64, func(of driver.Table, i int) driver.Changes { return ofWide(of, driver.OpUpdate, 0, 4096, "words") }},
		"a thousand columns, a row at a time": {1000, 64, func(of driver.Table, i int) driver.Changes { return ofWide(of, driver.OpInsert, i, 1, "x") }},
		"long rows": {50, 8, func(of driver.Table, i int) driver.Changes {
			return ofWide(of, driver.OpInsert, i*5, 5, strings.Repeat("x", 20_000))
		}},
		"values that are kept": {8, 16, func(of driver.Table, i int) driver.Changes {
			return kept(ofWide(of, driver.OpUpdate, i*4096, 4096, "x"))
		}},
		"values that are taken from the row before": {8, 16, func(of driver.Table, i int) driver.Changes {
			if c := ofWide(of, driver.OpInsert, i/2*4096, 4096, "x"); i%2 == 0 {
				return c
			}
			return kept(ofWide(of, driver.OpUpdate, i/2*4096, 4096, "x"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			of := wide(made.columns)
			table, err := New(Config{Table: of, Layout: parts.Layout{Schema: driver.ArrowSchema(of)}, Key: []string{"id"}, Files: &nowhere{}, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			before := inUse()
			for i := range made.batches {
				if err := table.Take(made.batch(of, i)); err != nil {
					t.Fatal(err)
				}
			}
			used, says := inUse()-before, table.Held()
			runtime.KeepAlive(table)
			t.Logf("in use %d KiB, held %d KiB, %.2f", used>>10, says>>10, float64(says)/float64(used))
			if says < used*8/10 || says > used*3/2 {
				t.Errorf("%d KiB are in use, and %d KiB are said to be held", used>>10, says>>10)
			}
		})
	}
}
