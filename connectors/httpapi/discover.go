package httpapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// Discover reads the first pages of every endpoint and finds fields and their types.
// Read then begins with these pages. If the sample does not reach the last page the
// table gets the column records.Extra for fields that come later. Endpoints that cannot
// be read are in a *driver.UnreadTables, unless no other can be read. After an
// ErrRetyped of a Read it returns the tables with the types that the Read found, and
// makes no request.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	if len(s.retyped) > 0 {
		return slices.Clone(s.retyped), nil
	}
	tables := make([]driver.Table, 0, len(s.endpoints))
	var unread []driver.UnreadTable
	for _, e := range s.endpoints {
		table, err := s.discover(ctx, e)
		if err != nil && (ctx.Err() != nil || len(s.endpoints) == 1) {
			return nil, err
		}
		if err != nil {
			unread = append(unread, driver.UnreadTable{Name: e.Name, Err: err})
			continue
		}
		s.known[table.Name], s.tables[table.Name] = table.Columns, table
		tables = append(tables, table)
	}
	switch {
	case len(unread) == 0:
		return tables, nil
	case len(tables) == 0:
		return nil, unread[0].Err
	}
	return tables, &driver.UnreadTables{Tables: unread}
}

func (s *source) discover(ctx context.Context, e endpoint) (driver.Table, error) {
	w := s.walks[e.Name]
	delete(s.walks, e.Name)
	if w == nil || w.lost || w.looked {
		if w != nil {
			w.end()
		}
		w = s.walk(e)
	}
	m, err := s.sample(ctx, e, w)
	if err != nil {
		w.end()
		return driver.Table{}, err
	}
	s.samples[e.Name] = m
	s.walks[e.Name] = w
	return s.tableOf(e, m, w.p)
}

// sample reads first pages until there are enough records and the way to the second page
// is proven.
func (s *source) sample(ctx context.Context, e endpoint, w *walk) (*sampled, error) {
	m := newSampled()
	limit, pages := s.settings.SampleRows, s.maxPages
	if limit == 0 {
		limit, pages = sampleRecords, samplePages
	}
	if e.SinceParam != "" && s.settings.SampleRows == 0 {
		pages = sincePages // a sync asks for others
	}
	w.looked = true
	w.p.sample = max(limit, 0)
	for _, pg := range w.pages {
		if err := m.look(s, e, pg); err != nil {
			return nil, err
		}
	}
	for w.p.count < pages {
		if limit > 0 && m.shape.Records() >= limit && (w.p.count > 1 || w.p.done) {
			m.whole = w.p.done
			return m, nil
		}
		pg, err := w.next(ctx)
		if err != nil {
			return nil, err
		}
		if m.whole = pg == nil; m.whole {
			return m, nil
		}
		if err := m.look(s, e, pg); err != nil {
			return nil, err
		}
	}
	m.whole = w.p.done
	return m, nil
}

// tableOf returns the table that a sample shows.
func (s *source) tableOf(e endpoint, m *sampled, p *pager) (driver.Table, error) {
	table := driver.Table{Name: e.Name, Kind: "endpoint", RowEstimate: p.total}
	if m.whole {
		table.RowEstimate = m.shape.Records()
	}
	var err error
	if table.Columns, err = m.shape.Columns(s.settings.ColumnTypes, !m.whole); err != nil {
		return table, err
	}
	if m.shape.Records() == 0 {
		table.Blank, table.Emptied = true, p.place.Beside
	}
	// A field that every record has, each its own, is the key.
	if id, ok := table.Column("id"); ok && e.PrimaryKey == nil && m.shape.Always("id") && int64(len(m.ids)) == m.shape.Records() && (id.Type.Kind == driver.Int64 || id.Type.Kind == driver.String) {
		table.PrimaryKey = []string{"id"}
	}
	if s.idle.Load() {
		table.Notes = append(table.Notes, "The API gives the same answer with the credentials and without: they have no effect.")
	}
	if p.mode == "none" && p.begun != nil {
		if why := p.untold(p.begun.signs, p.last); why != "" {
			table.Notes = append(table.Notes, fmt.Sprintf("The API %s; connection_config.pagination says that there is one page, and only that is read.", why))
		}
	}
	return table, s.keys(&table, e, m)
}

// keys sets the primary key and the cursor that the settings name.
func (s *source) keys(table *driver.Table, e endpoint, m *sampled) error {
	for _, name := range append(slices.Clone(e.PrimaryKey), e.Cursor) {
		if _, ok := table.Column(name); name != "" && !ok && len(table.Columns) > 1 {
			return driver.InvalidField("primary_key", "or cursor names field %q, which table %s does not have", name, table)
		}
	}
	if len(e.PrimaryKey) > 0 && len(table.Columns) > 1 {
		table.PrimaryKey = slices.Clone(e.PrimaryKey)
	}
	if _, ok := table.Column(e.Cursor); ok {
		table.Cursor, table.CursorNotes = e.Cursor, driver.CursorNotes(*table, e.Cursor)
	} else {
		table.Cursor, table.CursorNotes = m.cursorOf(*table)
	}
	return records.CheckCursor(*table, driver.Cursor{Column: table.Cursor})
}

// kindOf returns the kind of a driver's error.
func kindOf(err error) error {
	var typed *driver.Error
	if errors.As(err, &typed) {
		return typed.Kind
	}
	return driver.ErrBadData
}
