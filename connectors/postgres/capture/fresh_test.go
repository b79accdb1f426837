package capture

import (
	"encoding/binary"
	"testing"
	"time"

	"headwater/connectors/driver"
)

// TestFreshAmidTheLog: as long as more of the log waits to be read, nothing is complete up to
// a time that another server gave.
func TestFreshAmidTheLog(t *testing.T) {
	f := &follower{now: time.Now, log: &changeLog{control: &control{}}}
	now := time.Now().Truncate(time.Microsecond)
	f.log.control.clock.Compare(now, now)
	transaction := func(at time.Time, origin bool) {
		t.Helper()
		begin := binary.BigEndian.AppendUint64([]byte("B\x00\x00\x00\x00\x00\x00\x00\x01"), uint64(at.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Microseconds()))
		messages := [][]byte{append(begin, 0, 0, 0, 1)}
		if origin {
			messages = append(messages, []byte("O\x00\x00\x00\x00\x00\x00\x00\x01elsewhere\x00"))
		}
		for _, m := range messages {
			if err := f.message(m); err != nil {
				t.Fatal(err)
			}
		}
		f.count(&target{captured: &captured{}}, driver.OpInsert)
	}
	check := func(want time.Time) {
		t.Helper()
		if got := f.fresh(); !got.Equal(want) {
			t.Errorf("complete until %s, want %s", got, want)
		}
	}
	check(time.Time{})
	transaction(now.Add(-time.Hour), false)
	check(now.Add(-time.Hour))
	transaction(now.Add(-time.Minute), true)
	check(now.Add(-time.Hour))
	f.log.ahead.Store(&slotRow{asked: now.Add(-time.Second), end: 2})
	check(now.Add(-time.Hour))
	f.reached = 2
	check(now.Add(-time.Second))
	f.log.ahead.Store(&slotRow{asked: now.Add(-time.Second), end: 2})
	transaction(now.Add(-time.Millisecond), false)
	check(now.Add(-time.Millisecond))
	transaction(now.Add(time.Hour), false)
	check(time.Time{})
}
