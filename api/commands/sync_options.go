package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"headwater/api/call"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/syncoptions"
	"headwater/projections"
)

// CheckSync validates sync options against a source with these tables that
// stores the options kept. It returns the options without those that name tables
// the source lacks, and the problems. syncoptions.CheckCall implements it.
type CheckSync func(o, kept command.SyncOptions, tables []event.Table, reached syncoptions.Reached) (
	fitting command.SyncOptions, problems []syncoptions.Problem)

// cursorText is a cursor value as text. In JSON it may also be a number, whose
// digits are preserved.
type cursorText string

// UnmarshalJSON reads a JSON string or number.
func (c *cursorText) UnmarshalJSON(b []byte) error {
	var text string
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '"' {
		*c = cursorText(b) // the contract allows nothing but a number here
		return nil
	}
	err := json.Unmarshal(b, &text)
	*c = cursorText(text)
	return err
}

func textsOf(values map[string]cursorText) map[string]string {
	if values == nil {
		return nil
	}
	texts := make(map[string]string, len(values))
	for name, value := range values {
		texts[name] = string(value)
	}
	return texts
}

type syncOptions struct {
	Incremental  *bool                      `json:"incremental"`
	Mode         string                     `json:"mode"`
	BatchSize    int                        `json:"batch_size"`
	Tables       []string                   `json:"tables"`
	Cursors      map[string]string          `json:"cursor_columns"`
	Merge        bool                       `json:"merge"`
	Columns      map[string]command.Columns `json:"columns"`
	Lookback     command.Lookback           `json:"lookback"`
	Parallelism  int                        `json:"parallelism"`
	Reset        []string                   `json:"reset"`
	StartFrom    map[string]cursorText      `json:"start_from"`
	Deleted      map[string]string          `json:"deleted_columns"`
	Timeout      command.Duration           `json:"timeout"`
	TableTimeout command.Duration           `json:"table_timeout"`
	AllowEmpty   bool                       `json:"allow_empty"`
	Exclude      []string                   `json:"exclude"`
	Keys         map[string][]string        `json:"key_columns"`
	OnReplaced   string                     `json:"on_replaced"`
	Maintenance  string                     `json:"maintenance"`
	OnColumns    string                     `json:"on_columns_changed"`
	IdleTimeout  command.Duration           `json:"idle_timeout"`
	Always       bool                       `json:"always"`
	MaxDelay     command.Duration           `json:"max_delay"`
	Changes      string                     `json:"changes"`
	SoftDelete   bool                       `json:"soft_delete"`
	LagWarn      int64                      `json:"lag_warn_bytes"`
	LagLimit     int64                      `json:"lag_limit_bytes"`
}

const (
	modeFull        = "full_refresh"
	modeIncremental = "incremental"
)

// command returns the options as workers receive them. Its error is a
// *web.Failure.
func (o *syncOptions) command() (command.SyncOptions, error) {
	if o == nil {
		return command.SyncOptions{}, nil
	}
	var wrong []web.Detail
	mode := o.Mode
	if o.Incremental != nil {
		asked := modeFull
		if *o.Incremental {
			asked = modeIncremental
		}
		if mode != "" && mode != asked {
			wrong = append(wrong, web.Detail{Field: "sync_options.incremental", Message: "contradicts sync_options.mode; send one of the two"})
		}
		mode = asked
	}
	if wrong != nil {
		return command.SyncOptions{}, web.Malformed(wrong...)
	}
	return command.SyncOptions{
		Mode: mode, BatchSize: o.BatchSize, Tables: o.Tables, CursorField: o.Cursors, Merge: o.Merge, Columns: o.Columns,
		Lookback: o.Lookback, Parallelism: o.Parallelism, Reset: o.Reset, StartFrom: textsOf(o.StartFrom), Deleted: o.Deleted,
		Timeout: o.Timeout, TableLimit: o.TableTimeout, AllowEmpty: o.AllowEmpty,
		Exclude: o.Exclude, KeyColumns: o.Keys, OnReplaced: o.OnReplaced, Maintenance: o.Maintenance, OnColumnsChanged: o.OnColumns, IdleTimeout: o.IdleTimeout, Always: o.Always,
		MaxDelay: o.MaxDelay, Changes: o.Changes, SoftDelete: o.SoftDelete, LagWarn: o.LagWarn, LagLimit: o.LagLimit,
	}, nil
}

