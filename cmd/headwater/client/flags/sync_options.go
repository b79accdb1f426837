package flags

import (
	"fmt"
	"strings"
)

// SyncFlags are sync_options as flags. TABLE is a name or, where patterns are
// allowed, a pattern such as public.order*.
type SyncFlags struct {
	Mode          string   `enum:",full_refresh,incremental,cdc" default:"" help:"full_refresh (the default) replaces what is there; incremental reads from the last cursor value on and appends what is new; cdc follows the database's log of changes."`
	Incremental   bool     `help:"Short for --mode incremental."`
	Table         []string `sep:"none" help:"Only this table or pattern; may repeat."`
	BatchSize     int      `help:"Rows in a batch; 0 lets the service decide."`
	CursorColumn  []string `sep:"none" placeholder:"TABLE=COLUMN" help:"Cursor of an incremental sync of a table; may repeat."`
	Merge         bool     `help:"With --mode incremental: rows replace those with the same key."`
	DeletedColumn []string `sep:"none" placeholder:"TABLE=COLUMN" help:"With --merge: the column that says a row is deleted; may repeat."`
	Exclude       []string `sep:"none" placeholder:"TABLE[=COLUMN]" help:"Tables, or columns of them (patterns), that are neither read nor landed; may repeat."`
	KeyColumn     []string `sep:"none" placeholder:"TABLE=COLUMN" help:"Key of a table that has no primary key; repeat for a key of several columns."`
	Lookback      string   `help:"Start reading this far before the cursor: 15m, 2h, 3d, or a number for numeric cursors."`
	Parallelism   int      `help:"Connections used to read one table, 1 to 16; 0 lets the service decide."`
	Reset         []string `sep:"none" placeholder:"TABLE" help:"Read this table (or pattern) from the start; may repeat."`
	StartFrom     []string `sep:"none" placeholder:"TABLE=VALUE" help:"Start from an earlier checkpoint, see 'headwater checkpoints'; may repeat."`
	Timeout       string   `help:"Limit of the whole sync, such as 2h."`
	TableTimeout  string   `help:"Limit of each table, such as 30m."`
	IdleTimeout   string   `help:"How long a source may be silent while it is read, such as 10m."`
	Maintenance   string   `enum:",auto,off" default:"" help:"After a sync: auto (the default) compacts a table when that is worth it; off leaves it to 'headwater maintain'."`
	OnReplaced    string   `enum:",restart,stop" default:"" help:"When a table was replaced by another of its name: restart (the default) reads it from the start, stop fails it."`
	OnColumns     string   `name:"on-columns-changed" enum:",reread,keep" default:"" help:"When a change of columns makes landed rows differ from the source: reread (the default) reads the whole table once, keep leaves them as they are."`
	MaxDelay      string   `help:"With --mode cdc: how long a change may wait to be committed, 1s to 1h; the default is 10s."`
	Changes       string   `enum:",merge,append" default:"" help:"With --mode cdc: merge (the default) applies changes, so that the table equals its source; append keeps every change as a row."`
	SoftDelete    bool     `help:"With --mode cdc: deleted rows are kept and marked in _headwater_deleted."`
	LagWarnBytes  int64    `help:"With --mode cdc: warn when the database retains more than this of its log for the sync."`
	LagLimitBytes int64    `help:"With --mode cdc: stop following, and release the log, when the database retains more than this of it."`
	Always        bool     `help:"Keep these options for every later sync of the source; without other options, clear the kept ones."`
	AllowEmpty    bool     `help:"Accept a file or an API that has no rows any more: its table becomes empty."`
}

// Options returns sync_options with the options that were given. Its error names
// a flag that is not TABLE=SOMETHING.
func (f *SyncFlags) Options() (map[string]any, error) {
	o := map[string]any{}
	mode := f.Mode
	if f.Incremental {
		if mode != "" && mode != "incremental" {
			return nil, fmt.Errorf("--incremental contradicts --mode %s; leave one of the two", mode)
		}
		mode = "incremental"
	}
	for name, value := range map[string]string{"mode": mode, "lookback": f.Lookback, "timeout": f.Timeout, "table_timeout": f.TableTimeout,
		"idle_timeout": f.IdleTimeout, "on_replaced": f.OnReplaced, "maintenance": f.Maintenance, "on_columns_changed": f.OnColumns, "max_delay": f.MaxDelay, "changes": f.Changes} {
		if value != "" {
			o[name] = value
		}
	}
	for name, list := range map[string][]string{"tables": f.Table, "reset": f.Reset} {
		if len(list) > 0 {
			o[name] = list
		}
	}
	for name, n := range map[string]int{"batch_size": f.BatchSize, "parallelism": f.Parallelism} {
		if n != 0 {
			o[name] = n
		}
	}
	for name, n := range map[string]int64{"lag_warn_bytes": f.LagWarnBytes, "lag_limit_bytes": f.LagLimitBytes} {
		if n != 0 {
			o[name] = n
		}
	}
	for name, on := range map[string]bool{"merge": f.Merge, "soft_delete": f.SoftDelete, "allow_empty": f.AllowEmpty, "always": f.Always} {
		if on {
			o[name] = true
		}
	}
	for _, m := range []struct {
		name, flag, takes string
		pairs             []string
	}{
		{"cursor_columns", "--cursor-column", "COLUMN", f.CursorColumn}, {"deleted_columns", "--deleted-column", "COLUMN", f.DeletedColumn},
		{"start_from", "--start-from", "VALUE", f.StartFrom},
	} {
		values := map[string]string{}
		for _, pair := range m.pairs {
			table, value, ok := strings.Cut(pair, "=")
			if !ok || table == "" || value == "" {
				return nil, fmt.Errorf("%s %s: write TABLE=%s", m.flag, pair, m.takes)
			}
			values[table] = value
		}
		if len(values) > 0 {
			o[m.name] = values
		}
	}
	return o, f.lists(o)
}

// lists adds the options that map a table to several columns.
func (f *SyncFlags) lists(o map[string]any) error {
	var excluded []string
	columns, keys := map[string]map[string][]string{}, map[string][]string{}
	for _, pair := range f.Exclude {
		table, column, ok := strings.Cut(pair, "=")
		switch {
		case !ok && pair != "":
			excluded = append(excluded, pair)
			continue
		case table == "" || column == "":
			return fmt.Errorf("--exclude %s: write TABLE=COLUMN, or TABLE for all of it", pair)
		case columns[table] == nil:
			columns[table] = map[string][]string{}
		}
		columns[table]["exclude"] = append(columns[table]["exclude"], column)
	}
	for _, pair := range f.KeyColumn {
		table, column, ok := strings.Cut(pair, "=")
		if !ok || table == "" || column == "" {
			return fmt.Errorf("--key-column %s: write TABLE=COLUMN", pair)
		}
		keys[table] = append(keys[table], column)
	}
	if len(excluded) > 0 {
		o["exclude"] = excluded
	}
	if len(columns) > 0 {
		o["columns"] = columns
	}
	if len(keys) > 0 {
		o["key_columns"] = keys
	}
	return nil
}
