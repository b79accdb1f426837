package projections

import (
	"fmt"
	"testing"
	"time"

	"headwater/bus/event"
)

// BenchmarkApply folds syncs of 100 sources, by the batches of a rebuild and one
// by one.
func BenchmarkApply(b *testing.B) {
	for _, batch := range []int{1, 256} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			h := busy(100, 20_000)
			for b.Loop() {
				s := openMem(b)
				begin := time.Now()
				for from := 0; from < len(h.events); from += batch {
					apply(b, s, h.events[from:min(from+batch, len(h.events))]...)
				}
				b.ReportMetric(float64(len(h.events))/time.Since(begin).Seconds(), "events/s")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// busy is a history of connects, then of syncs with two checkpoints each.
func busy(sources, events int) *history {
	var h history
	for i := range sources {
		h.connect(at("ann", fmt.Sprint("src_", i)), fmt.Sprint("op_c", i), fmt.Sprint("name", i))
	}
	for i := 0; len(h.events) < events; i++ {
		a, op, id := at("ann", fmt.Sprint("src_", i%sources)), fmt.Sprint("op_s", i), fmt.Sprint("syn_", i)
		h.add(started(a, going(op, "sync", 1, 0), id, 1))
		h.add(progressed(a, going(op, "sync", 1, 0), id, table("running", "incremental", 5)))
		h.add(progressed(a, going(op, "sync", 1, 0), id, holding(int64(9*(i/sources)+7), table("running", "incremental", 7))))
		h.add(completed(a, final(op, "sync", 1, 0), id, "completed", holding(int64(9*(i/sources)+9), table("completed", "incremental", 9))))
	}
	return &h
}

// BenchmarkReads compares each read among 100 sources and 10 tables with the
// same among 100,000 and 10,000.
func BenchmarkReads(b *testing.B) {
	for _, size := range []struct{ sources, tables int }{{100, 10}, {100_000, 10_000}} {
		s := openMem(b)
		var h history
		for i := range size.sources {
			h.add(connected(at("ann", fmt.Sprint("src_", i)), final("op", "connect", 1, 0), fmt.Sprint("name", i)))
			if len(h.events)%1000 == 0 {
				apply(b, s, h.events[len(h.events)-1000:]...)
			}
		}
		names := make([]string, size.tables)
		for i := range names {
			names[i] = fmt.Sprintf("table%05d", i)
		}
		a := at("ann", "src_7")
		apply(b, s, append(h.events, h.add(discovered(a, final("op_d", "discover", 1, 0), 1, names...)))...)
		if err := s.db.Compact(b.Context(), []byte{0}, []byte{0xff}, true); err != nil {
			b.Fatal(err)
		}
		list := ListQuery{Organization: "acme", Workspace: "w1", Owner: "ann", Limit: 100}
		for name, read := range map[string]func() error{
			"list of 100": func() error { _, err := s.List(list); return err },
			"list as of": func() error {
				past := list
				past.AsOf = 100
				_, err := s.List(past)
				return err
			},
			"list version": func() error { _, _, err := s.ListVersion("acme", "w1", "ann"); return err },
			"find by name": func() error { _, _, _, err := s.FindSource("acme", "w1", "ann", "name77"); return err },
			"schema page":  func() error { _, err := s.SchemaPage(SchemaQuery{Address: a, Limit: 10}); return err },
			"one table":    func() error { _, err := s.SchemaPage(SchemaQuery{Address: a, Table: "table00005"}); return err },
			"apply": func() error {
				return s.Apply(&event.Event{Sequence: s.Position() + 1, Time: epoch, Data: started(a, going("op_s", "sync", 1, 0), "syn_1", 1)})
			},
		} {
			b.Run(fmt.Sprintf("%s/sources=%d", name, size.sources), func(b *testing.B) {
				for b.Loop() {
					if err := read(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
