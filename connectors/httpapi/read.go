package httpapi

import (
	"context"
	"errors"
	"iter"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

const (
	sampleRecords = 1000
	samplePages   = 20
)

// Discover reads the first pages of every endpoint and finds the fields and
// their types by them. Where the sample does not reach the last page the table
// gets the column records.Extra for fields that come later.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	tables := make([]driver.Table, 0, len(s.endpoints))
	for _, e := range s.endpoints {
		table, err := s.discover(ctx, e)
		if err != nil {
			return nil, err
		}
		s.known[table.Name] = table.Columns
		tables = append(tables, table)
	}
	return tables, nil
}

func (s *source) discover(ctx context.Context, e endpoint) (driver.Table, error) {
	var shape records.Shape
	p := newPager(s, e)
	defer p.stop()
	limit, pages := s.settings.SampleRows, s.maxPages
	if limit == 0 {
		limit, pages = sampleRecords, samplePages
	}
	p.sample = max(limit, 0)
	whole := false
	ids := map[string]bool{}
	for p.count < pages {
		pg, err := p.next(ctx)
		if err != nil {
			return driver.Table{}, err
		}
		if whole = pg == nil; whole {
			break
		}
		for raw := range pg.elements() {
			if err := shape.Record(raw, s.limits); err != nil {
				return driver.Table{}, driver.E(kindOf(err), err, "%s", where(e.url))
			}
			ids[string(records.Field(raw, "id"))] = true
		}
		if limit > 0 && shape.Records() >= limit {
			whole = p.done
			break
		}
	}
	table := driver.Table{Name: e.Name, Kind: "endpoint", RowEstimate: p.total}
	if whole {
		table.RowEstimate = shape.Records()
	}
	var err error
	if table.Columns, err = shape.Columns(s.settings.ColumnTypes, !whole); err != nil {
		return table, err
	}
	// A field "id" that every record has, each its own, is the key.
	if id, ok := table.Column("id"); ok && e.PrimaryKey == nil && shape.Always("id") && int64(len(ids)) == shape.Records() && (id.Type.Kind == driver.Int64 || id.Type.Kind == driver.String) {
		table.PrimaryKey = []string{"id"}
	}
	return table, keys(&table, e)
}

// keys sets the primary key and cursor that the settings name.
func keys(table *driver.Table, e endpoint) error {
	for _, name := range append(slices.Clone(e.PrimaryKey), e.Cursor) {
		if _, ok := table.Column(name); name != "" && !ok && len(table.Columns) > 1 {
			return driver.E(driver.ErrInvalidConfig, nil, "connection_config.primary_key or cursor names field %q, which table %s does not have", name, table)
		}
	}
	if len(e.PrimaryKey) > 0 && len(table.Columns) > 1 {
		table.PrimaryKey = slices.Clone(e.PrimaryKey)
	}
	if _, ok := table.Column(e.Cursor); ok {
		table.Cursor, table.CursorNotes = e.Cursor, driver.CursorNotes(*table, e.Cursor)
	} else {
		table.Cursor, table.CursorNotes = driver.DefaultCursor(*table)
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

// Read reads every page of the table's endpoint. APIs promise no order: an
// incremental read looks at every record and has one place to resume, at its
// end.
func (s *source) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	batches := func(yield func(driver.Batch, error) bool) {
		if err := s.read(ctx, t, from, yield); err != nil && err != errLeft {
			yield(driver.Batch{}, err)
		}
	}
	return records.Unordered(ctx, t, from, batches)
}

// errLeft ends a read whose loop was left.
var errLeft = errors.New("left")

func (s *source) read(ctx context.Context, t driver.Table, from driver.Cursor, yield func(driver.Batch, error) bool) error {
	at := slices.IndexFunc(s.endpoints, func(e endpoint) bool { return e.Name == t.Name })
	if at < 0 || t.Namespace != "" {
		return driver.E(driver.ErrNotFound, nil, "the settings name no endpoint for table %s; discover the schema again", t)
	}
	if err := records.CheckCursor(t, from); err != nil {
		return err
	}
	rows := records.NewRows(t, s.limits, s.known[t.Name])
	defer rows.Release()
	var bytes int64
	for pg, err := range ahead(ctx, newPager(s, s.endpoints[at])) {
		if err != nil {
			return err
		}
		if bytes += pg.bytes; s.limits.MaxBytes > 0 && bytes > s.limits.MaxBytes {
			return driver.E(driver.ErrLimit, nil, "table %s has more than %d bytes", t, s.limits.MaxBytes)
		}
		n := -1
		for raw := range pg.elements() {
			n++
			if int64(len(raw)) > s.limits.MaxRowBytes {
				return driver.E(driver.ErrLimit, nil, "table %s has a record of more than %d bytes", t, s.limits.MaxRowBytes)
			}
			var full bool
			if pg.single {
				full, err = rows.Record(raw)
			} else {
				full, err = rows.Indexed(&pg.body.index, n)
			}
			if err != nil {
				return err
			}
			if !full {
				continue
			}
			if err := ctx.Err(); err != nil {
				return stopped(s.endpoints[at].url, err)
			}
			if !yield(rows.Batch(), nil) {
				return errLeft
			}
		}
		s.letGo(pg.body)
	}
	if rows.Rows() > 0 && !yield(rows.Batch(), nil) {
		return errLeft
	}
	return nil
}

// ahead yields the pages while the one after is already being fetched. Their
// bodies are kept, for whoever reads them to let go of. It returns when nothing
// runs any more.
func ahead(ctx context.Context, p *pager) iter.Seq2[*page, error] {
	type result struct {
		page *page
		err  error
	}
	return func(yield func(*page, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		results := make(chan result)
		go func() {
			defer close(results)
			defer p.stop()
			for {
				pg, err := p.next(ctx)
				if pg == nil && err == nil {
					return
				}
				if pg != nil && pg.body != nil {
					pg.body.keep()
				}
				select {
				case results <- result{pg, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}()
		defer func() {
			cancel()
			for range results {
			}
		}()
		for r := range results {
			if !yield(r.page, r.err) || r.err != nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, stopped(p.e.url, err))
		}
	}
}
