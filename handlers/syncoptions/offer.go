package syncoptions

import (
	"fmt"
	"slices"
	"strings"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// offer names some of what there is to choose from.
func offer(who string, names []string, what string) string {
	if len(names) == 0 {
		return fmt.Sprintf("%s has no %s", who, what)
	}
	return who + " has " + SomeOf(names)
}

// SomeOf names the first few.
func SomeOf(names []string) string {
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
		names[i] = nameIn(t)
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

// orderedOf returns the type of a table's column, and whether a cursor can follow
// it.
func orderedOf(t event.Table, name string) (driver.Type, bool) {
	typ, ok := columnOf(t, name)
	unordered := slices.ContainsFunc(t.Columns, func(c event.Column) bool { return c.Name == name && c.Unordered })
	return typ, ok && typ.Ordered() && !unordered
}

// offerOrdered names the columns of a table that a cursor can follow.
func offerOrdered(t event.Table) string {
	t.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(c event.Column) bool { return c.Unordered })
	return offerColumns(t, "columns with an order", driver.Type.Ordered)
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

func nameIn(t event.Table) string {
	if t.Namespace == "" {
		return t.Name
	}
	return t.Namespace + "." + t.Name
}
