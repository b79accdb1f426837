package landing

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/retain"
)

// Every state of the grace is found, by its time and by its snapshot, also those
// that the metadata lists no more; none is taken for another.
func TestEveryMomentOfTheGrace(t *testing.T) {
	l := openLake(t, kvtest.New())
	var moments []time.Time
	var snapshots []int64
	land := func(fence uint64, rows int64) {
		t.Helper()
		target, next := incremental(fence, fmt.Sprint("syn_", fence)), behind(1000*int64(fence)+rows)
		if fence%3 == 0 { // generations, which are listed for longer, lie between
			target, next = full(fence, fmt.Sprint("syn_", fence)), nil
		}
		w := begin(t, l, target)
		write(t, w, 1000*int64(fence), 1000*int64(fence)+rows)
		snapshots = append(snapshots, commit(t, w, next, true).SnapshotID)
		moments = append(moments, nextMillisecond())
	}
	var rows []int64
	for fence := uint64(1); fence <= 12; fence++ {
		land(fence, int64(fence)*10)
		n, err := l.Count(t.Context(), home, "public", "orders")
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, n)
	}
	for i, want := range rows {
		for _, m := range []Moment{{Time: moments[i]}, {SnapshotID: snapshots[i]}} {
			then, err := l.Show(t.Context(), home, "public", "orders", 1000, m)
			if err != nil || then.Total != want || int64(len(then.Rows)) != want || then.SnapshotID != snapshots[i] {
				t.Errorf("commit %d as of %+v: %d of %d rows of %d, want %d of %d: %v", i, m, len(then.Rows), then.Total, then.SnapshotID, want, snapshots[i], err)
			}
		}
	}
	l.now = func() time.Time { return time.Now().Add(retain.Grace + time.Minute) }
	land(13, 1)
	for i, m := range []Moment{{Time: moments[2]}, {SnapshotID: snapshots[2]}} {
		if _, err := l.Show(t.Context(), home, "public", "orders", 1, m); !errors.Is(err, ErrExpired) {
			t.Errorf("%d: beyond the grace: %v", i, err)
		}
	}
}
