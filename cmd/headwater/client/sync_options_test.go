package client

import (
	"encoding/json"
	"testing"
)

func TestSyncModeFlags(t *testing.T) {
	for _, c := range []struct {
		flags      SyncFlags
		mode, fail string
	}{
		{SyncFlags{Incremental: true}, "incremental", ""},
		{SyncFlags{Incremental: true, Mode: "incremental"}, "incremental", ""},
		{SyncFlags{Incremental: true, Mode: "full_refresh"}, "", "--incremental contradicts --mode full_refresh; leave one of the two"},
		{SyncFlags{CursorColumn: []string{"orders"}}, "", "--cursor-column orders: write TABLE=COLUMN"},
		{SyncFlags{DeletedColumn: []string{"=x"}}, "", "--deleted-column =x: write TABLE=COLUMN"},
		{SyncFlags{StartFrom: []string{"orders="}}, "", "--start-from orders=: write TABLE=VALUE"},
		{SyncFlags{Exclude: []string{"orders="}}, "", "--exclude orders=: write TABLE=COLUMN, or TABLE for all of it"},
		{SyncFlags{KeyColumn: []string{"orders"}}, "", "--key-column orders: write TABLE=COLUMN"},
	} {
		o, err := c.flags.options()
		switch {
		case c.fail != "" && (err == nil || err.Error() != c.fail):
			t.Errorf("%+v: %v, wanted %q", c.flags, err, c.fail)
		case c.fail == "" && (err != nil || o["mode"] != c.mode):
			t.Errorf("%+v: %v %v", c.flags, o, err)
		}
	}
}

// A table alone is excluded, a table with a column keeps its others; columns of a
// key gather in their order.
func TestFlagsOfSeveralColumns(t *testing.T) {
	o, err := (&SyncFlags{Exclude: []string{"tmp_*", "orders=note", "orders=a=b"}, KeyColumn: []string{"orders=region", "orders=number"}, OnReplaced: "stop", IdleTimeout: "5m"}).options()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(o)
	const want = `{"columns":{"orders":{"exclude":["note","a=b"]}},"exclude":["tmp_*"],"idle_timeout":"5m","key_columns":{"orders":["region","number"]},"on_replaced":"stop"}`
	if string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
