package handlers

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

// tablesOf returns the tables in the form that events carry, sorted by
// namespace and name.
func tablesOf(tables []driver.Table) []event.Table {
	out := make([]event.Table, 0, len(tables))
	for _, t := range tables {
		e := event.Table{
			Name: t.Name, Namespace: t.Namespace, Kind: t.Kind, Cursor: t.Cursor,
			PrimaryKey: append([]string{}, t.PrimaryKey...),
			Columns:    make([]event.Column, len(t.Columns)),
			Notes:      t.Notes, CursorNotes: t.CursorNotes, NotSeen: notSeen(t),
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
	sortTables(out)
	return out
}

// notSeen says in one sentence what an incremental sync of the table that is told
// nothing more cannot see, "" where it reads all of it each time.
func notSeen(t driver.Table) string {
	c, ok := t.Column(t.Cursor)
	if !ok || !c.Ordered() {
		return ""
	}
	if driver.FindsChanges(t, t.Cursor) {
		return fmt.Sprintf("It goes by %s: rows that were deleted, and changes that leave %s as it was, are not seen.", t.Cursor, t.Cursor)
	}
	return fmt.Sprintf("It goes by %s: rows that were deleted or changed, and new ones with a lower %s than the highest that was read, are not seen.", t.Cursor, t.Cursor)
}

func sortTables(tables []event.Table) {
	slices.SortStableFunc(tables, func(a, b event.Table) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

func nameOf(t event.Table) string {
	if t.Namespace == "" {
		return t.Name
	}
	return t.Namespace + "." + t.Name
}

// diff returns what changed from one version of a schema to the next. Estimates
// and comments are no part of a version. A diff is breaking when a reader of
// the old version may fail on the new one: something is gone, has another type
// or key, or may be null now.
func diff(from, to []event.Table) event.SchemaDiff {
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
			d.Added = append(d.Added, nameOf(t))
			continue
		}
		delete(before, k)
		diffTable(&d, old, t)
	}
	for _, t := range before {
		d.Removed = append(d.Removed, nameOf(t))
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
	table := nameOf(to)
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

// schemaMove returns the SchemaDiscovered that makes what was found the source's
// schema, without data if it is that already. Other tables that are left out, and
// other notes, are a new version, too, though nothing that a reader must heed;
// another reason for the same is not.
func (j *job) schemaMove(final bool, cause, syncID string, found discovered) (move, error) {
	current, err := j.h.state.Schema(j.address)
	if err != nil {
		return move{}, fmt.Errorf("read the schema: %w", err)
	}
	tables, left := found.schema(current.Tables)
	return j.versionMove(final, cause, syncID, current, tables, left), nil
}

// versionMove is schemaMove for a schema that is whole.
func (j *job) versionMove(final bool, cause, syncID string, current readmodel.Schema, tables []event.Table, left []event.LeftOut) move {
	d := diff(current.Tables, tables)
	if current.Version > 0 && d.Empty() && slices.EqualFunc(current.LeftOut, left, sameLeftOut) && slices.EqualFunc(current.Tables, tables, sameNotes) {
		return move{}
	}
	version := current.Version + 1 // a sync that goes on finds more than one
	return move{discriminator: strconv.Itoa(version), data: &event.SchemaDiscovered{
		Meta: j.meta(final), Version: version, Cause: cause, SyncID: syncID, Tables: tables, Diff: d, LeftOut: left,
	}}
}

func sameLeftOut(a, b event.LeftOut) bool {
	return a.Namespace == b.Namespace && a.Name == b.Name && a.Kind == b.Kind
}

func sameNotes(a, b event.Table) bool {
	return a.NotSeen == b.NotSeen && slices.Equal(a.Notes, b.Notes) && slices.Equal(a.CursorNotes, b.CursorNotes)
}
