package syncoptions

import (
	"encoding/json"
	"testing"

	"headwater/bus/command"
)

func TestEffective(t *testing.T) {
	type o = command.SyncOptions
	without := func(table string, columns ...string) map[string]command.Columns {
		return map[string]command.Columns{table: {Exclude: columns}}
	}
	one := func(table, value string) map[string]string { return map[string]string{table: value} }
	incremental := command.Incremental
	for name, c := range map[string]struct{ asked, kept, want o }{
		"nothing kept":                 {o{Mode: incremental, Merge: true}, o{}, o{Mode: incremental, Merge: true}},
		"nothing asked":                {o{}, o{Mode: incremental, Merge: true, Lookback: "1h", Tables: []string{"orders"}, Columns: without("orders", "note")}, o{Mode: incremental, Merge: true, Lookback: "1h", Tables: []string{"orders"}, Columns: without("orders", "note")}},
		"another mode":                 {o{Mode: command.FullRefresh}, o{Mode: incremental, Merge: true, Lookback: "1h", Deleted: one("orders", "gone")}, o{Mode: command.FullRefresh}},
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
