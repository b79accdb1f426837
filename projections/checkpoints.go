package projections

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/fold"
	"headwater/projections/layout"
)

// KeptCheckpoints is how many of the newest checkpoints of a table are kept.
const KeptCheckpoints = fold.KeptCheckpoints

// CheckpointQuery selects commits of one source's tables, newest first.
type CheckpointQuery struct {
	Address event.Address
	Table   string // "table" or "namespace.table", exactly; "" for all
	Limit   int    // documents per page; 0 for all
	Cursor  string // Page.Next of the previous page
}

// Checkpoints returns documents of the newest commits, up to 100 for each table.
// It returns ErrNotFound for an unknown source, and ErrBadCursor for a cursor of
// another query.
func (s *Store) Checkpoints(q CheckpointQuery) (page Page, err error) {
	bound := binding("checkpoints", q.Address.Tokens(), q.Table)
	place, err := readCursor(q.Cursor, bound)
	if err == nil && place != nil && len(place) < 8 {
		err = ErrBadCursor
	}
	if err != nil {
		return page, fmt.Errorf("checkpoints of %s: %w", q.Address.Source, err)
	}
	db, done, err := s.using()
	if err != nil {
		return page, err
	}
	defer done()
	page.Sequence = s.position.Load()
	snapshot := db.NewSnapshot()
	defer s.finish(snapshot, &err)
	if err := s.wasThere(snapshot, q.Address, 0); err != nil {
		return page, fmt.Errorf("checkpoints of %s: %w", q.Address.Source, err)
	}
	page.JSON, err = s.checkpoints(snapshot, q, place, bound, &page)
	return page, err
}

func (s *Store) checkpoints(db pebble.Reader, q CheckpointQuery, place, bound []byte, page *Page) (out []byte, err error) {
	prefix := layout.AddressKey(layout.KeyCheckpoint, q.Address)
	it, err := s.scan(db, prefix)
	if err != nil {
		return nil, err
	}
	defer s.finish(it, &err)
	out = []byte{'['}
	for ok := it.SeekGE(append(prefix[:len(prefix):len(prefix)], place...)); ok; ok = it.Next() {
		suffix := it.Key()[len(prefix):]
		if len(suffix) < 8 {
			return nil, fmt.Errorf("%w: key of a checkpoint", ErrDamaged)
		}
		namespace, rest, err := layout.GetText(suffix[8:])
		if err != nil {
			return nil, err
		}
		table, _, err := layout.GetText(rest)
		if err != nil {
			return nil, err
		}
		if q.Table != "" && q.Table != table && q.Table != layout.Qualified(namespace, table) {
			continue
		}
		if q.Limit > 0 && page.Count == q.Limit {
			page.Next = makeCursor(bound, suffix)
			break
		}
		doc, err := it.ValueAndErr()
		if err != nil {
			return nil, s.fault(err)
		}
		if page.Count++; page.Count > 1 {
			out = append(out, ',')
		}
		out = append(out, doc...)
	}
	return append(out, ']'), s.fault(it.Error())
}
