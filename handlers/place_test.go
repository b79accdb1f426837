package handlers

import (
	"testing"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// A log that is opened again amid a sync, at what has landed since the last event, is not
// told of more than the history has: a worker that dies then is followed by one that goes
// on, and does not find a log that was moved.
func TestALogIsOpenedWhereTheHistoryIs(t *testing.T) {
	o := quick()
	o.PositionEvery, o.HeartbeatEvery = time.Hour, time.Hour
	w, l := newWorld(t, o), newLogged("orders")
	w.handlers.inspector.Connectors = l
	w.connect()
	l.do("orders", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(capturing()))
	for id := range int64(20) {
		l.do("orders", driver.OpInsert, id, notesText(id))
	}
	altered := false
	l.onFlush = func(n int) error {
		if n < 3 || altered {
			return nil
		}
		altered = true
		return driver.E(driver.ErrRetyped, nil, "table orders has other columns")
	}
	w.seams.kill("captured", 2)
	w.do(w.syncCommand(capturing()))
	w.idle()
	w.wantEqual(l)
	if !altered || w.seams.killed() == 0 {
		t.Error("nothing was killed")
	}
	if done := last[*event.SyncCompleted](w); done.Status != "completed" || done.Changes.Position != "21" {
		t.Errorf("%s at %+v", done.Status, done.Changes)
	}
}
