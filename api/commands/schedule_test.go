package commands

import (
	"testing"

	"headwater/api/jobs"
)

// TestDecidedBy: what is found out only as the schedule is changed has its field, too.
func TestDecidedBy(t *testing.T) {
	for message, want := range map[string]string{
		`after: there is no source "src_1" in this workspace and scope`: "after",
		"the source is not connected":                                   "schedule",
	} {
		if got := decidedBy(jobs.FailedSource{Error: message}); got != want {
			t.Errorf("%s: %s, want %s", message, got, want)
		}
	}
}
