package handlers

import (
	"encoding/json"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
)

func TestEffective(t *testing.T) {
	type o = command.SyncOptions
	without := func(table string, columns ...string) map[string]command.Columns {
		return map[string]command.Columns{table: {Exclude: columns}}
	}
	one := func(table, value string) map[string]string { return map[string]string{table: value} }
	incremental := landing.Incremental
	for name, c := range map[string]struct{ asked, kept, want o }{
		"nothing kept":                 {o{Mode: incremental, Merge: true}, o{}, o{Mode: incremental, Merge: true}},
		"nothing asked":                {o{}, o{Mode: incremental, Merge: true, Lookback: "1h", Tables: []string{"orders"}, Columns: without("orders", "note")}, o{Mode: incremental, Merge: true, Lookback: "1h", Tables: []string{"orders"}, Columns: without("orders", "note")}},
		"another mode":                 {o{Mode: landing.FullRefresh}, o{Mode: incremental, Merge: true, Lookback: "1h", Deleted: one("orders", "gone")}, o{Mode: landing.FullRefresh}},
		"narrowed":                     {o{Tables: []string{"or*", "events"}}, o{Tables: []string{"orders", "tags"}}, o{Tables: []string{"public.orders"}}},
		"nothing in common":            {o{Tables: []string{"events"}}, o{Tables: []string{"tags"}}, o{Tables: []string{""}}},
		"and what is not there":        {o{Tables: []string{"orders", "new"}}, o{Tables: []string{"orders"}}, o{Tables: []string{"public.orders", "new"}}},
		"both exclude":                 {o{Exclude: []string{"tags"}, Columns: without("orders", "data")}, o{Exclude: []string{"events"}, Columns: without("orders", "note")}, o{Exclude: []string{"events", "tags"}, Columns: without("orders", "note", "data")}},
		"of tables that are not taken": {o{Tables: []string{"tags"}}, o{Mode: incremental, CursorField: one("orders", "id"), Columns: without("or*", "note"), KeyColumns: map[string][]string{"events": {"seq"}}}, o{Mode: incremental, Tables: []string{"tags"}}},
		"of what is gone":              {o{}, o{Columns: map[string]command.Columns{"orders": {Exclude: []string{"note", "dropped*"}}, "carts": {Exclude: []string{"x"}}}, Exclude: []string{"carts"}}, o{Columns: without("orders", "note")}},
		"the call's cursor":            {o{Mode: incremental, CursorField: one("orders", "id")}, o{Mode: incremental, CursorField: map[string]string{"orders": "updated_at", "tags": "name"}}, o{Mode: incremental, CursorField: map[string]string{"orders": "id", "tags": "name"}}},
		"the source's own from now on": {o{Always: true, Mode: incremental}, o{Merge: true, Columns: without("orders", "note")}, o{Always: true, Mode: incremental}},
	} {
		got, _ := json.Marshal(Effective(c.asked, c.kept, shop()))
		want, _ := json.Marshal(c.want)
		if string(got) != string(want) {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
		if _, problems := CheckCall(c.asked, c.kept, shop(), nil); name != "and what is not there" && len(problems) > 0 && c.want.Tables == nil {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

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
