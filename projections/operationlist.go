package projections

import (
	"encoding/json"
	"fmt"

	"headwater/projections/layout"
)

// Operations returns documents of operations, without their targets, newest
// first. It returns ErrBadCursor for a cursor of another query.
func (s *Store) Operations(q OperationQuery) (page Page, err error) {
	bound := binding("operations", q.Organization, q.Workspace, q.Owner, q.Kind, q.Status)
	place, err := readCursor(q.Cursor, bound)
	if err == nil && place != nil && len(place) != 8 {
		err = ErrBadCursor
	}
	if err != nil {
		return page, fmt.Errorf("operations: %w", err)
	}
	db, done, err := s.using()
	if err != nil {
		return page, err
	}
	defer done()
	page.Sequence = s.position.Load()
	snapshot := db.NewSnapshot()
	defer s.finish(snapshot, &err)
	prefix := layout.Key(layout.KeyOperationOf, q.Organization, q.Workspace, q.Owner)
	it, err := s.scan(snapshot, prefix)
	if err != nil {
		return page, err
	}
	defer s.finish(it, &err)
	out := []byte{'['}
	for ok := it.SeekGE(append(prefix[:len(prefix):len(prefix)], place...)); ok; ok = it.Next() {
		suffix := it.Key()[len(prefix):]
		id, _, err := layout.GetText(suffix[8:])
		if err != nil {
			return page, err
		}
		v, err := s.get(snapshot, layout.Key(layout.KeyOperation, q.Organization, q.Workspace, id))
		if err != nil {
			return page, fmt.Errorf("operation %s: %w", id, err)
		}
		state, doc, err := layout.Unframe(v)
		if err != nil {
			return page, err
		}
		var head struct{ Kind, Status string }
		if err := json.Unmarshal(state, &head); err != nil {
			return page, fmt.Errorf("%w: operation %s: %w", ErrDamaged, id, err)
		}
		if q.Kind != "" && head.Kind != q.Kind || q.Status != "" && head.Status != q.Status {
			continue
		}
		if q.Limit > 0 && page.Count == q.Limit {
			page.Next = makeCursor(bound, append([]byte(nil), suffix[:8]...))
			break
		}
		if page.Count++; page.Count > 1 {
			out = append(out, ',')
		}
		out = append(out, doc...)
	}
	page.JSON = append(out, ']')
	return page, s.fault(it.Error())
}
