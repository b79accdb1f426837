package syncoptions

import (
	"slices"
	"strings"
	"sync"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// Choice says which tables the options of a sync mean. A text that is the name
// of a table, alone or with its namespace, means that table and no other,
// whatever of a pattern it holds; any other is a pattern. It is safe for concurrent
// use.
type Choice struct {
	options command.SyncOptions
	names   map[string]bool // of the tables there are and were

	mu    sync.Mutex
	globs map[string]glob // compiled; nil for a text that is no pattern
}

// NewChoice makes the choice among tables; of each it takes the names alone.
func NewChoice(o command.SyncOptions, tables ...[]event.Table) *Choice {
	c := &Choice{options: o, names: map[string]bool{}, globs: map[string]glob{}}
	for _, some := range tables {
		for _, t := range some {
			c.names[t.Name], c.names[nameIn(t)] = true, true
		}
	}
	return c
}

// Takes reports whether the sync takes a table: any of the patterns means it, or
// there are none, and it is not excluded.
func (c *Choice) Takes(namespace, name string) bool {
	return (len(c.options.Tables) == 0 || c.Any(c.options.Tables, namespace, name)) && !c.Any(c.options.Exclude, namespace, name)
}

// Any reports whether one of the patterns means the table.
func (c *Choice) Any(patterns []string, namespace, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return c.Means(p, namespace, name) })
}

// Means reports whether a pattern means the table.
func (c *Choice) Means(pattern, namespace, name string) bool {
	full := driver.Table{Namespace: namespace, Name: name}.String()
	switch {
	case pattern == full || pattern == name:
		return true
	case c.names[pattern]:
		return false // it is another's name
	}
	g := c.glob(pattern)
	return g != nil && (g.match(full) || g.match(name))
}

// glob returns a compiled pattern, nil for a text that is none.
func (c *Choice) glob(pattern string) glob {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, ok := c.globs[pattern]
	if !ok {
		if g, ok = compile(pattern); !ok {
			g = nil
		}
		c.globs[pattern] = g
	}
	return g
}

// ofColumns returns which of a table's columns the pattern means: the one of that
// name, or else those that match.
func (c *Choice) ofColumns(pattern string, columns []string) []string {
	if slices.Contains(columns, pattern) {
		return []string{pattern}
	}
	g := c.glob(pattern)
	if g == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(columns), func(name string) bool { return !g.match(name) })
}

// excluded returns which of a table's columns are neither read nor landed.
func (c *Choice) excluded(namespace, table string, columns []string) map[string]bool {
	var out map[string]bool
	for pattern, of := range c.options.Columns {
		if !c.Means(pattern, namespace, table) {
			continue
		}
		for _, p := range of.Exclude {
			for _, name := range c.ofColumns(p, columns) {
				if out == nil {
					out = map[string]bool{}
				}
				out[name] = true
			}
		}
	}
	return out
}

// Without returns the table without the columns that the options exclude.
func (c *Choice) Without(t driver.Table) driver.Table {
	names := make([]string, len(t.Columns))
	for i, column := range t.Columns {
		names[i] = column.Name
	}
	gone := c.excluded(t.Namespace, t.Name, names)
	if len(gone) == 0 {
		return t
	}
	t.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(column driver.Column) bool { return gone[column.Name] })
	if gone[t.Cursor] {
		t.Cursor, t.CursorNotes = "", nil
	}
	return t
}

// Wild reports whether a text can mean more than the one table of that name.
func Wild(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }

// Named returns what a caller's map says of a table: under its full name, or
// else its name alone.
func Named[V any](m map[string]V, namespace, name string) (v V, ok bool) {
	if v, ok = m[driver.Table{Namespace: namespace, Name: name}.String()]; ok {
		return v, true
	}
	v, ok = m[name]
	return v, ok
}

// KeyOf returns the columns that tell a table's rows apart: those that the
// options name, else its primary key.
func KeyOf(o command.SyncOptions, namespace, name string, primary []string) []string {
	if key, ok := Named(o.KeyColumns, namespace, name); ok {
		return key
	}
	return primary
}
