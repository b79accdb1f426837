package handlers

import (
	"slices"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
)

// A log that goes on without a table leaves that table behind, whatever went wrong before:
// the next sync that takes it reads it whole.
func TestATableThatTheLogHasPassedByIsReadWhole(t *testing.T) {
	one := command.SyncOptions{Mode: command.Capture, Maintenance: command.MaintenanceOff, Tables: []string{"public.carts"}}
	failOnce := func(err error) func(driver.Capture) error {
		return func(driver.Capture) error {
			failed := err
			err = nil
			return failed
		}
	}
	for name, pass := range map[string]func(w *world, l *logged){
		"the log could not be opened at first": func(w *world, l *logged) {
			w.do(w.syncCommand(capturing()))
			l.do("orders", driver.OpInsert, 1, "one")
			l.onCapture = failOnce(driver.E(driver.ErrUnreachable, nil, "no answer"))
			w.do(w.syncCommand(one))
		},
		"its load is not in the history": func(w *world, l *logged) {
			w.seams.kill("committed", 1)
			failed := false
			w.faults.begin = func(t landing.Target) error {
				if t.Table.Name != "carts" || w.seams.killed() == 0 || failed {
					return nil
				}
				failed = true
				l.do("carts", driver.OpInsert, 1, "one")
				return landing.ErrSchemaChanged
			}
			w.do(w.syncCommand(capturing())) // its second worker takes the log up anew, without carts
			w.idle()
			w.faults.begin = nil
			if !failed || len(w.holds("carts")) != 1 {
				w.t.Errorf("carts was set aside %t, and holds %v", failed, w.holds("carts"))
			}
		},
		"it is there again in a later round": func(w *world, l *logged) {
			w.do(w.syncCommand(capturing()))
			hidden := l.tables["orders"]
			delete(l.tables, "orders")
			l.log = append(l.log, happened{table: "orders", op: driver.OpInsert, id: 1, note: "one"})
			hidden.rows[1] = "one"
			l.do("carts", driver.OpInsert, 1, "one")
			l.onFlush = func(n int) error {
				l.mu.Lock()
				defer l.mu.Unlock()
				if n == 0 || l.tables["orders"] != nil {
					return nil
				}
				l.tables["orders"] = hidden
				return driver.E(driver.ErrRetyped, nil, "something was altered")
			}
			for id := range int64(6) { // more than one flush
				l.do("carts", driver.OpInsert, 10+id, "more")
			}
			w.do(w.syncCommand(capturing()))
			if l.tables["orders"] == nil {
				w.t.Error("it was not shown again")
			}
		},
		"it was set aside, and the lake did not answer at first": func(w *world, l *logged) {
			w.do(w.syncCommand(capturing()))
			w.do(w.syncCommand(one))
			l.do("orders", driver.OpInsert, 1, "one")
			w.do(w.syncCommand(one))
			failed := false
			w.faults.begin = func(landing.Target) error {
				if failed {
					return nil
				}
				failed = true
				return landing.ErrStorage
			}
			w.do(w.syncCommand(capturing()))
			w.faults.begin = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick()
			o.TableParallelism = 1 // carts come first
			w, l := newLog(t, o, "carts", "lines", "orders")
			for _, table := range []string{"carts", "lines", "orders"} {
				l.do(table, driver.OpInsert, 100, "of the first read")
			}
			pass(w, l)
			l.onCapture, l.onFlush = nil, nil
			l.do("orders", driver.OpInsert, 2, "two")
			w.do(w.syncCommand(capturing()))
			w.wantEqual(l)
			done := last[*event.SyncCompleted](w)
			if done.Status != "completed" || slices.ContainsFunc(done.Tables, func(r event.TableResult) bool { return r.Position == "" }) {
				t.Errorf("%s: %v", done.Status, done.Tables)
			}
			w.do(w.syncCommand(capturing()))
			if done := last[*event.SyncCompleted](w); done.Records != 0 {
				t.Errorf("%d rows are read again", done.Records)
			}
		})
	}
}
