package handlers

import (
	"slices"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
)

// change changes the fake source's only table.
func (f *fakeSource) change(with func(*driver.Table)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tables = slices.Clone(f.tables)
	with(&f.tables[0])
}

// A source that has nothing to look at today keeps the columns, the key and the
// cursor that it is known by: an incremental sync neither replaces what landed
// nor loses its place, and a merge goes on.
func TestBlankTableIsWhatItWas(t *testing.T) {
	w := newWorld(t, quick())
	w.source.change(func(t *driver.Table) { t.Kind = "endpoint" })
	w.connect()
	options := command.SyncOptions{Mode: landing.Incremental, Merge: true}
	w.do(w.syncCommand(options))
	w.wantLanded("orders", 0, 100)

	w.source.put("orders", 0)
	columns := w.source.tables[0].Columns
	w.source.change(func(t *driver.Table) {
		t.Blank, t.PrimaryKey, t.Cursor = true, nil, ""
		t.Columns = []driver.Column{column("_extra", driver.JSON)}
	})
	w.do(w.syncCommand(options))
	w.wantLanded("orders", 0, 100)
	if done := last[*event.SyncCompleted](w); done.Status != "completed" || done.Tables[0].Cursor != "99" || done.Tables[0].Mode != landing.Incremental {
		t.Errorf("%+v", done)
	}

	w.source.put("orders", 103)
	w.source.change(func(t *driver.Table) {
		t.Blank, t.PrimaryKey, t.Cursor, t.Columns = false, []string{"id"}, "id", columns
	})
	w.do(w.syncCommand(options))
	w.wantLanded("orders", 0, 103)
	if done := last[*event.SyncCompleted](w); done.Records != 3 {
		t.Errorf("%+v", done)
	}
	w.wantOutcomes("SourceConnected", "SchemaDiscovered", "SyncStarted", "SyncCompleted", "SyncStarted", "SyncCompleted", "SyncStarted", "SyncCompleted")
}

// A file or an endpoint that gives no row does not empty its table, unless the
// source made it clear, or the caller says that it may.
func TestNoRowsTakeNoPlace(t *testing.T) {
	for name, c := range map[string]struct {
		kind    string
		emptied bool
		options command.SyncOptions
		want    int64
	}{
		"endpoint":           {"endpoint", false, command.SyncOptions{}, 100},
		"file":               {"file", false, command.SyncOptions{}, 100},
		"database":           {"table", false, command.SyncOptions{}, 0},
		"the source is sure": {"endpoint", true, command.SyncOptions{}, 0},
		"the caller is sure": {"file", false, command.SyncOptions{AllowEmpty: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, quick())
			w.source.change(func(t *driver.Table) { t.Kind, t.Emptied = c.kind, c.emptied })
			w.connect()
			w.do(w.syncCommand(command.SyncOptions{}))
			w.source.put("orders", 0)
			w.do(w.syncCommand(c.options))
			w.wantLanded("orders", 0, c.want)
			if c.want == 0 {
				note := "the table has no row now: what had landed was removed, 100 rows"
				if r := last[*event.SyncCompleted](w).Tables[0]; !slices.Contains(r.Notes, note) {
					t.Errorf("notes %q", r.Notes)
				}
				w.do(w.syncCommand(c.options))
				if r := last[*event.SyncCompleted](w).Tables[0]; len(r.Notes) > 0 {
					t.Errorf("still empty: notes %q", r.Notes)
				}
				return
			}
			if failed := last[*event.SyncFailed](w); failed.Reason != event.ReasonBadData || !strings.Contains(failed.Message, "allow_empty") || !strings.Contains(failed.Message, "100 had landed") {
				t.Errorf("%+v", failed)
			}
			w.source.put("orders", 3)
			w.do(w.syncCommand(command.SyncOptions{}))
			w.wantLanded("orders", 0, 3)
		})
	}
}
