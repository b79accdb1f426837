package file

import (
	"slices"

	"headwater/connectors/driver"
)

// union adds what a file has to the table. A column of types that have no common
// one is an ErrBadData.
func union(table *driver.Table, f looked) error {
	t := f.table
	columns := slices.Clone(table.Columns)
	for _, c := range t.Columns {
		at := slices.IndexFunc(columns, func(k driver.Column) bool { return k.Name == c.Name })
		if at < 0 {
			c.Nullable = true // in the files that lack it
			columns = append(columns, c)
			continue
		}
		typ, ok := common(columns[at], c)
		if !ok {
			return driver.E(driver.ErrBadData, nil, "%s: column %q is %s, and %s in the files before; set connection_config.column_types.%s, or files to \"table_per_file\"", f.entry.path, c.Name, c.Type, columns[at].Type, c.Name)
		}
		if columns[at].SourceType == driver.Unseen {
			columns[at].SourceType = c.SourceType
		}
		columns[at].Type, columns[at].Nullable = typ, true
	}
	table.Columns = columns
	table.Blank = table.Blank && t.Blank
	if t.RowEstimate < 0 || table.RowEstimate < 0 {
		table.RowEstimate = -1
	} else {
		table.RowEstimate += t.RowEstimate
	}
	return nil
}

// common returns the type that holds the values of a column of two files.
func common(a, b driver.Column) (driver.Type, bool) {
	kinds := func(x, y driver.Kind) bool {
		return a.Type.Kind == x && b.Type.Kind == y || a.Type.Kind == y && b.Type.Kind == x
	}
	switch {
	case a.Type == b.Type, a.Sampled && b.SourceType == driver.Unseen:
		return a.Type, true
	case b.Sampled && a.SourceType == driver.Unseen:
		return b.Type, true
	case !a.Sampled || !b.Sampled:
		return driver.Type{}, false
	case a.Type.Kind == driver.JSON || b.Type.Kind == driver.JSON:
		return driver.Of(driver.JSON), true
	case kinds(driver.Int64, driver.Float64):
		return driver.Of(driver.Float64), true
	case kinds(driver.Int64, driver.Decimal), kinds(driver.Decimal, driver.Decimal):
		return driver.DecimalOf(38, max(a.Type.Scale, b.Type.Scale)), true
	}
	return driver.Of(driver.String), true
}
