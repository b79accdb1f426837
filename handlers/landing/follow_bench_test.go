package landing

import (
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/extract/collapse"
)

func spent() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// orderChanges are changes of orders: inserts behind next, and for each two of them
// an update of a row before.
func orderChanges(next *int64, n int) driver.Changes {
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(orders()))
	defer b.Release()
	c := driver.Changes{}
	for i := range n {
		id, op := *next, driver.OpInsert
		if i%3 == 2 {
			id, op = (*next*7919+int64(i)*104729)%*next, driver.OpUpdate
		} else {
			*next++
		}
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("order %d, changed", id))
		c.Ops = append(c.Ops, op)
	}
	c.Record = b.NewRecordBatch()
	return c
}

// BenchmarkChanges is what ten flushes of 100,000 changes each cost from the log's
// batches to commits, into a table of a million rows.
func BenchmarkChanges(b *testing.B) {
	for range b.N {
		l, err := Open(b.Context(), b.TempDir(), kvtest.New(), nil)
		if err != nil {
			b.Fatal(err)
		}
		target := Target{Address: home, Table: orders(), SyncID: "syn_1", Fence: 1, Mode: FullRefresh, Key: []string{"id"}, Position: "1"}
		w, err := beginEncoding(b.Context(), l, target)
		if err != nil {
			b.Fatal(err)
		}
		next := int64(1_000_000)
		for id := int64(0); id < next; id += 50_000 {
			if err := w.Write(b.Context(), rows(id, id+50_000)); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Commit(b.Context(), nil, true); err != nil {
			b.Fatal(err)
		}
		target.Mode, target.Position = Changes, ""
		f, err := l.Begin(b.Context(), target)
		if err != nil {
			b.Fatal(err)
		}
		var flushes [][]driver.Changes
		for range 10 {
			var one []driver.Changes
			for range 25 {
				one = append(one, orderChanges(&next, 4000))
			}
			flushes = append(flushes, one)
		}
		began := spent()
		t, err := collapse.New(collapse.Config{Table: f.Table(), Layout: f.Layout(), Key: target.Key, Files: writing{f}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		for i, one := range flushes {
			for _, c := range one {
				if err := t.Take(c); err != nil {
					b.Fatal(err)
				}
			}
			made, err := t.Seal().Encode(b.Context())
			if err == nil {
				err = f.Change(fmt.Sprint(i+2), made)
			}
			if err == nil {
				_, err = f.Commit(b.Context(), nil, i == 9)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(1e6/(spent()-began).Seconds(), "changes/cpu-s")
	}
}
