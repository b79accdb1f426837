package main

import "testing"

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
