package sqldb

import (
	"testing"
	"time"
)

// TestClock: a server's time is told by our clock, never too late.
func TestClock(t *testing.T) {
	var c Clock
	now := time.Now()
	if got := c.Ours(now); !got.IsZero() {
		t.Errorf("%s before anything was compared", got)
	}
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour} {
		c.Compare(now, now.Add(ahead+time.Second)) // the answer took a second
		if got, want := c.Ours(now.Add(ahead-time.Minute)), now.Add(-time.Minute-time.Second); !got.Equal(want) {
			t.Errorf("ahead by %s: %s, want %s", ahead, got, want)
		}
		if got := c.Ours(now.Add(ahead + 2*time.Hour)); !got.IsZero() {
			t.Errorf("ahead by %s: %s of a time to come", ahead, got)
		}
		if got := c.Ours(time.Time{}); !got.IsZero() {
			t.Errorf("%s of no time", got)
		}
	}
}
