package handlers

import (
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/projections"
)

func (f *fakeSource) leaveOut(name, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropLocked(name)
	f.tables = append(f.tables, driver.Table{Namespace: "public", Name: name, Kind: "view", LeftOut: reason})
}

// What a source has and does not offer is told by the schema and by every sync,
// with the reason of now; a version of the schema is made when it is something
// else, not when the reason is put otherwise.
func TestWhatIsLeftOutIsToldEachTime(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("carts", 5)
	w.source.leaveOut("v", "its definer is gone.")
	w.connect()
	if e := last[*event.SchemaDiscovered](w); len(e.Tables) != 2 || len(e.LeftOut) != 1 || e.LeftOut[0] != (event.LeftOut{Name: "v", Namespace: "public", Kind: "view", Reason: "its definer is gone."}) {
		t.Fatalf("%+v", e)
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	w.source.leaveOut("carts", "may not be read")
	for range 2 { // a grant is lost
		w.do(w.syncCommand(command.SyncOptions{}))
		e := last[*event.SyncCompleted](w)
		if len(e.Tables) != 3 || e.Status != "completed" {
			t.Fatalf("%+v", e.Tables)
		}
		if r := e.Tables[1]; r.Name != "carts" || r.Status != "skipped" || r.Message != "it is left out: may not be read; what landed of it stays as it is" {
			t.Errorf("%+v", r)
		}
		if r := e.Tables[2]; r.Name != "v" || r.Status != "skipped" || r.Message != "it is left out: its definer is gone." {
			t.Errorf("%+v", r)
		}
	}
	version := last[*event.SchemaDiscovered](w).Version
	w.source.leaveOut("v", "its definer was dropped")
	w.do(w.syncCommand(command.SyncOptions{Tables: []string{"orders", "v"}}))
	if e := last[*event.SyncCompleted](w); len(e.Tables) != 2 || e.Tables[1].Message != "it is left out: its definer was dropped" {
		t.Errorf("%+v", e.Tables)
	}
	if e := last[*event.SchemaDiscovered](w); e.Version != version || len(e.LeftOut) != 2 {
		t.Errorf("version %d after %d: %+v", e.Version, version, e.LeftOut)
	}
	w.do(w.syncCommand(command.SyncOptions{Tables: []string{"v", "carts"}}))
	if e := last[*event.SyncFailed](w); !strings.Contains(e.Message, "public.carts (it is left out: may not be read") || !strings.Contains(e.Message, "public.v (") {
		t.Errorf("%+v", e)
	}
	src, err := w.store.Source(w.address)
	if err != nil || src.LeftOut != 2 {
		t.Errorf("the source has %d left out: %v", src.LeftOut, err)
	}
}

// A table that cannot be read keeps nobody from connecting; where none can be
// read, that is why.
func TestConnectNamesWhatCannotBeRead(t *testing.T) {
	w := newWorld(t, quick())
	locked := driver.UnreadTable{Namespace: "public", Name: "locked", Err: driver.E(driver.ErrTimeout, nil, "canceling statement due to lock timeout")}
	w.source.unread = []driver.UnreadTable{locked}
	w.connect()
	if e := last[*event.SchemaDiscovered](w); len(e.Tables) != 1 || len(e.LeftOut) != 1 || e.LeftOut[0].Name != "locked" || !strings.Contains(e.LeftOut[0].Reason, "lock timeout") {
		t.Errorf("%+v", e)
	}
	w.source.mu.Lock()
	w.source.dropLocked("orders")
	w.source.mu.Unlock()
	op := w.do(w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`))
	if got := op.Targets[0]; got.Status != projections.StatusFailed || !strings.Contains(got.Message, "lock timeout") {
		t.Errorf("nothing can be read: %+v", got)
	}
}

// A note is part of the schema, those of the cursor beside the others, and a sync
// tells of the cursor only where it goes by it.
func TestNotesOfATable(t *testing.T) {
	w := newWorld(t, quick())
	w.source.mu.Lock()
	w.source.tables[0].Notes, w.source.tables[0].CursorNotes = []string{"It is locked while it is read."}, []string{"The cursor id finds new rows only."}
	w.source.mu.Unlock()
	w.connect()
	if e := last[*event.SchemaDiscovered](w); len(e.Tables[0].Notes) != 1 || len(e.Tables[0].CursorNotes) != 1 {
		t.Errorf("%+v", e.Tables[0])
	}
	for _, c := range []struct {
		options command.SyncOptions
		want    string
	}{
		{command.SyncOptions{}, "It is locked while it is read."},
		{command.SyncOptions{Mode: "incremental"}, "It is locked while it is read. The cursor id finds new rows only."},
	} {
		w.do(w.syncCommand(c.options))
		if got := strings.Join(last[*event.SyncCompleted](w).Tables[0].Notes, " "); got != c.want {
			t.Errorf("%+v: %q", c.options, got)
		}
	}
}
