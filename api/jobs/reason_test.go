package jobs

import (
	"testing"

	"headwater/bus/event"
)

// TestEveryReasonHasAStatus holds that the table of reasons is whole.
func TestEveryReasonHasAStatus(t *testing.T) {
	if len(outcomes) != len(event.Reasons()) {
		t.Errorf("%d reasons have a status, there are %d", len(outcomes), len(event.Reasons()))
	}
	for _, reason := range event.Reasons() {
		if outcomes[reason] == 0 {
			t.Errorf("%s has no status", reason)
		}
	}
	for _, test := range []struct {
		reasons []event.Reason
		status  int
		code    string
	}{
		{[]event.Reason{event.ReasonConflict, event.ReasonConflict}, 409, "conflict"},
		{[]event.Reason{event.ReasonConflict, event.ReasonUnreachable}, 422, "failed"},
		{[]event.Reason{event.ReasonTimeout, event.ReasonUnreachable}, 422, "failed"},
		{[]event.Reason{"new_reason"}, 422, "new_reason"},
		{nil, 422, "failed"},
	} {
		if status, code := StatusOf(test.reasons); status != test.status || code != test.code {
			t.Errorf("%v: %d %s", test.reasons, status, code)
		}
	}
}
