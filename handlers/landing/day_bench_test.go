package landing

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/bus/bustest"
	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/upkeep"
)

// diary is a table of a few columns of which rows change.
func diary() driver.Table {
	return driver.Table{Namespace: "public", Name: "notes", PrimaryKey: []string{"id"}, Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64)}, {Name: "version", Type: driver.Of(driver.Int64)},
		{Name: "amount", Type: driver.Of(driver.Float64)}, {Name: "note", Type: driver.Of(driver.String)},
	}}
}

func diaryRows(random *rand.Rand, version int64, ids []int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(diary()))
	defer b.Release()
	for _, id := range ids {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.Int64Builder).Append(version)
		b.Field(2).(*array.Float64Builder).Append(random.Float64())
		b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("%x of %d, %x", random.Uint64(), id, random.Uint64()))
	}
	return b.NewRecordBatch()
}

// BenchmarkReadAfterADay has ClickHouse read a table of which 1 % was merged every
// minute for a day, and that was maintained by itself, beside the same rows as a full
// refresh lands them: at eight moments of the day, of which the worst counts.
func BenchmarkReadAfterADay(b *testing.B) {
	const rows, merges = 1_000_000, 24 * 60
	readers := bustest.Tool(b, "readers", "node_modules")
	script, err := filepath.Abs("testdata/scan.cjs")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	l, err := Open(b.Context(), dir, kvtest.New(), nil)
	if err != nil {
		b.Fatal(err)
	}
	alwaysIndexed(b, l)
	clock := time.Now()
	l.now = func() time.Time { return clock }
	random := rand.New(rand.NewPCG(1, 2))
	fence := uint64(0)
	land := func(name, mode string, ids []int64) Committed {
		fence++
		target := Target{Address: home, Table: diary(), SyncID: fmt.Sprint("syn_", fence), Fence: fence, Mode: mode, CursorColumn: "version"}
		if target.Table.Name = name; mode == Incremental {
			target.Merge, target.Key = true, []string{"id"}
		}
		w, err := l.Begin(b.Context(), target)
		if err != nil {
			b.Fatal(err)
		}
		var batches []arrow.RecordBatch
		for some := range slices.Chunk(ids, 50_000) {
			batches = append(batches, diaryRows(random, int64(fence), some))
		}
		done, err := made(b.Context(), w, batches...)
		if err == nil {
			err = w.Add(done...)
		}
		if err != nil {
			b.Fatal(err)
		}
		c, err := w.Commit(b.Context(), version(int64(fence)), true)
		if err != nil || c.Total != rows {
			b.Fatalf("%+v, %v", c, err)
		}
		return c
	}
	size := func(name string) float64 {
		tbl, err := l.catalog.LoadTable(b.Context(), kvcatalog.IdentifierOf(home, "public", name))
		if err != nil {
			b.Fatal(err)
		}
		return float64(upkeep.TotalsOf(tbl.CurrentSnapshot().Summary.Properties).Size)
	}
	places := [2]string{kvcatalog.Folders(kvcatalog.IdentifierOf(home, "public", "fresh")), kvcatalog.Folders(kvcatalog.IdentifierOf(home, "public", "notes"))}
	read := func() (took [2]float64) {
		node := exec.CommandContext(b.Context(), "node", script, places[0], places[1])
		node.Dir, node.Env = dir, append(os.Environ(), "NODE_PATH="+readers)
		out, err := node.Output()
		if err == nil {
			_, err = fmt.Sscan(string(out), &took[0], &took[1])
		}
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		return took
	}
	ids := make([]int64, rows)
	for i := range ids {
		ids[i] = int64(i)
	}
	land("notes", FullRefresh, ids)
	for range b.N {
		var slowest, worn, largest, held float64
		maintained := 0
		for minute := 1; minute <= merges; minute++ {
			clock = clock.Add(time.Minute)
			var some []int64
			for _, id := range random.Perm(rows)[:rows/100] {
				some = append(some, int64(id))
			}
			if c := land("notes", Incremental, some); c.Upkeep {
				done, err := l.Maintain(b.Context(), home, "public", "notes", false)
				if err != nil {
					b.Fatal(err)
				}
				if done.Why != "" {
					maintained++
				}
			}
			if minute%179 != 0 {
				continue
			}
			land("fresh", FullRefresh, ids)
			took := read()
			if x := took[1] / took[0]; x > slowest {
				slowest, worn = x, took[1]
			}
			if x := size("notes") / size("fresh"); x > largest {
				largest, held = x, size("notes")
			}
		}
		b.ReportMetric(slowest, "x-read")
		b.ReportMetric(worn, "read-ms")
		b.ReportMetric(largest, "x-bytes")
		b.ReportMetric(held/1e6, "MB")
		b.ReportMetric(float64(maintained), "maintenances")
	}
}
