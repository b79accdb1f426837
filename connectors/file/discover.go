package file

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// Discover reads every file as far as its types need. A file that cannot be read
// among others that can is left out; if it was read before, it is told of by an
// UnreadTables.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	entries, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	g := s.grouped(entries)
	mode := s.mode(g)
	files := make([]looked, len(g.entries))
	for i, e := range g.entries {
		known := s.knownOf(e.table)
		if mode == oneTable {
			if known = s.knownOf(g.name); known != nil {
				known.some = true
			}
		}
		files[i] = s.look(ctx, e, known)
		if fresh := s.before != nil && known == nil; fresh && len(files) > 1 && files[i].err == nil && s.looksFurther(files[i].format) {
			files[i].err = s.firstRows(ctx, e) // a sync would fail by it
		}
		if err := files[i].err; err != nil && ctx.Err() != nil {
			return nil, err
		}
	}
	if mode == oneTable || mode == "" && alike(files) {
		table, err := s.asOne(g, files)
		if err != nil {
			return nil, err
		}
		s.known[table.Name] = table.Columns
		return []driver.Table{table}, nil
	}
	return s.each(files)
}

// each makes a table of each file.
func (s *source) each(files []looked) ([]driver.Table, error) {
	tables := make([]driver.Table, 0, len(files))
	var unread []driver.UnreadTable
	read := 0
	var last error
	for _, f := range files {
		table, err := f.table, f.err
		table.Name, table.Kind, table.Identity = f.entry.table, "file", "file:"+f.entry.path
		if errors.Is(err, errEmpty) && s.before[table.Name] != nil {
			err, table.Blank = nil, true // what was known of it stays
		} else if err == nil {
			err = s.finish(&table)
		}
		_, was := s.before[table.Name]
		switch {
		case err == nil:
			read++
			s.known[table.Name] = table.Columns
			tables = append(tables, table)
		case s.before == nil || was || s.settings.BadFiles == "fail" || errors.Is(err, driver.ErrInvalidConfig):
			unread = append(unread, driver.UnreadTable{Name: table.Name, Err: err})
		default:
			tables = append(tables, driver.Table{Name: table.Name, Kind: "file", LeftOut: err.Error()})
			last = err
		}
	}
	slices.SortFunc(tables, func(a, b driver.Table) int { return cmp.Compare(a.Name, b.Name) })
	switch {
	case read == 0 && len(unread) > 0:
		return nil, unread[0].Err
	case read == 0:
		return nil, last
	case len(unread) == 0:
		return tables, nil
	}
	return tables, &driver.UnreadTables{Tables: unread}
}

// look finds the columns of a file.
func (s *source) look(ctx context.Context, e entry, known *known) looked {
	table, format, err := s.shape(ctx, e, known)
	return looked{entry: e, format: format, table: table, err: err}
}

func (s *source) shape(ctx context.Context, e entry, known *known) (table driver.Table, format string, err error) {
	in, err := s.open(ctx, e)
	if err != nil {
		return table, "", err
	}
	defer in.Close()
	in.known = known
	switch in.format {
	case "parquet":
		format = "parquet"
		table, err = s.discoverParquet(ctx, in)
	case "csv", "tsv":
		format = "csv"
		table, err = s.discoverCSV(ctx, in)
	default:
		format = "json"
		table, err = s.discoverJSON(ctx, in)
	}
	if err != nil {
		return table, format, in.failed(ctx, err)
	}
	return table, format, in.unchanged()
}

// maxNames bounds the names of a table's columns: the lake keeps them in a file
// whose head may have 1 MiB.
const maxNames = 1 << 20

// finish checks a table's columns and gives it their set types and its keys.
func (s *source) finish(table *driver.Table) error {
	if len(table.Columns) > s.limits.MaxColumns {
		return driver.E(driver.ErrLimit, nil, "%s has %d columns, over the limit of %d", table, len(table.Columns), s.limits.MaxColumns)
	}
	names := 0
	for _, c := range table.Columns {
		names += len(c.Name) + 56 // what is written beside each
	}
	if names > maxNames {
		return driver.E(driver.ErrLimit, nil, "%s has %d columns whose names take %d KiB, more than a table of the lake can have; shorten them, or set connection_config.header to false and skip_rows to 1 to number them", table, len(table.Columns), names>>10)
	}
	if err := records.Retype(table.Columns, s.settings.ColumnTypes); err != nil {
		return err
	}
	for i, c := range table.Columns {
		if c.Type.Kind == driver.Date {
			table.Columns[i].Grain = 24 * time.Hour
		}
	}
	return s.keys(table)
}

// keys sets the primary key and the cursor that the settings name, where the
// table has those columns.
func (s *source) keys(table *driver.Table) error {
	missing := func(name string) error {
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.primary_key or cursor names column %q, which table %s does not have", name, table)
	}
	for _, name := range s.settings.PrimaryKey {
		if _, ok := table.Column(name); !ok {
			return missing(name)
		}
	}
	table.PrimaryKey = slices.Clone(s.settings.PrimaryKey)
	if table.Cursor = s.settings.Cursor; table.Cursor == "" {
		table.Cursor, table.CursorNotes = driver.DefaultCursor(*table)
	} else if _, ok := table.Column(table.Cursor); !ok {
		return missing(table.Cursor)
	} else {
		table.CursorNotes = driver.CursorNotes(*table, table.Cursor)
	}
	return records.CheckCursor(*table, driver.Cursor{Column: table.Cursor})
}
