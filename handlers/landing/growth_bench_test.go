package landing

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// What a commit of one small file costs after 3,600 others, beside one of the
// first hundred, without the disk's own time.
func BenchmarkCommits(b *testing.B) {
	content, p := onePart(b)
	for range b.N {
		l, store := memoryLake()
		var took []time.Duration
		for i := range 3700 {
			began := time.Now()
			w, err := l.Begin(b.Context(), incremental(uint64(i+1), fmt.Sprint("syn_", i)))
			if err != nil {
				b.Fatal(err)
			}
			p.Name = w.NextName()
			if err := errors.Join(store.WriteFile(p.Name, content), w.Add(p)); err != nil {
				b.Fatal(err)
			}
			if _, err := w.Commit(b.Context(), behind(int64(i)), true); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		first, last := slices.Sorted(slices.Values(took[:100]))[50], slices.Sorted(slices.Values(took[3600:]))[50]
		b.ReportMetric(float64(first.Microseconds()), "first-µs")
		b.ReportMetric(float64(last.Microseconds()), "last-µs")
	}
}
