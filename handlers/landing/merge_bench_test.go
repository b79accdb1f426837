package landing

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/keyindex"
)

// merger merges into a table of accounts.
type merger struct {
	*testing.B
	lake  *Lake
	rows  int64
	fence uint64
}

func newMerger(b *testing.B, rows int64) *merger {
	b.Helper()
	index, err := keyindex.Open(b.TempDir(), 1<<40)
	if err != nil {
		b.Fatal(err)
	}
	l, err := Open(b.Context(), b.TempDir(), kvtest.New(), nil, KeyIndex(index))
	if err != nil {
		b.Fatal(err)
	}
	m := &merger{b, l, rows, 0}
	m.merge(func(put func(arrow.RecordBatch)) {
		for from := int64(0); from < rows; from += 50_000 {
			all := make([]account, min(50_000, rows-from))
			for i := range all {
				all[i] = account{id: from + int64(i), version: 1}
			}
			put(accountRows(all...))
		}
	})
	return m
}

// spread merges so many accounts, spread evenly.
func (m *merger) spread(changes int) {
	m.Helper()
	all := make([]account, 0, changes)
	seen := map[int64]bool{}
	for len(all) < changes {
		if id := rand.Int64N(m.rows); !seen[id] {
			all, seen[id] = append(all, account{id: id, version: 1}), true
		}
	}
	m.merge(func(put func(arrow.RecordBatch)) { put(accountRows(all...)) })
}

func (m *merger) merge(rows func(put func(arrow.RecordBatch))) {
	m.Helper()
	m.fence++
	target := merging(m.fence, fmt.Sprint("syn_", m.fence))
	target.Deleted = ""
	w, err := m.lake.Begin(m.Context(), target)
	if err != nil {
		m.Fatal(err)
	}
	enc := encoder(w, 0)
	rows(func(rec arrow.RecordBatch) {
		if err := enc.Put(m.Context(), rec); err != nil {
			m.Fatal(err)
		}
	})
	done, err := enc.Finish()
	if err == nil {
		err = w.Add(done...)
	}
	if err != nil {
		m.Fatal(err)
	}
	c, err := w.Commit(m.Context(), version(1), true)
	if err != nil || c.Total != m.rows {
		m.Fatalf("%+v, %v", c, err)
	}
}

// BenchmarkMerge merges 100,000 rows, evenly spread, into 5,000,000, and into
// what the merges before have left.
func BenchmarkMerge(b *testing.B) {
	b.StopTimer()
	m := newMerger(b, 5_000_000)
	b.StartTimer()
	for range b.N {
		m.spread(100_000)
	}
}

// BenchmarkMergeOfFew merges 10,000 rows, evenly spread, into tables of several
// sizes: what that costs in processor time, in memory, and on the node's disk.
func BenchmarkMergeOfFew(b *testing.B) {
	for _, rows := range []int64{500_000, 5_000_000, 50_000_000} {
		b.Run(strconv.FormatInt(rows, 10), func(b *testing.B) {
			m := newMerger(b, rows)
			began := processorTime()
			m.spread(10_000)
			first := processorTime() - began
			const merges = 9
			var took []time.Duration
			b.ResetTimer()
			for range b.N {
				forgetPeak(b)
				before := resident(b, "VmRSS")
				for range merges {
					began := processorTime()
					m.spread(10_000)
					took = append(took, processorTime()-began)
				}
				b.ReportMetric(float64(resident(b, "VmHWM")-before)/1024, "peak-MiB")
			}
			slices.Sort(took)
			b.ReportMetric(first.Seconds(), "first-cpu-s")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "cpu-ms")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "most-cpu-ms")
		})
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// forgetPeak has the kernel count the most resident memory anew.
func forgetPeak(b *testing.B) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Skip(err)
	}
}

// resident returns a figure of this process's memory, KiB.
func resident(b *testing.B, name string) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := bytes.Cut(status, []byte(name+":"))
	n, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		b.Fatal(err)
	}
	return n
}
