package handlers

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// matches reports whether a table is chosen: by its name alone or with its
// namespace, by any of the patterns, or because there are none.
func matches(patterns []string, namespace, name string) bool {
	return len(patterns) == 0 || matchesAny(patterns, namespace, name)
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
