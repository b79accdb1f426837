package duration

import (
	"testing"
	"time"

	"headwater/bus/command"
)

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"30d": 30 * day, "4w": 28 * day, "1w2d": 9 * day, "1d12h": 36 * time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "0": 0, "0d": 0, "100ms": 100 * time.Millisecond, "-1h": -time.Hour,
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "30", "30 d", "1d-1h", "1d+1h", "1.5d", "30x", "2d1w", "999999w999999d99999999h", "-1d"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q passed as %v", text, got)
		}
	}
	// What goes to the service as it is, is read there by the same rule.
	for _, text := range []string{"30d", "4w", "1w2d", "1d12h", "90s"} {
		want, _ := Parse(text)
		if got, err := command.Duration(text).Value(); err != nil || got != want {
			t.Errorf("the service takes %s for %v, %v", text, got, err)
		}
	}
}
