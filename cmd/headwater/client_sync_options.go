package main

import (
	"fmt"
	"strings"
)

// SyncFlags are sync_options as flags. TABLE is a name or, where a pattern is
// allowed, one such as public.order*.
type SyncFlags struct {
	Mode          string   `enum:",full_refresh,incremental" default:"" help:"full_refresh (the default) replaces what is there; incremental reads what lies behind the cursor and appends it."`
	Incremental   bool     `help:"Short for --mode incremental."`
	Table         []string `sep:"none" help:"Only this table or pattern; may repeat."`
	BatchSize     int      `help:"Rows a batch; 0 leaves it to the service."`
	CursorColumn  []string `sep:"none" placeholder:"TABLE=COLUMN" help:"What an incremental sync of a table goes by; may repeat."`
	Merge         bool     `help:"With --mode incremental: rows take the place of those with the same primary key."`
	DeletedColumn []string `sep:"none" placeholder:"TABLE=COLUMN" help:"With --merge: the column that says a row is deleted; may repeat."`
	Exclude       []string `sep:"none" placeholder:"TABLE=COLUMN" help:"Columns (patterns) that are neither read nor landed; may repeat."`
	Lookback      string   `help:"Begin so far behind the cursor: 15m, 2h, 3d, or a number for cursors that are numbers."`
	Parallelism   int      `help:"Connections that one table is read over, 1 to 16; 0 leaves it to the service."`
	Reset         []string `sep:"none" placeholder:"TABLE" help:"This table (or pattern) starts over; may repeat."`
	StartFrom     []string `sep:"none" placeholder:"TABLE=VALUE" help:"Start from an earlier checkpoint, see 'headwater checkpoints'; may repeat."`
	Timeout       string   `help:"Limit of the whole sync, such as 2h."`
	TableTimeout  string   `help:"Limit of each table, such as 30m."`
	AllowEmpty    bool     `help:"A file or an API that gives no row where there were some empties its table."`
}

// options returns sync_options with what was asked for, and an error that names
// a flag which is not TABLE=SOMETHING.
func (f *SyncFlags) options() (map[string]any, error) {
	o := map[string]any{}
	mode := f.Mode
	if f.Incremental {
		if mode != "" && mode != "incremental" {
			return nil, fmt.Errorf("--incremental contradicts --mode %s; leave one of the two", mode)
		}
		mode = "incremental"
	}
	for name, value := range map[string]string{"mode": mode, "lookback": f.Lookback, "timeout": f.Timeout, "table_timeout": f.TableTimeout} {
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
	for name, on := range map[string]bool{"merge": f.Merge, "allow_empty": f.AllowEmpty} {
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
	columns := map[string]map[string][]string{}
	for _, pair := range f.Exclude {
		table, column, ok := strings.Cut(pair, "=")
		if !ok || table == "" || column == "" {
			return nil, fmt.Errorf("--exclude %s: write TABLE=COLUMN", pair)
		}
		if columns[table] == nil {
			columns[table] = map[string][]string{}
		}
		columns[table]["exclude"] = append(columns[table]["exclude"], column)
	}
	if len(columns) > 0 {
		o["columns"] = columns
	}
	return o, nil
}
