package quota

import (
	"fmt"
	"testing"
	"time"
)

// TestRefusalsAreBounded holds that a flood of one caller adds little to the
// history, leaves others theirs, and is counted.
func TestRefusalsAreBounded(t *testing.T) {
	var a Refusals
	now := time.Now()
	take := func(org, caller string) bool { _, ok := a.Take(org, caller, now); return ok }
	recorded := 0
	for range 100_000 {
		if take("acme", "mallory") {
			recorded++
		}
	}
	if recorded != refusalsOfCaller {
		t.Errorf("%d refusals of one caller are recorded", recorded)
	}
	if !take("acme", "ada") || !take("other", "ada") {
		t.Error("a flood of one caller hides what others are refused")
	}
	for i := range 100_000 {
		if take("flood", fmt.Sprint("user", i)) {
			recorded++
		}
	}
	if recorded != refusalsOfCaller+refusalsOfOrganization || len(a.all["flood"].callers) > maxRefused {
		t.Errorf("%d refusals of one organization are recorded, %d callers followed", recorded-refusalsOfCaller, len(a.all["flood"].callers))
	}
	now = now.Add(callerInterval)
	if skipped, ok := a.Take("acme", "mallory", now); !ok || skipped != 100_000-refusalsOfCaller {
		t.Errorf("after a while: %d, %t", skipped, ok)
	}
	for i := range 2 * maxRefused {
		take(fmt.Sprint("org", i), "ada")
	}
	if len(a.all) > maxRefused {
		t.Errorf("%d organizations are followed", len(a.all))
	}
}
