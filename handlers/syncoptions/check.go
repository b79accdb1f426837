// Package syncoptions judges the options of a sync against the tables of a source,
// and says which tables they mean. It is pure: the API asks it before anything
// starts, of the newest schema, and a worker asks it again of the tables it found.
package syncoptions

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// Problem is one thing in a caller's sync options that cannot be met.
type Problem struct {
	Field   string // such as sync_options.cursor_columns.orders
	Message string // what is wrong and what there is to choose from
	Reason  event.Reason
	// Absent says that the field names what this source lacks: another source of
	// the same sync may have it.
	Absent bool
}

// Error returns the field and the message.
func (p Problem) Error() string { return p.Field + ": " + p.Message }

// Reached tells how far a table was landed: its cursor column and value, both
// "" where it has none.
type Reached func(namespace, table string) (column, value string)

// Check says which of the options a source with these tables cannot meet,
// in the order of the fields, and returns the options without what names tables
// that it lacks. It is what the API asks before anything starts; a worker asks
// again of the tables it found. reached may be nil.
func Check(o command.SyncOptions, tables []event.Table, reached Reached) (fitting command.SyncOptions, problems []Problem) {
	c := &check{o: o, tables: tables, reached: reached, fitting: o, choice: NewChoice(o, tables)}
	if reached != nil {
		c.used = func(namespace, table string) string {
			column, _ := reached(namespace, table)
			return column
		}
	}
	return c.all()
}

// CheckFound is CheckOptions for the tables that a worker found. The choice may
// know of more tables; used returns the cursor that a table's last sync went by,
// "" for none; absentee is asked about a text of an option that names no table,
// and reports whether that is no problem.
func CheckFound(o command.SyncOptions, tables []event.Table, chosen *Choice, used func(namespace, table string) (column string), absentee func(option, text string) bool) []Problem {
	c := &check{o: o, tables: tables, fitting: o, choice: chosen, absentee: absentee, used: used}
	_, problems := c.all()
	return problems
}

func (c *check) all() (command.SyncOptions, []Problem) {
	c.alone()
	c.patterns()
	c.cursors()
	c.columns()
	c.keys()
	c.merge()
	c.lookback()
	c.startOver()
	c.captured()
	return c.fitting, c.problems
}

type check struct {
	o        command.SyncOptions
	tables   []event.Table
	reached  Reached
	fitting  command.SyncOptions
	problems []Problem
	choice   *Choice
	used     func(namespace, table string) (column string) // the cursor that was in use; nil for none
	// absentee, if set, is asked about a text that names no table, and says
	// whether that is no problem.
	absentee func(option, text string) bool
}

func (c *check) add(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{Field: "sync_options." + field, Message: fmt.Sprintf(format, args...), Reason: event.ReasonInvalidConfig})
}

func (c *check) absent(field, format string, args ...any) {
	c.add(field, format, args...)
	p := &c.problems[len(c.problems)-1]
	p.Absent, p.Reason = true, event.ReasonNotFound
}

func (c *check) incremental() bool { return c.o.Mode == command.Incremental }

// chosen returns the tables that the sync takes.
func (c *check) chosen() []event.Table {
	return slices.DeleteFunc(slices.Clone(c.tables), func(t event.Table) bool { return !c.takes(t) })
}

// meant returns the tables that a pattern means.
func (c *check) meant(pattern string) []event.Table {
	return slices.DeleteFunc(slices.Clone(c.tables), func(t event.Table) bool { return !c.choice.Means(pattern, t.Namespace, t.Name) })
}

