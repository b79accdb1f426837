package commands

import (
	"strings"
	"testing"

	"headwater/bus/event"
	"headwater/projections"
)

// What is told to whoever gives options to a running sync can be done: one that goes
// on is not waited for.
func TestOptionsBesideARunningSync(t *testing.T) {
	s := projections.Source{Name: "shop", Running: &projections.Running{SyncID: "syn_1", Operation: event.Operation{ID: "op_1"}}}
	s.Address.Source = "src_1"
	if got := unchangeable(s); !strings.Contains(got, "wait for it, cancel it") {
		t.Errorf("a sync that ends: %s", got)
	}
	s.Schedule = &projections.Schedule{LastRun: &projections.Run{OperationID: "op_1"}}
	s.Schedule.Continuous = true
	if got := unchangeable(s); strings.Contains(got, "wait for it") || !strings.Contains(got, "headwater schedule pause shop") || !strings.Contains(got, `PUT sources/src_1/schedule with "paused": true`) {
		t.Errorf("one that goes on: %s", got)
	}
	s.Schedule.Paused = true
	if got := unchangeable(s); !strings.Contains(got, "try again in a moment") {
		t.Errorf("one that is about to end: %s", got)
	}
}
