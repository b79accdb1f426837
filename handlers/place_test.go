package handlers

import (
	"testing"
	"time"
)

// What lands after a quiet time is told at once, what lands soon after that a little
// later, and that nothing lands now and then.
func TestAPlaceIsToldOnceItHasMoved(t *testing.T) {
	o := Options{PositionEvery: 10 * time.Second, HeartbeatEvery: 30 * time.Second}
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	p := &place{landed: "1", told: "1", movedAt: start, toldAt: start.Add(60 * time.Second)} // two heartbeats later
	for _, c := range []struct {
		landed string
		after  time.Duration
		want   bool
	}{{"1", 61 * time.Second, false}, {"1", 90 * time.Second, true}, {"2", 61 * time.Second, true}, {"2", 9 * time.Second, false}, {"2", 10 * time.Second, true}} {
		p.landed = c.landed
		if got := p.due(start.Add(c.after), o); got != c.want {
			t.Errorf("place %s, %s after the last move: %v", c.landed, c.after, got)
		}
	}
}
