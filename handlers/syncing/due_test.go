package syncing

import (
	"testing"
	"time"
)

// Changes that land after a quiet time are told of at once, those soon after others and
// a place that moves without changes a little later, and the same place now and then.
func TestAPlaceIsToldOnceChangesLand(t *testing.T) {
	o := Options{PositionEvery: 10 * time.Second, HeartbeatEvery: 30 * time.Second}
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		stirred bool
		landed  string
		after   time.Duration // since changes were told of
		quiet   time.Duration // since anything was
		want    bool
	}{
		{"nothing new", false, "1", time.Minute, 20 * time.Second, false},
		{"a sign of life", false, "1", time.Minute, 30 * time.Second, true},
		{"changes after a quiet time", true, "2", time.Minute, time.Second, true},
		{"changes soon after others", true, "2", 9 * time.Second, 9 * time.Second, false},
		{"a little later", true, "2", 10 * time.Second, 9 * time.Second, true},
		{"an idle log that moves", false, "2", time.Minute, 9 * time.Second, false},
		{"the same, later", false, "2", time.Minute, 10 * time.Second, true},
	} {
		p := &place{landed: c.landed, told: "1", stirred: c.stirred, stirredAt: start.Add(-c.after), toldAt: start.Add(-c.quiet)}
		if got := p.due(start, o); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
