package handlers

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
	"headwater/projections"
)

// killed is the error of a connector process that somebody else has killed.
type killed struct{ error }

func (killed) Is(target error) bool { return target == extract.ErrKilled }
func (k killed) Unwrap() error      { return k.error }

// A continuous sync survives its connector's process being killed: another one goes
// on inside it. One that kills every process without getting any further ends.
func TestAContinuousSyncOutlivesItsConnector(t *testing.T) {
	o := quick()
	o.TableRetries = 3
	w, l := newLog(t, o, "orders")
	go w.handlers.RunSchedules(t.Context())
	w.continuously(false)
	landed := func() {
		t.Helper()
		w.eventually("the changes to land", func() bool { return maps.Equal(w.holds("orders"), l.all()["orders"]) })
	}
	l.do("orders", driver.OpInsert, 1, "one")
	landed()
	why, left := killed{driver.E(driver.ErrLimit, nil, "the connector's process was killed")}, 2
	l.mu.Lock()
	l.onFlush = func(int) error {
		if left--; left >= 0 {
			return why
		}
		return nil
	}
	l.mu.Unlock()
	l.do("orders", driver.OpInsert, 2, "two")
	landed()
	if got := w.outcomes(w.address); slices.Contains(got, "SyncFailed") || slices.Contains(got, "SyncCompleted") {
		t.Errorf("two kills have ended the sync: %v", got)
	}
	l.mu.Lock()
	l.onFlush = func(int) error { return why }
	l.mu.Unlock()
	l.do("orders", driver.OpInsert, 3, "three")
	w.eventually("the sync to end", func() bool { return slices.Contains(w.outcomes(w.address), "SyncFailed") })
	if got := last[*event.SyncFailed](w); got.Reason != event.ReasonLimit || !strings.Contains(got.Message, "was killed") {
		t.Errorf("%+v", got)
	}
}

// What one table cannot take ends nothing for the others: a value that no type holds has
// it set aside until the value is gone, and columns that came and went between two looks
// at the catalog have it read whole.
func TestOneTableStopsNoOther(t *testing.T) {
	s := newShop(t, quick())
	s.exec(`insert into orders select i, 'order ' || i, i, now() from generate_series(1, 20) i`)
	s.connect()
	s.sync(command.SyncOptions{})
	s.exec(`insert into orders values (900, 'never', 1, 'infinity')`, `insert into lines values (1, 1, 'goes on')`)
	s.sync(command.SyncOptions{})
	done := last[*event.SyncCompleted](s.w)
	for _, table := range done.Tables {
		if aside := table.Name == "orders"; table.SetAside != aside || aside && !strings.Contains(table.Message, "infinity") {
			t.Errorf("%s: %s, set aside %v: %s", table.Name, table.Status, table.SetAside, table.Message)
		}
	}
	s.exec(`delete from orders where id = 900`)
	s.sync(command.SyncOptions{})
	s.wantVerified()

	s.exec(`alter table orders add column passing text`, `insert into orders values (901, 'before', 1, now(), true, 'x')`,
		`alter table orders drop column passing`, `alter table orders add column stays text`, `insert into orders values (902, 'after', 1, now(), false, 'y')`)
	if op := s.sync(command.SyncOptions{}); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	s.wantVerified()
	if s.sync(command.SyncOptions{}); last[*event.SyncCompleted](s.w).Records != 0 {
		t.Error("what was read whole was read again")
	}
}

// A sync that goes on tells of each version of the schema that it finds.
func TestAContinuousSyncTellsOfEverySchema(t *testing.T) {
	w, l := newLog(t, quick(), "orders")
	go w.handlers.RunSchedules(t.Context())
	w.continuously(false)
	for i, name := range []string{"more", "most"} {
		l.do("orders", driver.OpInsert, int64(i), "one")
		w.eventually("the changes to land", func() bool { return maps.Equal(w.holds("orders"), l.all()["orders"]) })
		l.mu.Lock()
		l.tables["orders"].extra = append(l.tables["orders"].extra, column(name, driver.String))
		l.told = "orders"
		l.mu.Unlock()
		l.do("orders", driver.OpInsert, int64(10+i), "two")
		w.eventually("the schema to be told of", func() bool { return last[*event.SchemaDiscovered](w).Version == 2+i })
	}
	if got := w.outcomes(w.address); slices.Contains(got, "SyncFailed") || slices.Contains(got, "SyncCompleted") {
		t.Errorf("the sync has ended: %v", got)
	}
}

// A column that comes between the discovery of a table and the capture of its log is in
// the lake with what changes have put into it.
func TestAColumnThatComesAmidASyncIsNotLost(t *testing.T) {
	s := newShop(t, quick())
	s.exec(`insert into orders select i, 'order ' || i, i, now() from generate_series(1, 20) i`)
	s.connect()
	s.sync(command.SyncOptions{})
	s.w.faults.begin = func(target landing.Target) error {
		if target.Table.Name == "orders" && target.Mode == landing.Changes {
			s.w.faults.begin = nil
			s.exec(`alter table orders add column late text`, `update orders set late = 'set' where id < 10`)
		}
		return nil
	}
	s.sync(command.SyncOptions{})
	if s.w.faults.begin != nil {
		t.Error("the column did not come")
	}
	s.exec(`update orders set note = 'later' where id = 15`)
	s.sync(command.SyncOptions{})
	s.wantVerified()
}
