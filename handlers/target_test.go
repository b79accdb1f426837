package handlers

import (
	"slices"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
)

// What a sync is asked of each table reaches the lake, and its rows land once.
func TestOptionsReachTheLake(t *testing.T) {
	w := newWorld(t, quick())
	var targets []landing.Target
	w.faults.begin = func(t landing.Target) error {
		targets = append(targets, t)
		return nil
	}
	w.connect()
	sync := func(o command.SyncOptions) (landing.Target, event.TableResult) {
		t.Helper()
		o.Mode, o.BatchSize = landing.Incremental, 10
		if op := w.do(w.syncCommand(o)); op.Status != "completed" {
			t.Fatalf("%+v: %+v", o, op.Targets)
		}
		w.idle()
		return targets[len(targets)-1], last[*event.SyncCompleted](w).Tables[0]
	}
	sync(command.SyncOptions{})
	at := "99"
	w.source.put("orders", 120)

	got, done := sync(command.SyncOptions{Lookback: "30"})
	if got.Back == nil || *got.Back(driver.Cursor{Column: "id", Value: &at}).Value != "69" || got.Merge {
		t.Errorf("lookback: %+v", got)
	}
	w.wantLanded("orders", 0, 120)
	if done.Cursor != "119" || done.Estimate != nil {
		t.Errorf("%+v", done)
	}

	got, _ = sync(command.SyncOptions{StartFrom: map[string]string{"orders": "50"}, Merge: true})
	if got.From == nil || *got.From.Value != "50" || !got.Merge || !slices.Equal(got.Key, []string{"id"}) {
		t.Errorf("start_from: %+v", got)
	}
	w.wantLanded("orders", 0, 120)
	if sent := w.source.sent("orders"); sent != 100+50+69 {
		t.Errorf("%d rows were read, wanted 100 + 50 + 69", sent)
	}

	w.source.put("orders", 40)
	if got, _ = sync(command.SyncOptions{Reset: []string{"ord*"}, Lookback: "5"}); !got.Reset || got.From != nil {
		t.Errorf("reset: %+v", got)
	}
	w.wantLanded("orders", 0, 40)
}
