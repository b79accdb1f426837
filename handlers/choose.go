package handlers

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// takes reports whether a sync with the options takes a table: any of their
// patterns matches its name alone or with its namespace, or there are none, and
// it is not excluded.
func takes(o command.SyncOptions, namespace, name string) bool {
	return (len(o.Tables) == 0 || matchesAny(o.Tables, namespace, name)) && !matchesAny(o.Exclude, namespace, name)
}

// keyOf returns the columns that tell a table's rows apart: those that the
// options name, else its primary key.
func keyOf(o command.SyncOptions, namespace, name string, primary []string) []string {
	if key, ok := named(o.KeyColumns, namespace, name); ok {
		return key
	}
	return primary
}

func matchesAny(patterns []string, namespace, name string) bool {
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

// named returns what a caller's map says of a table: under its full name, or
// else its name alone.
func named[V any](m map[string]V, namespace, name string) (v V, ok bool) {
	if v, ok = m[driver.Table{Namespace: namespace, Name: name}.String()]; ok {
		return v, true
	}
	v, ok = m[name]
	return v, ok
}

// offer names some of what there is to choose from.
func offer(who string, names []string, what string) string {
	if len(names) == 0 {
		return fmt.Sprintf("%s has no %s", who, what)
	}
	return who + " has " + someOf(names)
}

// someOf names the first few.
func someOf(names []string) string {
	const most = 10
	more := ""
	if n := len(names) - most; n > 0 {
		names, more = names[:most], fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ") + more
}

func offerTables(tables []event.Table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = nameOf(t)
	}
	return offer("the source", names, "tables")
}

// offerColumns names the columns of a table that fit.
func offerColumns(t event.Table, what string, fits func(driver.Type) bool) string {
	var names []string
	for _, c := range t.Columns {
		if typ, err := driver.ParseType(c.Type); err == nil && fits(typ) {
			names = append(names, c.Name)
		}
	}
	return offer("it", names, what)
}

// columnOf returns the type of a table's column, and whether it has the column.
func columnOf(t event.Table, name string) (driver.Type, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			typ, err := driver.ParseType(c.Type)
			return typ, err == nil
		}
	}
	return driver.Type{}, false
}
