package projections

import (
	"fmt"
	"testing"
)

// Landed tables of all sources come a few at a time, each once, in the same order.
func TestLandedFrom(t *testing.T) {
	s := openMem(t)
	h := &history{}
	want := map[string]bool{}
	for i := range 7 {
		a, op, sync := at("ann", fmt.Sprint("src_", i)), going(fmt.Sprint("op_", i), "sync", 1, 0), fmt.Sprint("syn_", i)
		apply(t, s, h.add(connected(a, final(fmt.Sprint("op_c", i), "connect", 1, 0), fmt.Sprint("name ", i))), h.add(started(a, op, sync, 1)))
		for _, name := range []string{"a", "b.c"} {
			r := table("running", "incremental", 3)
			r.Name = name
			apply(t, s, h.add(progressed(a, op, sync, holding(3, r))))
			want[a.Source+name] = true
		}
	}
	for _, most := range []int{1, 5, 14, 100} {
		seen := map[string]bool{}
		for from, looks := "", 0; ; looks++ {
			tables, next, err := s.LandedFrom(from, most)
			if err != nil || len(tables) > most || looks > len(want) {
				t.Fatalf("look %d: %d tables, %v", looks, len(tables), err)
			}
			for _, found := range tables {
				key := found.Address.Source + found.Name
				if seen[key] || !want[key] || found.Namespace != "public" || found.Address.Owner != "ann" {
					t.Errorf("%+v is not one, or comes again", found)
				}
				seen[key] = true
			}
			if from = next; from == "" {
				break
			}
		}
		if len(seen) != len(want) {
			t.Errorf("%d at a time: %d of %d tables", most, len(seen), len(want))
		}
	}
}
