package handlers

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// A table whose rows change while it is compared is told from one that has lost
// a row, where a continuous sync lands the changes.
func TestAFollowedTableIsVerifiedWhileItChanges(t *testing.T) {
	o := quick()
	o.PositionEvery, o.HeartbeatEvery = 20*time.Millisecond, 50*time.Millisecond
	w, l := newLog(t, o, "orders")
	for id := range int64(200) {
		l.do("orders", driver.OpInsert, id, notesText(id))
	}
	runs := make(chan struct{})
	go func() { defer close(runs); w.handlers.RunSchedules(t.Context()) }()
	defer func() { w.handlers.Stop(); <-runs }()
	w.continuously(false)
	w.eventually("the rows to land", func() bool { return len(w.holds("orders")) == 200 })

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := int64(0); ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				l.do("orders", driver.OpUpdate, n%50, "changed "+strconv.FormatInt(n, 10))
			}
		}
	}()
	verify := func() event.Verification {
		t.Helper()
		w.do(&command.VerifySource{Meta: w.operation(event.KindVerify)})
		return last[*event.TableVerified](w).Table
	}
	moved := false
	for end := time.Now().Add(patience); !moved && time.Now().Before(end); {
		got := verify()
		if moved = got.Status == event.VerifiedBehind && got.Behind > 0; got.Missing+got.Changed+got.Surplus != 0 || got.VerifiedThrough == nil {
			t.Errorf("%s: %s %v", got.Status, got.Message, got.Rows)
		}
	}
	if !moved {
		t.Error("no row changed while it was compared: this proves nothing")
	}

	// A row that its log never told of.
	l.mu.Lock()
	l.tables["orders"].rows[1000] = "without a word in the log"
	l.mu.Unlock()
	got := verify()
	close(stop)
	<-stopped
	if got.Status != event.VerifiedDifferent || got.Missing != 1 || got.Changed+got.Surplus != 0 || !strings.Contains(got.Message, "3 looks") {
		t.Errorf("%+v", got)
	}
}
