package file

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/formats"
	"headwater/connectors/formats/input"
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
				known.Some = true
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
		if errors.Is(err, input.ErrEmpty) && s.before[table.Name] != nil {
			err, table.Blank = nil, true // what was known of it stays
		} else if err == nil {
			err = formats.Finish(&table, &s.settings.Settings, s.limits)
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
func (s *source) look(ctx context.Context, e entry, known *input.Known) looked {
	table, format, err := s.shape(ctx, e, known)
	return looked{entry: e, format: format, table: table, err: err}
}

func (s *source) shape(ctx context.Context, e entry, known *input.Known) (table driver.Table, format string, err error) {
	in, err := s.open(ctx, e)
	if err != nil {
		return table, "", err
	}
	defer in.Close()
	in.Known = known
	format = formats.Family(in.Input)
	if table, err = formats.Discover(ctx, in.Input); err != nil {
		return table, format, in.Failed(err)
	}
	return table, format, in.Unchanged()
}
