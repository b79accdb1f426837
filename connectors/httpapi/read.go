package httpapi

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// Read reads every page of the table's endpoint, beginning with those that Discover has
// read. APIs promise no order, so an incremental read looks at every record and has one
// place to resume, at its end. A value that does not fit the type which the first
// records had is an ErrRetyped.
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

// pageAge is how long records wait for their batch to fill, because people are told how
// many have come.
const pageAge = 2 * time.Second

func (s *source) read(ctx context.Context, t driver.Table, from driver.Cursor, yield func(driver.Batch, error) bool) error {
	at := slices.IndexFunc(s.endpoints, func(e endpoint) bool { return e.Name == t.Name })
	if at < 0 || t.Namespace != "" {
		return driver.E(driver.ErrNotFound, nil, "the settings name no endpoint for table %s; discover the schema again", t)
	}
	if err := records.CheckCursor(t, from); err != nil {
		return err
	}
	e := s.endpoints[at]
	p, pages, err := s.reader(e, t, from)
	if err != nil {
		return err
	}
	limits := s.limits
	limits.BatchAge = min(limits.BatchAge, pageAge)
	rows := records.NewRows(t, limits, s.known[t.Name])
	defer rows.Release()
	var bytes int64
	var scratch []byte
	var anew *retyping
	var notes []string
	for pg, err := range ahead(ctx, p, pages) {
		if err != nil {
			return err
		}
		if pg == nil {
			// An API may let wait for longer than a silent source is borne with.
			if !yield(rows.Batch(), nil) {
				return errLeft
			}
			continue
		}
		if anew != nil {
			enough, err := anew.look(pg)
			if s.letGo(pg.body); err != nil {
				return err
			}
			if enough {
				break
			}
			continue
		}
		if bytes += pg.bytes; s.limits.MaxBytes > 0 && bytes > s.limits.MaxBytes {
			return driver.E(driver.ErrLimit, nil, "table %s has more than %d bytes", t, s.limits.MaxBytes)
		}
		if pg.note != "" && !slices.Contains(notes, pg.note) {
			notes = append(notes, pg.note)
		}
		n := pg.skip - 1
		for raw := range pg.elements() {
			n++
			if int64(len(raw)) > s.limits.MaxRowBytes {
				return driver.E(driver.ErrLimit, nil, "table %s has a record of more than %d bytes", t, s.limits.MaxRowBytes)
			}
			var full bool
			if pg.single || len(e.nests) > 0 {
				raw, scratch = e.nested(raw, scratch)
				full, err = rows.Record(raw)
			} else {
				full, err = rows.Indexed(&pg.body.index, n)
			}
			if err != nil {
				if anew = s.misfit(e, t, err); anew == nil {
					return err
				}
				if _, err := anew.look(pg); err != nil {
					return err
				}
				break
			}
			if !full {
				continue
			}
			if err := ctx.Err(); err != nil {
				return stopped(e.url, err)
			}
			if !yield(rows.Batch(), nil) {
				return errLeft
			}
		}
		s.letGo(pg.body)
	}
	if anew != nil {
		return anew.end()
	}
	if rows.Rows() > 0 || len(notes) > 0 {
		last := rows.Batch()
		last.Notes = append(last.Notes, notes...)
		if !yield(last, nil) {
			return errLeft
		}
	}
	return nil
}

// reader returns the pager of a read, and the pages that it has already.
func (s *source) reader(e endpoint, t driver.Table, from driver.Cursor) (*pager, []*page, error) {
	more, err := e.since(s.settings, t, from)
	if err != nil {
		return nil, nil, err
	}
	if len(more) > 0 {
		return newPager(s, e, more), nil, nil
	}
	p, pages := s.taken(e)
	return p, pages, nil
}

// ahead yields pages, first those that were read before, while the one after is already
// requested. The consumer ends its use of their bodies. A nil page says that the next
// one is waited for. When ahead returns no goroutine of it runs.
func ahead(ctx context.Context, p *pager, before []*page) iter.Seq2[*page, error] {
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
		for _, pg := range before {
			if !yield(pg, nil) {
				return
			}
		}
		waits := time.NewTicker(max(p.s.limits.BatchAge, 10*time.Millisecond))
		defer waits.Stop()
		for more := true; more; {
			select {
			case <-waits.C:
				if !yield(nil, nil) {
					return
				}
			case r, ok := <-results:
				if more = ok; ok && (!yield(r.page, r.err) || r.err != nil) {
					return
				}
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, stopped(p.e.url, err))
		}
	}
}
