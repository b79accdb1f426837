package ops

import (
	"testing"
	"time"

	"headwater/bus/event"
)

// TestFreshUntil: a source is as fresh as the oldest of its tables.
func TestFreshUntil(t *testing.T) {
	ended := time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC)
	first, second := ended.Add(-4*time.Minute), ended.Add(-2*time.Minute)
	for name, c := range map[string]struct {
		tables []event.TableResult
		want   time.Time
	}{
		"of a later build": {nil, ended},
		"two tables":       {[]event.TableResult{{FreshUntil: &second}, {FreshUntil: &first}, {Status: "skipped"}}, first},
	} {
		if got := freshUntil(&event.Event{Time: ended, Data: &event.SyncCompleted{Tables: c.tables}}); !got.Equal(c.want) {
			t.Errorf("%s: fresh until %s, want %s", name, got, c.want)
		}
	}
}
