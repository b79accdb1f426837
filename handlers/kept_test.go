package handlers

import (
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// What a source keeps is part of every sync of it, also after it was connected
// anew, until it is told otherwise.
func TestKeptSyncOptions(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("carts", 5, column("secret", driver.String))
	connect := func(sync *command.SyncOptions) {
		t.Helper()
		c := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
		c.Sync = sync
		w.do(c)
	}
	kept := func() string {
		src, err := w.store.Source(w.address)
		w.check(err)
		return string(src.Sync)
	}
	result := func(options command.SyncOptions) (names, mode string) {
		t.Helper()
		w.do(w.syncCommand(options))
		e := last[*event.SyncCompleted](w)
		for _, r := range e.Tables {
			names += r.Name + " "
		}
		return strings.TrimSpace(names), e.Mode
	}
	connect(&command.SyncOptions{Mode: "incremental", Tables: []string{"carts"}, Columns: map[string]command.Columns{"carts": {Exclude: []string{"secret"}}}})
	if names, mode := result(command.SyncOptions{}); names != "carts" || mode != "incremental" {
		t.Errorf("%s, %s", names, mode)
	}
	const first = `{"mode":"incremental","tables":["carts"],"columns":{"carts":{"exclude":["secret"]}}}`
	connect(nil) // credentials are rotated
	if kept() != first {
		t.Errorf("kept %s", kept())
	}
	if names, mode := result(command.SyncOptions{Mode: "full_refresh"}); names != "carts" || mode != "full_refresh" {
		t.Errorf("%s, %s", names, mode)
	}
	w.do(w.syncCommand(command.SyncOptions{Tables: []string{"orders"}}))
	if e := last[*event.SyncFailed](w); !strings.Contains(e.Message, "the source's own sync options") {
		t.Errorf("%+v", e)
	}
	// What a failed sync could not meet is not kept.
	w.do(w.syncCommand(command.SyncOptions{Always: true, Tables: []string{"nowhere"}}))
	if kept() != first {
		t.Errorf("after a sync that failed, kept %s", kept())
	}
	if names, _ := result(command.SyncOptions{Always: true, Exclude: []string{"carts"}, Reset: []string{"orders"}}); names != "orders" || kept() != `{"exclude":["carts"]}` {
		t.Errorf("%s, kept %s", names, kept())
	}
	if names, _ := result(command.SyncOptions{}); names != "orders" {
		t.Errorf("%s", names)
	}
	if names, _ := result(command.SyncOptions{Always: true}); names != "orders carts" || kept() != "" {
		t.Errorf("%s, kept %s", names, kept())
	}
	connect(&command.SyncOptions{Mode: "incremental"})
	connect(&command.SyncOptions{})
	if kept() != "" {
		t.Errorf("kept %s", kept())
	}
}