// alone checks what can be told without a table.
func (c *check) alone() {
	if m := c.o.Mode; m != "" && m != command.FullRefresh && m != command.Incremental && m != command.Capture {
		c.add("mode", "is %q; it can be %s, %s or %s", m, command.FullRefresh, command.Incremental, command.Capture)
	}
	if n := c.o.Parallelism; n < 0 || n > MaxParallelism {
		c.add("parallelism", "is %d; it can be 1 to %d", n, MaxParallelism)
	}
	for _, d := range []struct {
		field string
		value command.Duration
	}{{"timeout", c.o.Timeout}, {"table_timeout", c.o.TableLimit}, {"idle_timeout", c.o.IdleTimeout}} {
		if _, err := d.value.Value(); err != nil {
			c.add(d.field, "%v", err)
		}
	}
	oneOf := func(field, value string, choices ...string) {
		if value != "" && !slices.Contains(choices, value) {
			c.add(field, "is %q; it can be %s", value, strings.Join(choices, " or "))
		}
	}
	oneOf("on_replaced", c.o.OnReplaced, command.Restart, command.Stop)
	oneOf("maintenance", c.o.Maintenance, command.MaintenanceAuto, command.MaintenanceOff)
	oneOf("on_columns_changed", c.o.OnColumnsChanged, command.Reread, command.Keep)
	c.capture()
	if !c.incremental() && !c.captures() {
		for field, given := range map[string]bool{"lookback": c.o.Lookback != "", "merge": c.o.Merge, "start_from": len(c.o.StartFrom) > 0} {
			if given {
				c.add(field, "goes with mode %s: a full refresh replaces every row", command.Incremental)
			}
		}
	}
	if len(c.o.Deleted) > 0 && !c.o.Merge && !c.captures() {
		c.add("deleted_columns", "goes with merge: rows that are appended cannot delete others")
	}
	slices.SortFunc(c.problems, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
}

// patterns checks that every table pattern matches a table.
func (c *check) patterns() {
	c.fitting.Tables = c.matching("tables", c.o.Tables)
	c.fitting.Exclude = c.matching("exclude", c.o.Exclude)
	c.fitting.Reset = c.matching("reset", c.o.Reset)
	reset := c.fitting.Reset
	c.fitting.Reset = nil
	for i, p := range c.o.Reset {
		if slices.Contains(reset, p) && c.reaches("reset["+strconv.Itoa(i)+"]", p) {
			c.fitting.Reset = append(c.fitting.Reset, p)
		}
	}
	if len(c.fitting.Exclude) > 0 && len(c.chosen()) == 0 {
		if slices.ContainsFunc(c.tables, func(t event.Table) bool {
			return len(c.o.Tables) == 0 || c.choice.Any(c.o.Tables, t.Namespace, t.Name)
		}) {
			c.add("exclude", "leaves no table to sync")
		}
	}
}

// reaches reports whether a pattern matches a table that the sync takes. One that
// matches others alone would do nothing, and is told of.
func (c *check) reaches(field, pattern string) bool {
	matched := c.meant(pattern)
	if len(matched) > 0 && !slices.ContainsFunc(matched, c.takes) {
		c.unreached(field, matched[0])
		return false
	}
	return true
}

func (c *check) takes(t event.Table) bool { return c.choice.Takes(t.Namespace, t.Name) }

// unreached says that a field names only what the sync does not take of this
// source; it may take it of another.
func (c *check) unreached(field string, t event.Table) {
	c.add(field, "table %s is not among the tables of the sync (sync_options.tables and exclude)", nameIn(t))
	c.problems[len(c.problems)-1].Absent = true
}

func (c *check) matching(field string, patterns []string) (matched []string) {
	for i, p := range patterns {
		at := field + "[" + strconv.Itoa(i) + "]"
		if slices.ContainsFunc(c.tables, func(t event.Table) bool { return c.choice.Means(p, t.Namespace, t.Name) }) {
			matched = append(matched, p)
		} else {
			c.nothing(field, at, p)
		}
	}
	return matched
}

// nothing says that a pattern of an option means no table.
func (c *check) nothing(option, field, pattern string) {
	switch {
	case c.absentee != nil && c.absentee(option, pattern):
	case c.choice.glob(pattern) == nil:
		c.absent(field, "there is no table %q, which is not a pattern either: a class needs its ], and a \\ a character behind it; %s", pattern, offerTables(c.tables))
	default:
		c.absent(field, "no table matches %q; %s", pattern, offerTables(c.tables))
	}
}

// tablesNamed returns the tables of a name, and tells when there are none.
func (c *check) tablesNamed(option, field, name string) (found []event.Table) {
	for _, t := range c.tables {
		if name == nameIn(t) || name == t.Name {
			found = append(found, t)
		}
	}
	if found == nil && (c.absentee == nil || !c.absentee(option, name)) {
		c.absent(field, "there is no table %q; %s", name, offerTables(c.tables))
	}
	return found
}

// each calls use for every table of the sync that a map of the options names,
// and returns the map without the names of others. A name that
// the sync does not take, or that says nothing beside a full one, is told of.
func each[V any](c *check, option string, m map[string]V, use func(field string, t event.Table, v V)) map[string]V {
	var fitting map[string]V
	for _, name := range slices.Sorted(maps.Keys(m)) {
		field := option + "." + name
		found := c.tablesNamed(option, field, name)
		if found == nil {
			continue
		}
		taken := slices.DeleteFunc(slices.Clone(found), func(t event.Table) bool { return !c.takes(t) })
		if len(taken) == 0 {
			c.unreached(field, found[0])
			continue
		}
		if fitting == nil {
			fitting = map[string]V{}
		}
		fitting[name] = m[name]
		used := false
		for _, t := range taken {
			if full := nameIn(t); full != name {
				if _, ok := m[full]; ok {
					continue
				}
			}
			used = true
			use(field, t, m[name])
		}
		if !used {
			c.add(field, "%s is named in full, too; leave one of the two", nameIn(taken[0]))
		}
	}
	return fitting
}

// cursors checks that every cursor column is there and has an order.
func (c *check) cursors() {
	c.fitting.CursorField = each(c, "cursor_columns", c.o.CursorField, func(field string, t event.Table, column string) {
		typ, ok := columnOf(t, column)
		if !ok {
			c.add(field, "table %s has no column %q to go by; %s", nameIn(t), column, offerOrdered(t))
			return
		}
		if _, ordered := orderedOf(t, column); ordered {
			return
		}
		what := typ.String()
		if at := slices.IndexFunc(t.Columns, func(other event.Column) bool { return other.Name == column }); typ.Ordered() {
			what = t.Columns[at].SourceType + " in the source"
		}
		c.add(field, "column %q of %s is %s, which has no order to go by; %s", column, nameIn(t), what, offerOrdered(t))
	})
}

// cursor returns the column that an incremental sync of the table goes by, ""
// for none.
func (c *check) cursor(t event.Table) string {
	if column, ok := Named(c.o.CursorField, t.Namespace, t.Name); ok {
		return column
	}
	if !c.incremental() {
		return ""
	}
	candidates := []string{t.Cursor}
	if c.used != nil {
		candidates = []string{c.used(t.Namespace, t.Name), t.Cursor}
	}
	for _, column := range candidates {
		if _, ok := orderedOf(t, column); ok {
			return column
		}
	}
	return ""
}

// columns checks what is excluded: it must be there, and it must leave what the
// sync itself goes by.
func (c *check) columns() {
	c.fitting.Columns = nil
	for _, pattern := range slices.Sorted(maps.Keys(c.o.Columns)) {
		field := "columns." + pattern
		found := c.meant(pattern)
		if len(found) == 0 {
			c.nothing("columns", field, pattern)
			continue
		}
		if !c.reaches(field, pattern) {
			continue
		}
		var fitting []string
		for i, exclude := range c.o.Columns[pattern].Exclude {
			at := fmt.Sprintf("%s.exclude[%d]", field, i)
			if c.excluded(at, exclude, found) {
				fitting = append(fitting, exclude)
			}
		}
		if fitting != nil {
			if c.fitting.Columns == nil {
				c.fitting.Columns = map[string]command.Columns{}
			}
			c.fitting.Columns[pattern] = command.Columns{Exclude: fitting}
		}
	}
	for _, t := range c.chosen() {
		if len(t.Columns) > 0 && len(c.choice.excluded(t.Namespace, t.Name, columnNames(t))) == len(t.Columns) {
			c.add("columns", "every column of %s is excluded; leave at least one", nameIn(t))
		}
	}
}

// excluded checks one pattern of columns and reports whether it matches any.
func (c *check) excluded(field, pattern string, tables []event.Table) (matched bool) {
	for _, t := range tables {
		deleted, _ := Named(c.o.Deleted, t.Namespace, t.Name)
		key := c.key(t)
		for _, column := range c.choice.ofColumns(pattern, columnNames(t)) {
			matched = true
			switch {
			case !c.takes(t):
			case slices.Contains(key, column):
				c.add(field, "column %s of %s is part of its key, which is always read", column, nameIn(t))
			case column == c.cursor(t):
				c.add(field, "column %s of %s is the cursor that the sync goes by", column, nameIn(t))
			case column == deleted:
				c.add(field, "column %s of %s tells which rows are deleted", column, nameIn(t))
			}
		}
	}
	if !matched {
		c.absent(field, "no column matches %q; %s", pattern, offerColumns(tables[0], "columns", func(driver.Type) bool { return true }))
	}
	return matched
}

func columnNames(t event.Table) []string {
	names := make([]string, len(t.Columns))
	for i, column := range t.Columns {
		names[i] = column.Name
	}
	return names
}
