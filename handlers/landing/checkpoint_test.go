package landing

import (
	"fmt"
	"testing"

	"headwater/bus/kv/kvtest"
)

func TestCheckpoints(t *testing.T) {
	l := openLake(t, kvtest.New())
	if all, err := l.Checkpoints(t.Context(), home); err != nil || len(all) != 0 {
		t.Fatalf("of nothing: %v, %v", all, err)
	}
	w := begin(t, l, merging(1, "syn_1"))
	put(t, w, account{1, 1, false}, account{2, 2, false})
	commit(t, w, version(2), false)
	put(t, w, account{1, 3, false}, account{3, 4, false})
	commit(t, w, version(4), true)
	w = begin(t, l, merging(2, "syn_2"))
	put(t, w, account{2, 5, true})
	last := commit(t, w, version(5), true)
	w = begin(t, l, full(1, "syn_3")) // another table, without a cursor
	write(t, w, 0, 5)
	commit(t, w, nil, true)

	all, err := l.Checkpoints(t.Context(), home)
	if err != nil || len(all) != 2 || len(all["public.orders"]) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	got := ""
	for _, c := range all["public.accounts"] {
		got += fmt.Sprintln(c.SyncID, *c.Cursor.Value, c.Total, c.Final)
		if c.Time.IsZero() || c.SnapshotID == 0 {
			t.Errorf("%+v", c)
		}
	}
	if want := "syn_2 5 2 true\nsyn_1 4 3 true\nsyn_1 2 2 false\n"; got != want {
		t.Errorf("checkpoints:\n%swant\n%s", got, want)
	}
	if all["public.accounts"][0].SnapshotID != last.SnapshotID {
		t.Error("the newest checkpoint is not the last commit")
	}

	// From the first of them, everything after it is read and merged again.
	target := merging(3, "syn_4")
	target.From = &all["public.accounts"][2].Cursor
	w = begin(t, l, target)
	put(t, w, account{1, 3, false}, account{3, 4, false})
	commit(t, w, version(5), true)
	wantAccounts(t, l, map[int64][]int64{1: {3}, 3: {4}})
}
