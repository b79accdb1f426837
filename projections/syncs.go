package projections

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// Sync returns one sync of a workspace with its document, even if its source is
// removed. It returns ErrNotFound for an unknown id.
func (s *Store) Sync(organization, workspace, id string) (y Sync, err error) {
	snapshot, done, err := s.snapshot()
	if err != nil {
		return y, err
	}
	defer done(&err)
	v, err := s.get(snapshot, layout.Key(layout.KeySync, organization, workspace, id))
	if err != nil {
		return y, fmt.Errorf("sync %s: %w", id, err)
	}
	entry, err := layout.DecodeSync(v)
	if err != nil {
		return y, fmt.Errorf("sync %s: %w: %w", id, ErrDamaged, err)
	}
	if entry.Began == 0 {
		return y, fmt.Errorf("sync %s: %w", id, ErrNotFound)
	}
	y = entry.Sync
	_, doc, err := layout.Unframe(v)
	if err != nil {
		return y, err
	}
	p := layout.Progress{Sync: &y}
	var failed error
	doc, err = layout.WithArray(doc, "tables", func(add func([]byte)) error {
		return s.syncTables(snapshot, &y, organization, workspace, func(table []byte) {
			add(table)
			failed = errors.Join(failed, p.Add(table))
		})
	})
	if err = errors.Join(err, failed); err != nil {
		return y, err
	}
	o := layout.Extend(doc)
	o.Raw("progress", p.Document())
	y.JSON = o.End()
	return y, nil
}

// syncTables calls add with the result of each table of the sync, sorted by
// name.
func (s *Store) syncTables(db pebble.Reader, y *Sync, organization, workspace string, add func([]byte)) (err error) {
	it, err := s.scan(db, layout.Key(layout.KeySyncTable, organization, workspace, y.ID))
	if err != nil {
		return err
	}
	defer s.finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return s.fault(err)
		}
		status, doc, err := layout.Unframe(v)
		if err != nil {
			return err
		}
		if y.Ended() && string(status) == StatusRunning {
			if doc, err = stopped(doc, y); err != nil {
				return err
			}
		}
		add(doc)
	}
	return s.fault(it.Error())
}

// stopped returns the result of a table whose sync ended without one: its last
// checkpoint, marked as no longer running.
func stopped(doc []byte, y *Sync) ([]byte, error) {
	var r event.TableResult
	if err := json.Unmarshal(doc, &r); err != nil {
		return nil, fmt.Errorf("%w: table of sync %s: %w", ErrDamaged, y.ID, err)
	}
	if r.Status = StatusFailed; y.Status == StatusCancelled {
		r.Status = StatusCancelled
	}
	r.Rate, r.WaitingSince, r.WaitingFor = 0, nil, ""
	if y.Error != nil {
		r.Reason, r.Message = y.Error.Reason, y.Error.Message
	}
	return layout.AppendTable(nil, &r)
}

// SyncQuery selects syncs of one workspace, newest first.
type SyncQuery struct {
	Organization, Workspace string
	Owners                  []string // whose syncs; "" for scope "organization"
	SourceID                string
	Status                  string
	Limit                   int    // documents per page; 0 for all
	Cursor                  string // Page.Next of the previous page
}

// Syncs returns documents of syncs without their tables, newest first. It
// returns ErrBadCursor for a cursor of another query.
func (s *Store) Syncs(q SyncQuery) (Page, error) {
	owners := slices.Clone(q.Owners)
	slices.Sort(owners)
	owners = slices.Compact(owners)
	paged := pageQuery{
		what: "syncs", bound: binding("syncs", q.Organization, q.Workspace, owners, q.SourceID, q.Status), cursor: q.Cursor, place: 8, limit: q.Limit,
	}
	return s.pageOf(paged, func(db pebble.Reader, place []byte, add func(place, doc []byte) bool) error {
		return s.newest(db, q, owners, place, func(began []byte, id string) (bool, error) {
			is, doc, err := documentAt[struct{ Status string }](s, db, layout.Key(layout.KeySync, q.Organization, q.Workspace, id), "sync "+id)
			if err != nil || q.Status != "" && is.Status != q.Status {
				return true, err
			}
			return add(began, doc), nil
		})
	})
}

// newest merges the owners' syncs, newest first, from place on. An event begins
// at most one sync, so its sequence identifies the sync.
func (s *Store) newest(db pebble.Reader, q SyncQuery, owners []string, place []byte, visit func(began []byte, id string) (bool, error)) (err error) {
	type stream struct {
		it     *pebble.Iterator
		prefix int
	}
	var streams []stream
	for _, owner := range owners {
		prefix := layout.Key(layout.KeySyncOwner, q.Organization, q.Workspace, owner)
		if q.SourceID != "" {
			prefix = layout.Key(layout.KeySyncOf, q.Organization, q.Workspace, owner, q.SourceID)
		}
		it, err := s.scan(db, prefix)
		if err != nil {
			return err
		}
		defer s.finish(it, &err)
		if it.SeekGE(append(prefix[:len(prefix):len(prefix)], place...)) {
			streams = append(streams, stream{it, len(prefix)})
		} else if err := s.fault(it.Error()); err != nil {
			return err
		}
	}
	for len(streams) > 0 {
		first := 0
		for i := range streams {
			if string(streams[i].it.Key()[streams[i].prefix:]) < string(streams[first].it.Key()[streams[first].prefix:]) {
				first = i
			}
		}
		at := streams[first]
		suffix := at.it.Key()[at.prefix:]
		id, _, err := layout.GetText(suffix[8:])
		if err != nil {
			return err
		}
		if more, err := visit(suffix[:8], id); err != nil || !more {
			return err
		}
		if !at.it.Next() {
			if err := s.fault(at.it.Error()); err != nil {
				return err
			}
			streams = slices.Delete(streams, first, first+1)
		}
	}
	return nil
}
