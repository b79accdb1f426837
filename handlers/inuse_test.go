package handlers

import (
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// A cursor that was in use stays in use while it can be followed, whatever the
// source would choose now; that, and another one where it cannot, is told.
func TestCursorInUseStays(t *testing.T) {
	w := newWorld(t, quick())
	change := func(cursor string, columns ...driver.Column) {
		w.source.mu.Lock()
		defer w.source.mu.Unlock()
		w.source.tables[0].Cursor = cursor
		if columns != nil {
			w.source.tables[0].Columns = columns
		}
	}
	note := driver.Column{Name: "note", Type: driver.Of(driver.String), SourceType: "x", Nullable: true}
	unordered := note
	unordered.Unordered = true
	incremental := command.SyncOptions{Mode: "incremental"}
	w.connect()
	for _, c := range []struct {
		name    string
		do      func()
		options command.SyncOptions
		cursor  string
		says    string
	}{
		{"the first", func() {}, incremental, "id", ""},
		{"another choice", func() { change("note") }, incremental, "id", "The cursor stays id, which was in use; without that it would be note now"},
		{"no choice", func() { change("") }, incremental, "id", "it would be none now"},
		{"named", func() {}, command.SyncOptions{Mode: "incremental", CursorField: map[string]string{"orders": "note"}}, "note", ""},
		{"what was named", func() { change("id") }, incremental, "note", "The cursor stays note"},
		{"without an order", func() { change("id", column("id", driver.Int64), unordered) }, incremental, "id", "The cursor note that was in use is not there any more or has no order now: it goes by id."},
		{"after a reset", func() { change("note", column("id", driver.Int64), note) }, command.SyncOptions{Mode: "incremental", Reset: []string{"orders"}}, "note", ""},
	} {
		c.do()
		w.do(w.syncCommand(c.options))
		r := last[*event.SyncCompleted](w).Tables[0]
		moved := ""
		for _, n := range r.Notes {
			if strings.HasPrefix(n, "The cursor stays") || strings.Contains(n, "that was in use") {
				moved = n
			}
		}
		if r.Status != tableCompleted || r.CursorName != c.cursor || c.says == "" && moved != "" || !strings.Contains(moved, c.says) {
			t.Errorf("%s: %s by %q, says %q: %+v", c.name, r.Status, r.CursorName, moved, r)
		}
	}
}
