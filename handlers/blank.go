package handlers

import (
	"fmt"
	"slices"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
)

// filled returns the tables with what is known of those that had no row to look
// at: their columns, key and cursor are what they were, not gone.
func (j *job) filled(found []driver.Table) ([]driver.Table, error) {
	if !slices.ContainsFunc(found, func(t driver.Table) bool { return t.Blank }) {
		return found, nil
	}
	schema, err := j.h.state.Schema(j.address)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	known := schema.Tables
	found = slices.Clone(found)
	for i, t := range found {
		if !t.Blank {
			continue
		}
		at := slices.IndexFunc(known, func(k event.Table) bool { return k.Namespace == t.Namespace && k.Name == t.Name })
		if at >= 0 && len(known[at].Columns) > 0 {
			found[i] = asKnown(t, known[at])
		}
	}
	return found, nil
}

// asKnown returns a table with the columns, key and cursor that it had. Columns
// of types that this version does not know are as found, which is none.
func asKnown(t driver.Table, known event.Table) driver.Table {
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

// emptying returns why a read that brought no row must not take the place of
// what landed, nil where it may or takes no place. An answer or a file without
// rows is more often a fault than the truth.
func (l *lander) emptying(t *tableRun, request extract.Request, landed int64) error {
	if k := t.table.Kind; k != "endpoint" && k != "file" || t.table.Emptied || l.options.AllowEmpty || !request.Whole || landed == 0 {
		return nil
	}
	if t.snapshot().RowsRead > 0 {
		return nil
	}
	return failf(event.ReasonBadData, "%s gives no row now, and %d had landed: they stay; set sync_options.allow_empty to true if the table is to be empty", t.table, landed)
}
