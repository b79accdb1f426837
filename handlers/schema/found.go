package schema

import (
	"cmp"
	"slices"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/outcome"
)

// Found is what a source was found to have.
type Found struct {
	Tables []driver.Table       // that it offers
	Unread []driver.UnreadTable // that are there, but what they hold could not be told
	Left   []event.LeftOut      // that it does not offer
}

// Schema returns what there is to be known of the source: its tables, those that
// cannot be read now as they were known before, and what is left out with its
// reason, among it what could never be read.
func (d Found) Schema(known []event.Table) (tables []event.Table, left []event.LeftOut) {
	tables, left = Of(d.Tables), slices.Clone(d.Left)
	for _, u := range d.Unread {
		at := slices.IndexFunc(known, func(k event.Table) bool { return u.Namespace == k.Namespace && u.Name == k.Name })
		if at >= 0 {
			tables = append(tables, known[at])
			continue
		}
		_, message := outcome.Explain(u.Err)
		left = append(left, event.LeftOut{Name: u.Name, Namespace: u.Namespace, Reason: message})
	}
	Sort(tables)
	slices.SortStableFunc(left, func(a, b event.LeftOut) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return tables, left
}

// Unreadable returns why nothing of the source can be read, nil unless it has
// tables and none can.
func (d Found) Unreadable() error {
	if len(d.Tables) > 0 || len(d.Unread) == 0 {
		return nil
	}
	return &driver.UnreadTables{Tables: d.Unread}
}

// AsKnown returns a table with the columns, key and cursor that it had. Columns
// of types that this version does not know are as found, which is none.
func AsKnown(t driver.Table, known event.Table) driver.Table {
	columns := make([]driver.Column, len(known.Columns))
	for i, c := range known.Columns {
		typ, err := driver.ParseType(c.Type)
		if err != nil {
			return t
		}
		columns[i] = driver.Column{Name: c.Name, Type: typ, SourceType: c.SourceType, Nullable: c.Nullable, Comment: c.Comment, Unordered: c.Unordered, Sampled: true}
	}
	t.Columns, t.Cursor = columns, known.Cursor
	t.PrimaryKey = slices.Clone(known.PrimaryKey)
	return t
}

// Filled returns the tables with what is known of those that had no row to look
// at: their columns, key and cursor are what they were, not gone.
func Filled(found []driver.Table, known []event.Table) []driver.Table {
	found = slices.Clone(found)
	for i, t := range found {
		if !t.Blank {
			continue
		}
		at := slices.IndexFunc(known, func(k event.Table) bool { return k.Namespace == t.Namespace && k.Name == t.Name })
		if at >= 0 && len(known[at].Columns) > 0 {
			found[i] = AsKnown(t, known[at])
		}
	}
	return found
}
