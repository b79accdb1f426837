package handlers

import (
	"maps"
	"strings"
	"testing"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// A log that was given up is taken up anew at a later position. A worker that dies before
// the tables were read whole is followed by one that reads them whole, not by one that
// goes on from there and misses what lies between.
func TestALogTakenUpAnewIsReadWholeByTheNextWorker(t *testing.T) {
	for _, step := range []string{"anew", "appended ChangesLanded", "wrote"} {
		t.Run(step, func(t *testing.T) {
			w, l := newLog(t, quick(), "orders", "carts")
			change := func(from int64) {
				for id := from; id < from+5; id++ {
					l.do("orders", driver.OpInsert, id, notesText(id))
					l.do("carts", driver.OpInsert, id, notesText(id))
				}
			}
			change(0)
			w.do(w.syncCommand(capturing()))
			w.wantEqual(l)
			change(10)
			limited := capturing()
			limited.LagWarn, limited.LagLimit = 1<<20, 1<<30
			l.retained = 2 << 30
			w.do(w.syncCommand(limited))
			if len(w.givenUp()) == 0 {
				t.Fatal("the log was not given up")
			}
			l.retained = 0
			change(20)
			w.seams.kill(step, 1)
			w.do(w.syncCommand(capturing()))
			w.idle()
			w.wantEqual(l)
			if w.seams.killed() == 0 {
				t.Error("nothing was killed")
			}
			change(30)
			w.do(w.syncCommand(capturing()))
			w.wantEqual(l)
		})
	}
}

// The same holds for one table whose changes the source refuses once: what it was about is
// not told again.
func TestARefusedTableIsReadWholeByTheNextWorker(t *testing.T) {
	w, l := newLog(t, quick(), "orders", "carts")
	l.do("orders", driver.OpInsert, 1, "one")
	l.do("carts", driver.OpInsert, 1, "one")
	w.do(w.syncCommand(capturing()))
	w.wantEqual(l)
	l.mu.Lock()
	l.tables["orders"].rows[1] = "without a word in the log"
	l.mu.Unlock()
	refused := false
	l.onCapture = func(driver.Capture) error {
		delete(l.refuse, "orders")
		if !refused {
			l.refuse["orders"] = driver.E(driver.ErrReplaced, nil, "a partition was truncated")
		}
		refused = true
		return nil
	}
	w.seams.kill("wrote", 1)
	w.do(w.syncCommand(capturing()))
	w.idle()
	w.wantEqual(l)
	if w.seams.killed() == 0 {
		t.Error("nothing was killed")
	}
	if done := last[*event.SyncCompleted](w); done.Status != "completed" {
		t.Errorf("%s: %v", done.Status, done.Tables)
	}
}

// A table that is altered each time it is looked at is discovered again a few times, and
// not set aside at the second. One that never stays as it was is set aside then, and the
// others go on. Once something of it has landed, it is counted anew.
func TestATableThatIsAlteredSeveralTimesIsFollowed(t *testing.T) {
	const mostSought = 4 // as a sync has it
	for _, c := range []struct {
		name     string
		refused  func(capture int) bool
		captures int
		status   string
	}{
		{"as often as it is looked for", func(n int) bool { return n <= mostSought }, mostSought + 1, "completed"},
		{"once more", func(n int) bool { return n <= mostSought+1 }, mostSought + 1, "partial"},
		{"as often again", func(n int) bool { return n != mostSought+1 && n <= 2*mostSought+1 }, 2*mostSought + 2, "completed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, l := newLog(t, quick(), "orders", "carts")
			l.do("orders", driver.OpInsert, 1, "one")
			w.do(w.syncCommand(capturing()))
			l.do("carts", driver.OpInsert, 2, "two")
			for id := range int64(4) { // more than come at once
				l.do("orders", driver.OpInsert, 2+id, "more")
			}
			captures := 0
			l.onCapture = func(driver.Capture) error {
				captures++
				delete(l.refuse, "orders")
				if c.refused(captures) {
					l.refuse["orders"] = driver.E(driver.ErrNotFound, nil, "orders has no column c1 any more")
				}
				return nil
			}
			l.onFlush = func(n int) error {
				if captures == mostSought+1 && n == 1 && c.captures > captures {
					return driver.E(driver.ErrRetyped, nil, "table orders has other columns") // which is how it was altered once more
				}
				return nil
			}
			w.do(w.syncCommand(capturing()))
			done := last[*event.SyncCompleted](w)
			if done.Status != c.status || captures != c.captures {
				t.Errorf("%s after %d captures: %v", done.Status, captures, done.Tables)
			}
			for _, table := range done.Tables {
				if aside := c.status == "partial" && table.Name == "orders"; table.SetAside != aside || aside && !strings.Contains(table.Message, "no column c1") {
					t.Errorf("%s: set aside %v: %s", table.Name, table.SetAside, table.Message)
				}
			}
			if !maps.Equal(w.holds("carts"), l.all()["carts"]) {
				t.Errorf("carts holds %v", w.holds("carts"))
			}
			w.do(w.syncCommand(capturing())) // what was set aside is read whole
			w.wantEqual(l)
		})
	}
}
