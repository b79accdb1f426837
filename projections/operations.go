package projections

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// Operation returns one operation of a workspace with its document. It returns
// ErrNotFound for an unknown id, which may mean only that none of its events is
// applied yet.
func (s *Store) Operation(organization, workspace, id string) (o Operation, err error) {
	db, done, err := s.using()
	if err != nil {
		return o, err
	}
	defer done()
	k := layout.Key(layout.KeyOperation, organization, workspace, id)
	if s.exists.Never(k) { // the usual case for a caller that begins to wait for it
		return o, fmt.Errorf("operation %s: %w", id, ErrNotFound)
	}
	snapshot := db.NewSnapshot()
	defer s.finish(snapshot, &err)
	v, err := s.get(snapshot, k)
	if err != nil {
		return o, fmt.Errorf("operation %s: %w", id, err)
	}
	if o, err = layout.DecodeOperation(v); err != nil {
		return o, fmt.Errorf("operation %s: %w: %w", id, ErrDamaged, err)
	}
	_, doc, err := layout.Unframe(v)
	if err != nil {
		return o, err
	}
	o.JSON, err = layout.WithArray(doc, "targets", func(add func([]byte)) error {
		return s.targets(snapshot, o.Total, layout.Key(layout.KeyTarget, organization, workspace, id), func(index int, doc []byte) error {
			target := Target{Index: index}
			if err := json.Unmarshal(doc, &target); err != nil {
				return fmt.Errorf("target %d of operation %s: %w: %w", index, id, ErrDamaged, err)
			}
			o.Targets = append(o.Targets, target)
			if o.Kind == event.KindSync && target.Status == StatusRunning && target.SyncID != "" {
				begun, err := s.begun(snapshot, organization, workspace, target.SyncID)
				if err != nil {
					return err
				}
				if !begun {
					w := layout.Extend(bytes.Clone(doc))
					w.Text("waiting_for", event.WaitingTurn)
					doc = w.End()
				}
			}
			add(doc)
			return nil
		})
	})
	return o, err
}

// begun reports whether a worker has taken a sync.
func (s *Store) begun(db pebble.Reader, organization, workspace, id string) (bool, error) {
	v, err := s.get(db, layout.Key(layout.KeySync, organization, workspace, id))
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	y, err := layout.DecodeSync(v)
	if err != nil {
		return false, fmt.Errorf("sync %s: %w: %w", id, ErrDamaged, err)
	}
	return y.Began != 0, nil
}

// targets calls each for every known target of an operation.
func (s *Store) targets(db pebble.Reader, total int, prefix []byte, each func(index int, doc []byte) error) (err error) {
	if total == 1 { // the usual case; an iterator would open every table file
		doc, err := s.get(db, layout.PutIndex(prefix, 0))
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return each(0, doc)
	}
	it, err := s.scan(db, prefix)
	if err != nil {
		return err
	}
	defer s.finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		doc, err := it.ValueAndErr()
		if err != nil {
			return s.fault(err)
		}
		if err := each(int(binary.BigEndian.Uint32(it.Key()[len(prefix):])), doc); err != nil {
			return err
		}
	}
	return s.fault(it.Error())
}

// OperationQuery selects operations of one owner, newest first.
type OperationQuery struct {
	Organization, Workspace string
	Owner                   string // "" for scope "organization"
	Kind, Status            string // exactly; "" for any
	Limit                   int    // documents per page; 0 for all
	Cursor                  string // Page.Next of the previous page
}

// Operations returns documents of operations without their targets, newest
// first. It returns ErrBadCursor for a cursor of another query.
func (s *Store) Operations(q OperationQuery) (Page, error) {
	paged := pageQuery{
		what: "operations", bound: binding("operations", q.Organization, q.Workspace, q.Owner, q.Kind, q.Status), cursor: q.Cursor, place: 8, limit: q.Limit,
	}
	return s.pageOf(paged, func(db pebble.Reader, place []byte, add func(place, doc []byte) bool) (err error) {
		prefix := layout.Key(layout.KeyOperationOf, q.Organization, q.Workspace, q.Owner)
		it, err := s.scan(db, prefix)
		if err != nil {
			return err
		}
		defer s.finish(it, &err)
		for ok := it.SeekGE(append(prefix[:len(prefix):len(prefix)], place...)); ok; ok = it.Next() {
			suffix := it.Key()[len(prefix):]
			id, _, err := layout.GetText(suffix[8:])
			if err != nil {
				return err
			}
			is, doc, err := documentAt[struct{ Kind, Status string }](s, db, layout.Key(layout.KeyOperation, q.Organization, q.Workspace, id), "operation "+id)
			if err != nil {
				return err
			}
			if q.Kind != "" && is.Kind != q.Kind || q.Status != "" && is.Status != q.Status {
				continue
			}
			if !add(suffix[:8], doc) {
				break
			}
		}
		return s.fault(it.Error())
	})
}
