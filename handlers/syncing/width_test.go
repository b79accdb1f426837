package syncing

import (
	"testing"

	"headwater/handlers/extract"
)

// widened counts how often a connection was told to read wide.
type widened struct {
	extract.Session
	times int
}

func (w *widened) Widen() { w.times++ }

// Several landers share the ranges that a sync reads at once; the last one has them
// all, also in the middle of a read. A connection that is closed is left alone.
func TestLandersShareTheRanges(t *testing.T) {
	a := &attempt{h: &Syncs{Options: Options{TableParallelism: 3}}}
	all := a.landers(5)
	if len(all) != 3 || len(a.landers(2)) != 2 {
		t.Fatalf("%d landers", len(all))
	}
	all = a.landers(5)
	conns := make([]*widened, len(all))
	for i, l := range all {
		conns[i] = &widened{}
		l.conn = conns[i]
	}
	for ranges, want := range map[int]int{2: 1, 6: 2, 8: 2, 12: 0} { // of up to 4
		if got := a.width.narrow(all[0], ranges, 4); got != want {
			t.Errorf("one of three landers reads %d of %d ranges, want %d", got, ranges, want)
		}
	}
	a.width.narrow(all[1], 2, 4)
	a.width.leave(all[2])
	if conns[0].times+conns[1].times > 0 {
		t.Error("a read is wide while another goes on")
	}
	a.width.leave(all[0])
	if conns[0].times != 0 || conns[1].times != 1 {
		t.Errorf("the last lander was told %d times", conns[1].times)
	}
	if got := a.width.narrow(all[1], 2, 4); got != 0 {
		t.Errorf("the last lander reads %d ranges", got)
	}

	all = a.landers(2)
	for i, l := range all {
		l.conn = conns[i]
		a.width.narrow(l, 2, 4)
	}
	a.width.forget(all[1])
	if a.width.leave(all[0]); conns[1].times != 1 {
		t.Error("a closed connection was told to read wide")
	}
	if a.width.leave(all[1]); len(a.width.reads) != 0 {
		t.Errorf("%d landers are left", len(a.width.reads))
	}
}
