package syncoptions

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// shop is the schema that the checks are tried on.
func shop() []event.Table {
	col := func(name, typ string) event.Column { return event.Column{Name: name, Type: typ} }
	return []event.Table{
		{Namespace: "public", Name: "orders", PrimaryKey: []string{"id"}, Cursor: "updated_at", Columns: []event.Column{
			col("id", "int64"), col("updated_at", "timestamptz"), col("total", "decimal(15,2)"), col("note", "string"), col("gone", "boolean"), col("data", "json")}},
		{Namespace: "public", Name: "events", PrimaryKey: []string{}, Cursor: "seq", Columns: []event.Column{col("seq", "int64"), col("body", "json")}},
		{Namespace: "public", Name: "flags", PrimaryKey: []string{"id"}, Columns: []event.Column{col("id", "uuid"), col("gone", "boolean")}},
		{Namespace: "public", Name: "tags", PrimaryKey: []string{"id"}, Columns: []event.Column{col("id", "uuid"), col("name", "string"), {Name: "kind", Type: "string", SourceType: "enum('a')", Unordered: true}}},
	}
}

func TestCheckOptions(t *testing.T) {
	type o = command.SyncOptions
	one := func(table, value string) map[string]string { return map[string]string{table: value} }
	without := func(table string, columns ...string) map[string]command.Columns {
		return map[string]command.Columns{table: {Exclude: columns}}
	}
	reached := func(_, table string) (string, string) {
		if table == "orders" {
			return "updated_at", "2026-01-31T12:00:00.000000Z"
		}
		return "", ""
	}
	incremental := command.Incremental
	for name, c := range map[string]struct {
		options o
		want    string // field and part of the message of each problem; "" for none
	}{
		"nothing asked":                   {o{}, ""},
		"everything that fits":            {o{Mode: incremental, Merge: true, Tables: []string{"orders"}, Columns: without("*", "note"), Lookback: "15m", Parallelism: 4, Deleted: one("public.orders", "gone"), Timeout: "2h", TableLimit: "1d"}, ""},
		"reset of what is not taken":      {o{Tables: []string{"orders"}, Reset: []string{"ord*", "tags"}}, "reset[1]: table public.tags is not among the tables of the sync"},
		"cursor of what is not taken":     {o{Mode: incremental, Tables: []string{"orders"}, CursorField: one("events", "seq")}, "cursor_columns.events: table public.events is not among the tables of the sync"},
		"columns of what is not taken":    {o{Tables: []string{"orders"}, Columns: without("tags", "name")}, "columns.tags: table public.tags is not among the tables of the sync"},
		"named twice":                     {o{Mode: incremental, CursorField: map[string]string{"orders": "id", "public.orders": "updated_at"}}, "cursor_columns.orders: public.orders is named in full, too"},
		"deletes without a cursor":        {o{Mode: incremental, Merge: true, Tables: []string{"flags"}, Deleted: one("flags", "gone")}, "deleted_columns.flags: table public.flags has no cursor"},
		"changes of another mode":         {o{Mode: incremental, Changes: "append"}, "changes: goes with mode cdc"},
		"options of another mode":         {o{Mode: command.Capture, Lookback: "1h"}, "lookback: does not go with mode cdc"},
		"everything of cdc":               {o{Mode: command.Capture, Tables: []string{"orders", "tags"}, MaxDelay: "1s", Changes: "merge", SoftDelete: true, LagWarn: 1 << 20, LagLimit: 1 << 30}, ""},
		"a delay too short":               {o{Mode: command.Capture, MaxDelay: "500ms"}, "max_delay: is 500ms; it can be 1s to 1h"},
		"no such changes":                 {o{Mode: command.Capture, Changes: "both"}, `changes: is "both"; it can be merge or append`},
		"soft deletes of a log":           {o{Mode: command.Capture, Changes: "append", SoftDelete: true}, "soft_delete: goes with changes merge"},
		"a warning behind the limit":      {o{Mode: command.Capture, LagWarn: 1 << 30, LagLimit: 1 << 20}, "lag_warn_bytes: must be less than lag_limit_bytes"},
		"a limit that is nothing":         {o{Mode: command.Capture, LagLimit: 5}, "lag_limit_bytes: is 5 bytes"},
		"cdc of a table without a key":    {o{Mode: command.Capture, Tables: []string{"events"}}, "tables: table public.events has no primary key, by which changes find their rows"},
		"a log of a table without a key":  {o{Mode: command.Capture, Tables: []string{"events"}, Changes: "append"}, ""},
		"cdc of all, one without a key":   {o{Mode: command.Capture}, ""},
		"another key than the source's":   {o{Mode: command.Capture, KeyColumns: map[string][]string{"orders": {"note"}}}, "key_columns.public.orders: the source tells changes by the primary key (id)"},
		"no such mode":                    {o{Mode: "upsert"}, `mode: is "upsert"; it can be full_refresh`},
		"merge of a full refresh":         {o{Merge: true}, "merge: goes with mode incremental"},
		"lookback of a full refresh":      {o{Lookback: "1h"}, "lookback: goes with mode incremental"},
		"start of a full refresh":         {o{StartFrom: one("orders", "2026-01-01T00:00:00Z")}, "start_from: goes with mode incremental"},
		"deletes without merge":           {o{Mode: incremental, Deleted: one("orders", "gone")}, "deleted_columns: goes with merge"},
		"too parallel":                    {o{Parallelism: 17}, "parallelism: is 17; it can be 1 to 16"},
		"no time":                         {o{Timeout: "soon"}, "timeout: is not a length of time"},
		"no time of a table":              {o{TableLimit: "0s"}, "table_timeout: is not a length of time"},
		"no such table":                   {o{Tables: []string{"orders", "carts*"}}, `tables[1]: no table matches "carts*"; the source has public.orders, public.events, public.flags, public.tags`},
		"no pattern":                      {o{Tables: []string{"[a"}}, `tables[0]: there is no table "[a", which is not a pattern either`},
		"no such cursor":                  {o{Mode: incremental, CursorField: one("orders", "when")}, `cursor_columns.orders: table public.orders has no column "when" to go by; it has id, updated_at, total, note`},
		"no order":                        {o{Mode: incremental, CursorField: one("public.orders", "data")}, `cursor_columns.public.orders: column "data" of public.orders is json, which has no order`},
		"no order in the source":          {o{Mode: incremental, CursorField: one("tags", "kind")}, `cursor_columns.tags: column "kind" of public.tags is enum('a') in the source, which has no order to go by; it has id, name`},
		"cursor of no table":              {o{Mode: incremental, CursorField: one("carts", "id")}, `cursor_columns.carts: there is no table "carts"`},
		"key excluded":                    {o{Columns: without("orders", "i*")}, "columns.orders.exclude[0]: column id of public.orders is part of its key"},
		"cursor excluded":                 {o{Mode: incremental, Columns: without("public.ord*", "note", "updated_at")}, "columns.public.ord*.exclude[1]: column updated_at of public.orders is the cursor"},
		"cursor of another mode":          {o{Columns: without("orders", "updated_at")}, ""},
		"delete mark excluded":            {o{Mode: incremental, Merge: true, Tables: []string{"orders"}, Deleted: one("orders", "gone"), Columns: without("orders", "gone")}, "columns.orders.exclude[0]: column gone of public.orders tells which rows are deleted"},
		"no such column":                  {o{Columns: without("tags", "x*")}, `columns.tags.exclude[0]: no column matches "x*"; it has id, name, kind`},
		"columns of no table":             {o{Columns: without("carts", "x")}, `columns.carts: no table matches "carts"`},
		"every column excluded":           {o{Tables: []string{"events"}, Columns: without("events", "*")}, "columns: every column of public.events"},
		"merge without a key":             {o{Mode: incremental, Merge: true}, ""},
		"deletes without a key":           {o{Mode: incremental, Merge: true, Deleted: one("events", "seq")}, "deleted_columns.events: table public.events has no key, so it is read whole each time"},
		"deletes by a number":             {o{Mode: incremental, Merge: true, Deleted: one("orders", "id")}, ""},
		"deletes by a time that is there": {o{Mode: incremental, Merge: true, Deleted: one("orders", "updated_at")}, `deleted_columns.orders: column "updated_at" of public.orders is never NULL, so that every row would count as deleted`},
		"merge of those with a key":       {o{Mode: incremental, Merge: true, Tables: []string{"orders", "tags"}}, ""},
		"lookback without a key":          {o{Mode: incremental, Tables: []string{"events"}, Lookback: "100"}, ""},
		"time behind a number":            {o{Mode: incremental, Tables: []string{"events"}, Lookback: "1h"}, "lookback: does not fit the cursor seq of public.events, which is int64"},
		"number behind a time":            {o{Mode: incremental, Tables: []string{"orders"}, Lookback: "100"}, "lookback: does not fit the cursor updated_at of public.orders, which is timestamptz"},
		"lookback behind text":            {o{Mode: incremental, Tables: []string{"tags"}, CursorField: one("tags", "name"), Lookback: "1h"}, "lookback: does not fit the cursor name of public.tags, which is string"},
		"lookback behind nothing":         {o{Mode: incremental, Tables: []string{"tags"}, Lookback: "1h"}, "lookback: no table has a cursor"},
		"no lookback":                     {o{Mode: incremental, Lookback: "-5"}, "lookback: is neither a length of time such as \"15m\" or \"3d\" (d, h, m and s, at most 36500d) nor a whole number"},
		"lookback too long":               {o{Mode: incremental, Lookback: "36501d"}, "lookback: is neither a length of time"},
		"lookback beside start":           {o{Mode: incremental, Tables: []string{"orders"}, Lookback: "15m", StartFrom: one("orders", "2026-01-01T00:00:00Z")}, "lookback: has no effect: every table with a cursor begins where sync_options.start_from says"},
		"lookback of another":             {o{Mode: incremental, Tables: []string{"orders", "flags"}, CursorField: map[string]string{"orders": "id", "flags": "id"}, StartFrom: one("flags", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"), Lookback: "500"}, ""},
		"reset of no table":               {o{Reset: []string{"carts"}}, `reset[0]: no table matches "carts"`},
		"reset and start":                 {o{Mode: incremental, Reset: []string{"ord*"}, StartFrom: one("orders", "2026-01-01T00:00:00Z")}, "start_from.orders: table public.orders is also in sync_options.reset"},
		"start that is no time":           {o{Mode: incremental, StartFrom: one("orders", "yesterday")}, "start_from.orders: is no time with a zone"},
		"start that is no number":         {o{Mode: incremental, CursorField: one("orders", "id"), StartFrom: one("orders", "1.5")}, "start_from.orders: is no value of int64"},
		"start without a key":             {o{Mode: incremental, StartFrom: one("events", "5")}, ""},
		"start that lies ahead":           {o{Mode: incremental, StartFrom: one("orders", "2026-02-01T00:00:00Z")}, "start_from.orders: lies after the cursor of public.orders"},
		"start at the cursor":             {o{Mode: incremental, StartFrom: one("orders", "2026-01-31T13:00:00+01:00")}, ""},
		"start of what was not landed":    {o{Mode: incremental, CursorField: one("tags", "name"), StartFrom: one("tags", "m")}, ""},
		"start without a cursor":          {o{Mode: incremental, StartFrom: one("tags", "5")}, "start_from.tags: table public.tags has no cursor"},
		"start of another table":          {o{Mode: incremental, Tables: []string{"tags"}, StartFrom: one("orders", "2026-01-01T00:00:00Z")}, "start_from.orders: table public.orders is not among"},
		"deletes told by text":            {o{Mode: incremental, Merge: true, Tables: []string{"orders"}, Deleted: one("orders", "note")}, "deleted_columns.orders: column \"note\" of public.orders is string; deletes are told by a boolean, a whole number or a timestamp: it has id, updated_at, gone"},
		"deletes told by nothing":         {o{Mode: incremental, Merge: true, Tables: []string{"orders"}, Deleted: one("orders", "x")}, `deleted_columns.orders: table public.orders has no column "x"`},
		"merge by a key of the caller's":  {o{Mode: incremental, Merge: true, KeyColumns: map[string][]string{"events": {"seq"}}}, ""},
		"lookback by one":                 {o{Mode: incremental, Tables: []string{"events"}, Lookback: "100", KeyColumns: map[string][]string{"public.events": {"seq"}}}, ""},
		"start by one":                    {o{Mode: incremental, Tables: []string{"events"}, StartFrom: one("events", "5"), KeyColumns: map[string][]string{"events": {"seq"}}}, ""},
		"key of no table":                 {o{KeyColumns: map[string][]string{"carts": {"id"}}}, `key_columns.carts: there is no table "carts"`},
		"no such key":                     {o{KeyColumns: map[string][]string{"tags": {"id", "nr"}}}, `key_columns.tags[1]: table public.tags has no column "nr"; it has id, name, kind`},
		"key of nothing":                  {o{KeyColumns: map[string][]string{"tags": {}}}, "key_columns.tags: names no column; it has id, name, kind"},
		"key twice":                       {o{KeyColumns: map[string][]string{"tags": {"id", "id"}}}, `key_columns.tags[1]: names column "id" again`},
		"key that cannot be told apart":   {o{KeyColumns: map[string][]string{"events": {"body"}}}, `key_columns.events[0]: column "body" of public.events is json`},
		"key column excluded":             {o{KeyColumns: map[string][]string{"tags": {"name"}}, Columns: without("tags", "name")}, "columns.tags.exclude[0]: column name of public.tags is part of its key"},
		"merge of what is left":           {o{Mode: incremental, Merge: true, Exclude: []string{"ev*"}}, ""},
		"exclude of no table":             {o{Exclude: []string{"carts"}}, `exclude[0]: no table matches "carts"`},
		"all excluded":                    {o{Exclude: []string{"public.*"}}, "exclude: leaves no table to sync"},
		"reset of what is excluded":       {o{Exclude: []string{"tags"}, Reset: []string{"tags"}}, "reset[0]: table public.tags is not among the tables of the sync"},
		"no such answer to another":       {o{OnReplaced: "ignore"}, `on_replaced: is "ignore"; it can be restart or stop`},
		"no such answer to a change":      {o{OnColumnsChanged: "stop"}, `on_columns_changed: is "stop"; it can be reread or keep`},
		"no idle time":                    {o{IdleTimeout: "0s"}, "idle_timeout: is not a length of time"},
	} {
		_, problems := Check(c.options, shop(), reached)
		switch {
		case c.want == "" && len(problems) == 0:
		case c.want == "" || len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "sync_options."+c.want):
			t.Errorf("%s: %v, wanted %q", name, problems, c.want)
		}
	}
}

// With several sources an option may name what only one of them has.
func TestCheckOptionsLeavesWhatIsElsewhere(t *testing.T) {
	fitting, problems := Check(command.SyncOptions{
		Mode: command.Incremental, Tables: []string{"orders", "carts"}, Reset: []string{"carts"},
		CursorField: map[string]string{"orders": "id", "carts": "id"}, StartFrom: map[string]string{"carts": "5"},
		Columns: map[string]command.Columns{"orders": {Exclude: []string{"note", "x"}}, "carts": {Exclude: []string{"x"}}},
	}, shop(), nil)
	for _, p := range problems {
		if !p.Absent {
			t.Errorf("%v is not only absent", p)
		}
	}
	if len(problems) != 6 {
		t.Errorf("%d problems: %v", len(problems), problems)
	}
	if _, left := Check(fitting, shop(), nil); len(left) > 0 || len(fitting.Tables) != 1 || len(fitting.CursorField) != 1 || fitting.StartFrom != nil || fitting.Reset != nil {
		t.Errorf("%+v: %v", fitting, left)
	}
}

func TestCursorValue(t *testing.T) {
	for _, c := range []struct {
		typ      driver.Type
		in, want string // "" for a refusal
	}{
		{driver.Of(driver.Int32), "+7", "7"}, {driver.Of(driver.Int32), "2147483648", ""}, {driver.Of(driver.Int64), "9223372036854775807", "9223372036854775807"},
		{driver.DecimalOf(15, 2), "-1.50", "-1.50"}, {driver.DecimalOf(15, 2), "1e5", ""}, {driver.DecimalOf(15, 2), "1/2", ""},
		{driver.Of(driver.Date), "2026-02-30", ""}, {driver.Of(driver.Date), "2026-02-28", "2026-02-28"},
		{driver.Of(driver.Timestamp), "2026-01-31 12:00:00", "2026-01-31T12:00:00.000000"}, {driver.Of(driver.Timestamp), "2026-01-31T12:00:00Z", ""},
		{driver.Of(driver.TimestampTZ), "2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.500000Z"}, {driver.Of(driver.TimestampTZ), "2026-01-31T12:00:00", ""},
		{driver.Of(driver.UUID), "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}, {driver.Of(driver.UUID), "x", ""},
		{driver.Of(driver.String), "x", "x"},
	} {
		got, err := CursorValue(c.typ, c.in)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s %q: %q %v, wanted %q", c.typ, c.in, got, err, c.want)
		}
	}
}

func TestBehind(t *testing.T) {
	for _, c := range []struct {
		typ      driver.Type
		at       string
		lookback command.Lookback
		want     string
	}{
		{driver.Of(driver.Int64), "1000", "100", "900"},
		{driver.Of(driver.Int32), "-2147483000", "1000", "-2147483648"},
		{driver.DecimalOf(15, 2), "10.50", "3", "7.50"},
		{driver.Of(driver.Date), "2026-03-01", "15m", "2026-02-28"},
		{driver.Of(driver.Timestamp), "2026-03-01T00:00:00.000001", "1d", "2026-02-28T00:00:00.000001"},
		{driver.Of(driver.TimestampTZ), "2026-03-01T00:10:00.000000Z", "15m", "2026-02-28T23:55:00.000000Z"},
		{driver.Of(driver.TimestampTZ), "0001-01-02T00:00:00.000000Z", "3d", "0001-01-01T00:00:00.000000Z"},
		{driver.Of(driver.String), "x", "100", "x"},
		{driver.Of(driver.Int64), "1000", "1h", "1000"},
	} {
		if got := Behind(c.typ, c.at, c.lookback); got != c.want {
			t.Errorf("%s %s - %s: %s, wanted %s", c.typ, c.at, c.lookback, got, c.want)
		}
	}
}

// Whatever is asked of whatever source, what is accepted has an effect: every
// name is of a table that the sync takes, and nothing is left out silently.
func TestNothingIsAcceptedAndIgnored(t *testing.T) {
	tables := shop()
	var names, columns []string
	for _, table := range tables {
		names = append(names, table.Name, table.Namespace+"."+table.Name)
		for _, c := range table.Columns {
			columns = append(columns, c.Name)
		}
	}
	names = append(names, "*", "public.*", "o*", "[a", "carts", "", "public.")
	columns = append(columns, "*", "n*", "[", "nosuch", "")
	rapid.Check(t, func(r *rapid.T) {
		name, column := rapid.SampledFrom(names), rapid.SampledFrom(columns)
		text := rapid.SampledFrom([]string{"", "0", "5", "-5", "15m", "3d", "1h", "0s", "soon", "9999999999999999999", "2026-01-01T00:00:00Z", "true"})
		o := command.SyncOptions{
			Mode:        rapid.SampledFrom([]string{"", command.FullRefresh, command.Incremental, command.Incremental, "upsert"}).Draw(r, "mode"),
			Tables:      rapid.SliceOfN(name, 0, 2).Draw(r, "tables"),
			CursorField: rapid.MapOfN(name, column, 0, 2).Draw(r, "cursors"),
			Merge:       rapid.Bool().Draw(r, "merge"),
			Columns:     rapid.MapOfN(name, rapid.Map(rapid.SliceOfN(column, 0, 2), func(x []string) command.Columns { return command.Columns{Exclude: x} }), 0, 2).Draw(r, "columns"),
			Lookback:    command.Lookback(text.Draw(r, "lookback")),
			Parallelism: rapid.IntRange(-1, 20).Draw(r, "parallelism"),
			Reset:       rapid.SliceOfN(name, 0, 2).Draw(r, "reset"),
			StartFrom:   rapid.MapOfN(name, text, 0, 2).Draw(r, "start"),
			Deleted:     rapid.MapOfN(name, column, 0, 2).Draw(r, "deleted"),
			Timeout:     command.Duration(text.Draw(r, "timeout")),
			TableLimit:  command.Duration(text.Draw(r, "limit")),
			Exclude:     rapid.SliceOfN(name, 0, 2).Draw(r, "exclude"),
			KeyColumns:  rapid.MapOfN(name, rapid.SliceOfN(column, 0, 2), 0, 2).Draw(r, "keys"),
			OnReplaced:  rapid.SampledFrom([]string{"", command.Restart, command.Stop, "x"}).Draw(r, "replaced"),
			IdleTimeout: command.Duration(text.Draw(r, "idle")),
		}
		_, problems := Check(o, tables, nil)
		for _, p := range problems {
			if !strings.HasPrefix(p.Field, "sync_options.") || p.Message == "" || p.Reason == "" {
				r.Fatalf("%+v", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		choice := NewChoice(o, tables)
		taken := func(pattern string) bool {
			return slices.ContainsFunc(tables, func(t event.Table) bool {
				return choice.Takes(t.Namespace, t.Name) && choice.Means(pattern, t.Namespace, t.Name)
			})
		}
		for _, n := range slices.Concat(o.Tables, o.Reset, slices.Collect(maps.Keys(o.CursorField)), slices.Collect(maps.Keys(o.Columns)), slices.Collect(maps.Keys(o.KeyColumns)), slices.Collect(maps.Keys(o.StartFrom)), slices.Collect(maps.Keys(o.Deleted))) {
			if !taken(n) {
				r.Fatalf("%q names nothing of the sync, and is accepted", n)
			}
		}
		if o.Mode != command.Incremental && (o.Merge || o.Lookback != "" || len(o.StartFrom) > 0) {
			r.Fatalf("it goes with incremental alone, and is accepted")
		}
	})
}