// fit validates the options against the known schemas of the sources, and
// returns the options to send to each source.
//
// An option that names a table applies to the sources that have the table. If no
// source is known to have it, every worker looks for it, since it may be new. In
// a sync of all sources, those with none of the requested tables are left out.
// Any other option that a source cannot satisfy is a failure that names the
// source. A source whose schema is not known yet is judged by its worker.
func (c *Calls) fit(sources []projections.Source, asked command.SyncOptions, everything bool) ([]projections.Source, map[string]command.SyncOptions, error) {
	options := map[string]command.SyncOptions{}
	if c.CheckSync == nil || plainSync(asked) && !slices.ContainsFunc(sources, func(s projections.Source) bool { return len(s.Sync) > 0 }) {
		for _, s := range sources {
			options[s.Address.Source] = asked
		}
		return sources, options, nil
	}
	var wrong []web.Detail
	fits := make([]fitted, len(sources))
	absent := map[string]int{} // by field: how many sources lack what it names
	lacking := map[string]web.Detail{}
	var fields []string
	for i, s := range sources {
		fitting, known, problems, err := c.fitOne(s, asked)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range problems {
			d := web.Detail{Field: p.Field, Message: p.Message, Reason: string(p.Reason), SourceID: s.Address.Source, Name: s.Name}
			switch {
			case !p.Absent:
				wrong = append(wrong, d)
			case known:
				if absent[p.Field]++; absent[p.Field] == 1 {
					lacking[p.Field] = d
					fields = append(fields, p.Field)
				}
			}
		}
		fits[i] = fitted{fitting, known}
	}
	for _, field := range fields {
		switch {
		case absent[field] < len(sources):
		case namesTable(field, lacking[field]):
			for i := range fits {
				keep(&fits[i].options, asked, field)
			}
		default:
			wrong = append(wrong, lacking[field])
		}
	}
	if wrong != nil {
		return nil, nil, unfit(wrong)
	}
	var taken []projections.Source
	for i, s := range sources {
		fitting, known := fits[i].options, fits[i].known
		none := known && len(asked.Tables) > 0 && len(fitting.Tables) == 0
		switch {
		case !known || len(sources) == 1:
			fitting = asked
		case none && everything:
			continue
		case none:
			fitting.Tables = asked.Tables // its worker refuses them
		}
		taken = append(taken, s)
		options[s.Address.Source] = fitting
	}
	return taken, options, nil
}

// fitted is the options that one source can satisfy.
type fitted struct {
	options command.SyncOptions
	known   bool // its schema is known
}

// namesTable reports whether a missing name is that of a table, rather than that
// of a column of a known table.
func namesTable(field string, d web.Detail) bool {
	return d.Reason == string(event.ReasonNotFound) && !strings.Contains(field, ".exclude[")
}

// keep copies one field from the requested options, such as
// sync_options.tables[1] or sync_options.start_from.orders.
func keep(fitting *command.SyncOptions, asked command.SyncOptions, field string) {
	field = strings.TrimPrefix(field, "sync_options.")
	option, name, isMap := strings.Cut(field, ".")
	if !isMap {
		option, name, _ = strings.Cut(strings.TrimSuffix(field, "]"), "[")
	}
	item := func(to *[]string, from []string) {
		if i, err := strconv.Atoi(name); err == nil && i < len(from) {
			*to = append(slices.Clip(*to), from[i])
		}
	}
	switch option {
	case "tables":
		item(&fitting.Tables, asked.Tables)
	case "exclude":
		item(&fitting.Exclude, asked.Exclude)
	case "reset":
		item(&fitting.Reset, asked.Reset)
	case "cursor_columns":
		keepNamed(&fitting.CursorField, asked.CursorField, name)
	case "columns":
		keepNamed(&fitting.Columns, asked.Columns, name)
	case "start_from":
		keepNamed(&fitting.StartFrom, asked.StartFrom, name)
	case "deleted_columns":
		keepNamed(&fitting.Deleted, asked.Deleted, name)
	case "key_columns":
		keepNamed(&fitting.KeyColumns, asked.KeyColumns, name)
	}
}

