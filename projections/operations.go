package projections

import (
	"bytes"
	"context"
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

// WaitOperation waits until the operation has ended, even if nothing is known of
// it yet, and returns it. If ctx is done first, it returns ctx's error and the
// operation as it is by then, or the zero Operation if it is unknown.
func (s *Store) WaitOperation(ctx context.Context, organization, workspace, id string) (Operation, error) {
	// Register first and look afterwards: the end is then either seen or
	// signalled.
	ended, stop := s.waiting.operation(string(layout.Key(layout.KeyOperation, organization, workspace, id)))
	defer stop()
	o, err := s.Operation(organization, workspace, id)
	if err == nil && o.Ended() || err != nil && !isNotFound(err) {
		return o, err
	}
	select {
	case <-ended:
		return s.Operation(organization, workspace, id)
	case <-s.closed:
		return o, ErrClosed
	case <-ctx.Done():
		if o, err = s.Operation(organization, workspace, id); err == nil && o.Ended() {
			return o, nil
		}
		return o, fmt.Errorf("wait for operation %s: %w", id, context.Cause(ctx))
	}
}

// Operations returns documents of operations without their targets, newest
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
