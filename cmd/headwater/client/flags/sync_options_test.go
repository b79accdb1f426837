package flags

import (
	"encoding/json"
	"strings"
	"testing"

	"headwater/cmd/headwater/client/clienttest"
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
		o, err := c.flags.Options()
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
	o, err := (&SyncFlags{Exclude: []string{"tmp_*", "orders=note", "orders=a=b"}, KeyColumn: []string{"orders=region", "orders=number"}, OnReplaced: "stop", IdleTimeout: "5m"}).Options()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(o)
	const want = `{"columns":{"orders":{"exclude":["note","a=b"]}},"exclude":["tmp_*"],"idle_timeout":"5m","key_columns":{"orders":["region","number"]},"on_replaced":"stop"}`
	if string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestSyncFlags(t *testing.T) {
	f := SyncFlags{
		Mode: "incremental", Table: []string{"public.*"}, CursorColumn: []string{"orders=updated_at"}, Merge: true, DeletedColumn: []string{"orders=gone"},
		Exclude: []string{"orders=note", "orders=x=y", "*=secret*"}, Lookback: "15m", Parallelism: 3, Reset: []string{"carts"}, StartFrom: []string{"orders=a=b"},
		Timeout: "2h", TableTimeout: "30m",
	}
	o, err := f.Options()
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "options", string(got), `{"columns":{"*":{"exclude":["secret*"]},"orders":{"exclude":["note","x=y"]}},"cursor_columns":{"orders":"updated_at"},"deleted_columns":{"orders":"gone"},"lookback":"15m","merge":true,"mode":"incremental","parallelism":3,"reset":["carts"],"start_from":{"orders":"a=b"},"table_timeout":"30m","tables":["public.*"],"timeout":"2h"}`)
	for _, bad := range []SyncFlags{{CursorColumn: []string{"orders"}}, {StartFrom: []string{"=5"}}, {Exclude: []string{"orders="}}} {
		if _, err := bad.Options(); err == nil || !strings.Contains(err.Error(), "write TABLE=") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
