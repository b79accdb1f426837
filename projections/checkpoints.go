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
func (s *Store) Checkpoints(q CheckpointQuery) (Page, error) {
	paged := pageQuery{
		what: "checkpoints of " + q.Address.Source, bound: binding("checkpoints", q.Address.Tokens(), q.Table), cursor: q.Cursor, limit: q.Limit,
	}
	return s.pageOf(paged, func(db pebble.Reader, place []byte, add func(place, doc []byte) bool) error {
		if err := s.wasThere(db, q.Address, 0); err != nil {
			return fmt.Errorf("checkpoints of %s: %w", q.Address.Source, err)
		}
		return s.checkpoints(db, q, place, add)
	})
}

func (s *Store) checkpoints(db pebble.Reader, q CheckpointQuery, place []byte, add func(place, doc []byte) bool) (err error) {
	prefix := layout.AddressKey(layout.KeyCheckpoint, q.Address)
	it, err := s.scan(db, prefix)
	if err != nil {
		return err
	}
	defer s.finish(it, &err)
	for ok := it.SeekGE(append(prefix[:len(prefix):len(prefix)], place...)); ok; ok = it.Next() {
		suffix := it.Key()[len(prefix):]
		if len(suffix) < 8 {
			return fmt.Errorf("%w: key of a checkpoint", ErrDamaged)
		}
		var namespace, table string
		if _, err := layout.GetTexts(suffix[8:], &namespace, &table); err != nil {
			return err
		}
		if q.Table != "" && q.Table != table && q.Table != layout.Qualified(namespace, table) {
			continue
		}
		doc, err := it.ValueAndErr()
		if err != nil {
			return s.fault(err)
		}
		if !add(suffix, doc) {
			break
		}
	}
	return s.fault(it.Error())
}
