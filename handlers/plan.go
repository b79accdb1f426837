package handlers

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
)

// plan chooses the tables of a sync and how each is read. Options that cannot
// be met are a failure that names them, before anything is read.
func (a *attempt) plan(found []driver.Table) ([]*tableRun, error) {
	if a.mode != landing.FullRefresh && a.mode != landing.Incremental {
		return nil, failf(event.ReasonInvalidConfig, "sync_options.mode is %q; it can be %s or %s", a.mode, landing.FullRefresh, landing.Incremental)
	}
	if err := checkPatterns(a.options.Tables, found); err != nil {
		return nil, err
	}
	if err := checkCursors(a.options.CursorField, found); err != nil {
		return nil, err
	}
	var runs []*tableRun
	for _, t := range found {
		if !matches(a.options.Tables, t.Namespace, t.Name) {
			continue
		}
		run := &tableRun{table: t, totals: &a.totals}
		run.result = event.TableResult{Name: t.Name, Namespace: t.Namespace, Status: statusWaiting, Mode: a.mode}
		// A full refresh notes it too: the next incremental sync goes on there.
		run.cursor = cursorOf(t, a.options.CursorField)
		if a.mode == landing.Incremental {
			if run.cursor == "" {
				run.result.Mode = landing.FullRefresh
				run.result.Message = "no column to go by: the whole table is read each time; name one in sync_options.cursor_columns"
			}
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// matches reports whether a table is chosen: by its name alone or with its
// namespace, by any of the patterns, or because there are none.
func matches(patterns []string, namespace, name string) bool {
	if len(patterns) == 0 {
		return true
	}
	full := driver.Table{Namespace: namespace, Name: name}.String()
	return slices.ContainsFunc(patterns, func(p string) bool { return matchesOne(p, full, name) })
}

func matchesOne(pattern, full, name string) bool {
	if pattern == full || pattern == name {
		return true // a name may hold what a pattern reads as a class
	}
	ok, err := path.Match(pattern, full)
	if err == nil && !ok {
		ok, err = path.Match(pattern, name)
	}
	return ok && err == nil
}

func checkPatterns(patterns []string, found []driver.Table) error {
	for _, p := range patterns {
		if slices.ContainsFunc(found, func(t driver.Table) bool { return matchesOne(p, t.String(), t.Name) }) {
			continue
		}
		if _, err := path.Match(p, ""); err != nil {
			return failf(event.ReasonInvalidConfig, "sync_options.tables: %q is not a pattern", p)
		}
		return failf(event.ReasonNotFound, "sync_options.tables: no table matches %q; %s", p, offer(found))
	}
	return nil
}

// offer names some tables of a source.
func offer(found []driver.Table) string {
	if len(found) == 0 {
		return "the source has no tables"
	}
	names := make([]string, 0, 10)
	for _, t := range found[:min(len(found), cap(names))] {
		names = append(names, t.String())
	}
	more := ""
	if n := len(found) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return "the source has " + strings.Join(names, ", ") + more
}

func checkCursors(columns map[string]string, found []driver.Table) error {
	for table, column := range columns {
		known := false
		for _, t := range found {
			if table != t.String() && table != t.Name {
				continue
			}
			known = true
			c, ok := t.Column(column)
			if !ok {
				return failf(event.ReasonInvalidConfig, "sync_options.cursor_columns: table %s has no column %q", t, column)
			}
			if !c.Type.Ordered() {
				return failf(event.ReasonInvalidConfig, "sync_options.cursor_columns: column %q of %s is %s, which has no order to go by", column, t, c.Type)
			}
		}
		if !known {
			return failf(event.ReasonInvalidConfig, "sync_options.cursor_columns: there is no table %q; %s", table, offer(found))
		}
	}
	return nil
}

// cursorOf returns the column that an incremental sync of the table goes by, ""
// if there is none.
func cursorOf(t driver.Table, columns map[string]string) string {
	if c, ok := columns[t.String()]; ok {
		return c
	}
	if c, ok := columns[t.Name]; ok {
		return c
	}
	if c, ok := t.Column(t.Cursor); ok && c.Type.Ordered() {
		return c.Name
	}
	return ""
}

// limitsOf returns the bounds of what a sync reads.
func limitsOf(o command.SyncOptions) driver.Limits { return driver.Limits{BatchRows: o.BatchSize} }
