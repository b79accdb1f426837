package landing

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/bus/kv/kvtest"
)

// BenchmarkMerge merges 100,000 rows, evenly spread, into 5,000,000, and into
// what the merges before have left.
func BenchmarkMerge(b *testing.B) {
	const landed, upserts = 5_000_000, 100_000
	l, err := Open(b.Context(), b.TempDir(), kvtest.New(), nil)
	if err != nil {
		b.Fatal(err)
	}
	fence := uint64(0)
	merge := func(batches ...arrow.RecordBatch) {
		fence++
		target := merging(fence, fmt.Sprint("syn_", fence))
		target.Deleted = ""
		w, err := l.Begin(b.Context(), target)
		if err != nil {
			b.Fatal(err)
		}
		done, err := made(b.Context(), w, batches...)
		if err == nil {
			err = w.Add(done...)
		}
		if err != nil {
			b.Fatal(err)
		}
		if fence > 1 {
			b.StartTimer()
		}
		c, err := w.Commit(b.Context(), version(1), true)
		b.StopTimer()
		if err != nil || c.Total != landed {
			b.Fatalf("%+v, %v", c, err)
		}
	}
	var batches []arrow.RecordBatch
	for from := int64(0); from < landed; from += 100_000 {
		all := make([]account, 100_000)
		for i := range all {
			all[i] = account{id: from + int64(i), version: 1}
		}
		batches = append(batches, accountRows(all...))
	}
	b.StopTimer()
	merge(batches...)
	for range b.N {
		all := make([]account, upserts)
		for i, id := range rand.Perm(landed)[:upserts] {
			all[i] = account{id: int64(id), version: 1}
		}
		merge(accountRows(all...))
	}
}