func keepNamed[V any](to *map[string]V, from map[string]V, name string) {
	m := maps.Clone(*to)
	if m == nil {
		m = map[string]V{}
	}
	m[name] = from[name]
	*to = m
}

// plainSync reports whether the options name nothing that a source could lack.
// The schema, which may be large, need not be read then.
func plainSync(o command.SyncOptions) bool {
	if o.Mode == command.Capture {
		return false
	}
	o.Mode, o.BatchSize, o.AllowEmpty = "", 0, false // the contract has validated these
	o.OnReplaced, o.OnColumnsChanged, o.Maintenance, o.Always = "", "", "", false
	return reflect.DeepEqual(o, command.SyncOptions{})
}

// fitAgain returns the options for one of n sources of a request that is being
// resumed.
func (c *Calls) fitAgain(r *call.Request, owner, source string, n int, asked command.SyncOptions) (command.SyncOptions, error) {
	if c.CheckSync == nil || n == 1 {
		return asked, nil
	}
	fitting, known, _, err := c.fitOne(projections.Source{Address: event.Address{
		Organization: r.Caller.Organization, Workspace: r.Workspace, Owner: owner, Source: source,
	}}, asked)
	if err != nil || !known {
		return asked, err
	}
	if len(fitting.Tables) == 0 {
		fitting.Tables = asked.Tables
	}
	return fitting, nil
}

// fitOne validates the options against one source, and reports whether its
// schema is known.
func (c *Calls) fitOne(s projections.Source, asked command.SyncOptions) (fitting command.SyncOptions, known bool, problems []syncoptions.Problem, err error) {
	schema, err := c.Model.Schema(s.Address, 0)
	if err != nil && !errors.Is(err, projections.ErrNotFound) {
		return fitting, false, nil, err
	}
	known = err == nil
	var kept command.SyncOptions
	if len(s.Sync) > 0 {
		if err := json.Unmarshal(s.Sync, &kept); err != nil {
			return fitting, false, nil, fmt.Errorf("read the sync options of %s: %w", s.Name, err)
		}
	}
	var failed error
	fitting, problems = c.CheckSync(asked, kept, schema.Tables, func(namespace, table string) (string, string) {
		landed, err := c.Model.Landed(s.Address, namespace, table)
		if err != nil && !errors.Is(err, projections.ErrNotFound) {
			failed = err
		}
		return landed.CursorName, landed.Cursor
	})
	if mode := asked.Over(kept).Mode; mode == command.Capture && !c.captures(s.Connector) {
		problems = append(problems, syncoptions.NoLog(s.Connector, c.capturing()))
	}
	return fitting, known, problems, failed
}

// capturing returns the connectors whose sources have a log of changes.
func (c *Calls) capturing() (names []string) {
	for _, d := range c.Connectors.Describe() {
		if d.Changes {
			names = append(names, d.Name)
		}
	}
	return names
}

// captures reports whether a connector's sources have a log of changes.
func (c *Calls) captures(connector string) bool { return slices.Contains(c.capturing(), connector) }

// unfit returns the failure for options that cannot be satisfied.
func unfit(wrong []web.Detail) *web.Failure {
	reasons := make([]event.Reason, len(wrong))
	for i, d := range wrong {
		reasons[i] = event.Reason(d.Reason)
	}
	_, code := jobs.StatusOf(reasons)
	message := wrong[0].Field + ": " + wrong[0].Message
	if n := len(wrong) - 1; n > 0 {
		message += fmt.Sprintf(" (and %d more)", n)
	}
	return web.Fail(http.StatusUnprocessableEntity, code, "%s", message).With(wrong...)
}
