package formats

import (
	"slices"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
	"headwater/connectors/records"
)

// maxNames bounds the names of a table's columns: the lake keeps them in a file
// whose head may have 1 MiB.
const maxNames = 1 << 20

// Finish checks a table's columns and gives it the types and keys that the settings
// name, or else those found.
func Finish(table *driver.Table, s *input.Settings, limits driver.Limits) error {
	if len(table.Columns) > limits.MaxColumns {
		return driver.E(driver.ErrLimit, nil, "%s has %d columns, over the limit of %d", table, len(table.Columns), limits.MaxColumns)
	}
	names := 0
	for _, c := range table.Columns {
		names += len(c.Name) + 56 // what is written beside each
	}
	if names > maxNames {
		return driver.E(driver.ErrLimit, nil, "%s has %d columns whose names take %d KiB, more than a table of the lake can have; shorten them, or set connection_config.header to false and skip_rows to 1 to number them", table, len(table.Columns), names>>10)
	}
	if err := records.Retype(table.Columns, s.ColumnTypes); err != nil {
		return err
	}
	for i, c := range table.Columns {
		if c.Type.Kind == driver.Date {
			table.Columns[i].Grain = 24 * time.Hour
		}
	}
	return keys(table, s)
}

// keys sets the primary key and the cursor that the settings name, where the
// table has those columns.
func keys(table *driver.Table, s *input.Settings) error {
	missing := func(name string) error {
		return driver.InvalidField("primary_key", "or cursor names column %q, which table %s does not have", name, table)
	}
	for _, name := range s.PrimaryKey {
		if _, ok := table.Column(name); !ok {
			return missing(name)
		}
	}
	table.PrimaryKey = slices.Clone(s.PrimaryKey)
	if table.Cursor = s.Cursor; table.Cursor == "" {
		table.Cursor, table.CursorNotes = driver.DefaultCursor(*table)
	} else if _, ok := table.Column(table.Cursor); !ok {
		return missing(table.Cursor)
	} else {
		table.CursorNotes = driver.CursorNotes(*table, table.Cursor)
	}
	return records.CheckCursor(*table, driver.Cursor{Column: table.Cursor})
}
