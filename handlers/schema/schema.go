// Package schema is what a source was found to have, in the form of events, and what
// changes from one version of it to the next. It asks nobody.
package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/readmodel"
)

// Of returns the tables in the form that events carry, sorted by
// namespace and name.
func Of(tables []driver.Table) []event.Table {
	out := make([]event.Table, 0, len(tables))
	for _, t := range tables {
		e := event.Table{
			Name: t.Name, Namespace: t.Namespace, Kind: t.Kind, Cursor: t.Cursor,
			PrimaryKey: append([]string{}, t.PrimaryKey...),
			Columns:    make([]event.Column, len(t.Columns)),
			Notes:      t.Notes, CursorNotes: t.CursorNotes, NotSeen: NotSeen(t),
		}
		if t.RowEstimate >= 0 {
			rows := t.RowEstimate
			e.RowEstimate = &rows
		}
		for i, c := range t.Columns {
			e.Columns[i] = event.Column{
				Name: c.Name, Type: c.Type.String(), SourceType: c.SourceType, Nullable: c.Nullable, Comment: c.Comment, Unordered: c.Unordered && c.Type.Ordered(),
			}
		}
		out = append(out, e)
	}
	Sort(out)
	return out
}

// Name returns the name of a table with its namespace, if that is not "".
func Name(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}

// NotSeen says in one sentence what an incremental sync of the table that is told
// nothing more cannot see, "" where it reads all of it each time.
func NotSeen(t driver.Table) string {
	c, ok := t.Column(t.Cursor)
	if !ok || !c.Ordered() {
		return ""
	}
	if driver.FindsChanges(t, t.Cursor) {
		return fmt.Sprintf("It goes by %s: rows that were deleted, and changes that leave %s as it was, are not seen.", t.Cursor, t.Cursor)
	}
	return fmt.Sprintf("It goes by %s: rows that were deleted or changed, and new ones with a lower %s than the highest that was read, are not seen.", t.Cursor, t.Cursor)
}

// Sort sorts tables by namespace and name, in place.
func Sort(tables []event.Table) {
	slices.SortStableFunc(tables, func(a, b event.Table) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// Diff returns what changed from one version of a schema to the next. Estimates
// and comments are no part of a version. A diff is breaking when a reader of
// the old version may fail on the new one: something is gone, has another type
// or key, or may be null now.
func Diff(from, to []event.Table) event.SchemaDiff {
	type key struct{ namespace, name string }
	before := make(map[key]event.Table, len(from))
	for _, t := range from {
		before[key{t.Namespace, t.Name}] = t
	}
	var d event.SchemaDiff
	for _, t := range to {
		k := key{t.Namespace, t.Name}
		old, known := before[k]
		if !known {
			d.Added = append(d.Added, Name(t.Namespace, t.Name))
			continue
		}
		delete(before, k)
		diffTable(&d, old, t)
	}
	for _, t := range before {
		d.Removed = append(d.Removed, Name(t.Namespace, t.Name))
	}
	d.Breaking = d.Breaking || len(d.Removed) > 0
	slices.Sort(d.Added)
	slices.Sort(d.Removed)
	slices.SortFunc(d.Changed, func(a, b event.ColumnChange) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.What, b.What))
	})
	return d
}

func diffTable(d *event.SchemaDiff, from, to event.Table) {
	table := Name(to.Namespace, to.Name)
	change := func(name, what, was, is string, breaking bool) {
		if was != is {
			d.Changed = append(d.Changed, event.ColumnChange{Name: name, What: what, From: was, To: is})
			d.Breaking = d.Breaking || breaking
		}
	}
	change(table, "kind", from.Kind, to.Kind, false)
	change(table, "cursor", from.Cursor, to.Cursor, false)
	change(table, "primary_key", strings.Join(from.PrimaryKey, ", "), strings.Join(to.PrimaryKey, ", "), true)
	before := make(map[string]event.Column, len(from.Columns))
	for _, c := range from.Columns {
		before[c.Name] = c
	}
	for _, c := range to.Columns {
		name := table + "." + c.Name
		old, known := before[c.Name]
		if !known {
			d.Added = append(d.Added, name)
			continue
		}
		delete(before, c.Name)
		change(name, "type", old.Type, c.Type, true)
		change(name, "nullable", strconv.FormatBool(old.Nullable), strconv.FormatBool(c.Nullable), c.Nullable)
	}
	for c := range before {
		d.Removed = append(d.Removed, table+"."+c)
	}
}

// Compare returns what changes from the current version of a schema to these tables, and
// whether that is a new version. Other tables that are left out, and other notes, are one,
// too, though nothing that a reader must heed; another reason for the same is not.
func Compare(current readmodel.Schema, tables []event.Table, left []event.LeftOut) (d event.SchemaDiff, changed bool) {
	d = Diff(current.Tables, tables)
	return d, current.Version == 0 || !d.Empty() || !slices.EqualFunc(current.LeftOut, left, sameLeftOut) || !slices.EqualFunc(current.Tables, tables, sameNotes)
}

func sameLeftOut(a, b event.LeftOut) bool {
	return a.Namespace == b.Namespace && a.Name == b.Name && a.Kind == b.Kind
}

func sameNotes(a, b event.Table) bool {
	return a.NotSeen == b.NotSeen && slices.Equal(a.Notes, b.Notes) && slices.Equal(a.CursorNotes, b.CursorNotes)
}
