package landing

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
)

// Random syncs that crash anywhere leave what a map holds that had the same
// rows put and deleted.
func TestMergeIsAMap(t *testing.T) {
	if testing.Short() {
		if err := flag.Set("rapid.checks", "30"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		l := openLakeAt(t, t.TempDir(), kvtest.New())
		l.patience = 0
		l.passKeys = rapid.SampledFrom([]int64{3, passKeys}).Draw(rt, "keys in memory")
		if rapid.Bool().Draw(rt, "indexed") {
			alwaysIndexed(t, l)
		}
		want := map[int64]int64{}
		next, fence := int64(0), uint64(0)
		for sync := range rapid.IntRange(1, 4).Draw(rt, "syncs") {
			// What the source has changed since, in order, in commits.
			var commits [][]account
			for range rapid.IntRange(1, 3).Draw(rt, "commits") {
				var rows []account
				for range rapid.IntRange(0, 12).Draw(rt, "rows") {
					next++
					rows = append(rows, account{rapid.Int64Range(0, 9).Draw(rt, "id"), next, rapid.IntRange(0, 3).Draw(rt, "gone") == 0})
				}
				commits = append(commits, rows)
			}
			last := next
			target := merging(0, fmt.Sprint("syn_", sync))
			target.Reset = rapid.IntRange(0, 5).Draw(rt, "reset") == 0
			if target.Reset {
				clear(want)
			}
			attempt := func() {
				fence++
				target.Fence = fence
				w, err := beginEncoding(t.Context(), l, target)
				if err != nil {
					rt.Fatal(err)
				}
				if _, finished := w.Finished(); finished {
					return
				}
				var from int64 = -1
				if c := w.Cursor(); c.Value != nil {
					fmt.Sscan(*c.Value, &from)
				}
				for i, rows := range commits {
					left := slices.DeleteFunc(slices.Clone(rows), func(a account) bool { return a.version <= from })
					for half := range slices.Chunk(left, 5) {
						rec := accountRows(half...)
						if err := w.Write(t.Context(), rec); err != nil {
							rt.Fatal(err)
						}
						rec.Release()
					}
					final := i == len(commits)-1
					var at *driver.Cursor
					if final {
						at = version(last)
					} else if len(rows) > 0 {
						at = version(max(from, rows[len(rows)-1].version))
					}
					if _, err := w.Commit(t.Context(), at, final); err != nil {
						rt.Fatal(err)
					}
				}
			}
			step := rapid.SampledFrom([]string{"", "parts", "deletes", "metadata", "swapped"}).Draw(rt, "crash at")
			if step != "" {
				crash(l, step, rapid.IntRange(1, 3).Draw(rt, "nth"), attempt)
			}
			attempt()
			if rapid.Bool().Draw(rt, "maintain") {
				asked := rapid.Bool().Draw(rt, "asked")
				maintain := func() {
					if _, err := l.Maintain(t.Context(), home, "public", "accounts", asked); err != nil {
						rt.Fatal(err)
					}
				}
				if step := rapid.SampledFrom([]string{"", "rewritten", "deletes", "manifests", "metadata", "swapped", "swept"}).Draw(rt, "maintenance crashes at"); step != "" {
					crash(l, step, 1, maintain)
					asked = true
				}
				maintain()
			}
			for _, rows := range commits {
				for _, a := range rows {
					if a.gone {
						delete(want, a.id)
					} else {
						want[a.id] = a.version
					}
				}
			}
			got, err := readers(t.Context(), l, "accounts")
			if err != nil {
				rt.Fatal(err)
			}
			model := map[int64][]int64{}
			for id, v := range maps.All(want) {
				model[id] = []int64{v}
			}
			if diff := cmp.Diff(model, got); diff != "" {
				rt.Fatal(diff)
			}
			if left, err := orphans(t.Context(), l, "accounts"); err != nil || len(left) > 0 {
				rt.Fatalf("orphans %v, %v", left, err)
			}
		}
	})
}
