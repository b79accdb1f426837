package handlers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
	"headwater/projections"
)

// grow syncs a table again and again, with ten rows more each time.
func (w *world) grow(table string, from, to int64, o command.SyncOptions) {
	w.t.Helper()
	o.Mode = landing.Incremental
	for i := from; i <= to; i++ {
		w.source.put(table, 10*i)
		if op := w.do(w.syncCommand(o)); op.Status != projections.StatusCompleted {
			w.t.Fatalf("sync %d: %s %+v", i, op.Status, op.Targets)
		}
	}
}

func (w *world) maintenances() (all []*event.TableMaintained) {
	w.t.Helper()
	for _, e := range w.events(w.address) {
		if m, ok := e.Data.(*event.TableMaintained); ok {
			all = append(all, m)
		}
	}
	return all
}

// A table of many small files is maintained by itself after a sync, once, and told
// of; one whose source says so is left alone until somebody asks.
func TestTablesAreMaintained(t *testing.T) {
	t.Run("by itself", func(t *testing.T) {
		w := newWorld(t, quick())
		w.connect()
		w.grow("orders", 1, 9, command.SyncOptions{})
		w.eventually("the table to be maintained", func() bool { return len(w.maintenances()) > 0 })
		w.idle()
		m := w.maintenances()[0]
		if v := m.Table; v.Name != "orders" || v.Status != event.Maintained || v.FilesBefore < 8 || v.FilesAfter > 2 || v.Why == "" || v.Rows < 80 || !m.Operation.Final || m.Operation.Kind != event.KindMaintain {
			t.Errorf("told %+v", m)
		}
		op, err := w.store.WaitOperation(t.Context(), w.address.Organization, w.address.Workspace, m.Operation.ID)
		if err != nil || op.Status != projections.StatusCompleted || op.Targets[0].Result == nil || len(op.Targets[0].Result.Maintained) != 1 {
			t.Errorf("listed as %+v, %v", op, err)
		}
		w.wantLanded("orders", 0, 90)
		w.grow("orders", 10, 12, command.SyncOptions{})
		w.wantLanded("orders", 0, 120)
		if n := len(w.maintenances()); n != 1 {
			t.Errorf("%d maintenances", n)
		}
	})
	t.Run("asked for", func(t *testing.T) {
		w := newWorld(t, quick())
		w.source.put("people", 10)
		w.connect()
		w.grow("orders", 1, 10, command.SyncOptions{Maintenance: command.MaintenanceOff})
		w.idle()
		if n := len(w.maintenances()); n != 0 {
			t.Errorf("%d maintenances of a source that has none", n)
		}
		w.seams.kill("appended TableMaintained", 1)
		op := w.do(&command.MaintainSource{Meta: w.operation(event.KindMaintain), Asked: true})
		if w.seams.killed() != 1 || op.Status != projections.StatusCompleted || op.Targets[0].Result == nil {
			t.Fatalf("%s %+v", op.Status, op.Targets)
		}
		var told []string
		for _, v := range op.Targets[0].Result.Maintained {
			told = append(told, v.Name+" "+v.Status)
		}
		slices.Sort(told)
		if len(told) != 2 || told[0] != "orders "+event.Maintained && told[0] != "orders "+event.MaintainedNothing {
			t.Errorf("told %v", told)
		}
		w.wantLanded("orders", 0, 100)
		none := w.do(&command.MaintainSource{Meta: w.operation(event.KindMaintain), Asked: true, Tables: []string{"nothing*"}})
		w.wantRefused(none, event.ReasonNotFound, "no table like that has landed")
		w.remove(false)
		gone := w.do(&command.MaintainSource{Meta: w.operation(event.KindMaintain), Asked: true})
		w.wantRefused(gone, event.ReasonSourceRemoved, "not there any more")
	})
}

// A table that no sync comes to any more is maintained all the same, once, by whoever
// looks; not while its source is synced, and not where the source says so.
func TestTablesAreTended(t *testing.T) {
	clock := newSetClock("2026-03-28T12:00:00Z")
	o := quick()
	o.Clock = clock
	w := newWorld(t, o)
	w.connect()
	off := command.SyncOptions{Maintenance: command.MaintenanceOff}
	w.grow("orders", 1, 9, off)
	look := func() {
		t.Helper()
		waits := func() bool {
			clock.mu.Lock()
			defer clock.mu.Unlock()
			return len(clock.waiting) > 0
		}
		for range 2 {
			w.eventually("the next look to be waited for", waits)
			clock.add(time.Minute)
		}
		w.eventually("the look to end", waits)
		w.idle()
	}
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		var looking sync.WaitGroup
		looking.Go(func() { w.handlers.RunUpkeep(ctx) })
		look()
		w.eventually("the table to be maintained", func() bool { return len(w.maintenances()) > 0 })
		w.idle()
		if n := len(w.maintenances()); n != 1 {
			t.Errorf("%d maintenances", n)
		}
		cancel()
		looking.Wait()
	}
	m := w.maintenances()[0]
	if v := m.Table; v.Name != "orders" || v.Status != event.Maintained || v.FilesAfter > 2 || !m.Operation.Final {
		t.Errorf("told %+v", m)
	}
	w.wantLanded("orders", 0, 90)
}

// What keeps a table from being maintained is told, whoever asked; the tables beside it
// are maintained, and all of them are as they were for who reads and syncs them.
func TestAMaintenanceThatCannotBeIsTold(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("people", 10)
	w.connect()
	w.grow("orders", 1, 10, command.SyncOptions{Maintenance: command.MaintenanceOff})
	w.faults.maintain = func(table string) error {
		if table == "orders" {
			return fmt.Errorf("%w: write part: %w", landing.ErrStorage, syscall.EROFS)
		}
		return nil
	}
	op := w.do(&command.MaintainSource{Meta: w.operation(event.KindMaintain), Asked: true})
	if op.Targets[0].Result == nil || len(op.Targets[0].Result.Maintained) != 2 {
		t.Fatalf("%s %+v", op.Status, op.Targets)
	}
	for _, v := range op.Targets[0].Result.Maintained {
		if failed := v.Name == "orders"; failed != (v.Status == event.MaintainedFailed) || failed && (v.Reason != event.ReasonStorage || v.Message == "") {
			t.Errorf("told %+v", v)
		}
	}
	w.wantLanded("orders", 0, 100)
	w.grow("orders", 11, 11, command.SyncOptions{})
	w.eventually("who did not ask to be told, too", func() bool {
		all := w.maintenances()
		return len(all) == 3 && all[2].Table.Status == event.MaintainedFailed && all[2].Table.Name == "orders"
	})
	w.idle()
	w.faults.maintain = nil
	w.wantLanded("orders", 0, 110)
	w.do(&command.MaintainSource{Meta: w.operation(event.KindMaintain), Asked: true})
	w.wantLanded("orders", 0, 110)
}
