package projections

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// keepRemoved puts the source that was just removed where removed ones are found
// until their grace period has passed. One that is purged already can never be
// restored and has no secrets.
func (t *turn) keepRemoved() error {
	src := &t.source.v
	if src.Removal.Purged {
		src.SecretRef = ""
		return nil
	}
	shown := *src
	shown.Status = StatusRemoved
	if err := t.batch.Set(layout.RemovedKey(src), layout.AppendSourceDocument(nil, &shown), nil); err != nil {
		return err
	}
	return t.batch.Set(layout.DueKey(src), layout.PutSequence(nil, src.Removal.Sequence), nil)
}

// forgetRemoved takes the source from where keepRemoved put it.
func (t *turn) forgetRemoved() error {
	src := &t.source.v
	if !src.Restorable() {
		return nil
	}
	if err := t.batch.Delete(layout.RemovedKey(src), nil); err != nil {
		return err
	}
	return t.batch.Delete(layout.DueKey(src), nil)
}

// revive makes a removed source, or a new one, one that is there.
func (t *turn) revive() error {
	if err := t.forgetRemoved(); err != nil {
		return err
	}
	src := &t.source.v
	src.Removed, src.Removal, src.Running = false, nil, nil
	return t.count(+1)
}

// restored brings a removed source back as it was. One that is not removed, or
// is purged, stays what it is.
func (t *turn) restored(d *event.SourceRestored) (*news, error) {
	n := &news{name: d.Name, result: func(r *Result) {
		r.Connector, r.ConfigVersion, r.SchemaVersion, r.Unchanged = d.Connector, d.ConfigVersion, d.SchemaVersion, d.Unchanged
	}}
	src := &t.source.v
	if !t.source.exists || !src.Restorable() || d.Unchanged {
		return n, nil
	}
	if err := t.revive(); err != nil {
		return nil, err
	}
	if src.Name = d.Name; src.Status == StatusSyncing {
		src.Status = StatusConnected
	}
	a := src.Address
	name, err := t.names.get(t.db, layout.Key(layout.KeyName, a.Organization, a.Workspace, a.Owner, d.Name))
	if err != nil {
		return nil, err
	}
	// A connect may have been first by a moment; it keeps the name.
	if name.v.ID == "" {
		name.v.ID = a.Source
	} else if name.v.ID != a.Source {
		name.v.Shared = true
	}
	t.names.touch(name)
	t.changeDocument()
	return n, nil
}

// purged ends what a removed source could be restored from.
func (t *turn) purged(d *event.SourcePurged) (*news, error) {
	n := &news{name: d.Name, result: func(r *Result) { r.Purged = true }}
	src := &t.source.v
	if !t.source.exists || !src.Restorable() {
		return n, nil
	}
	if err := t.forgetRemoved(); err != nil {
		return nil, err
	}
	src.Removal.Purged, src.SecretRef = true, ""
	return n, nil
}

// destroyed says what became of a purged source. The target of one of which files
// are left has failed, though the source is gone.
func (t *turn) destroyed(d *event.SourceDestroyed) *news {
	outcome := d.Destruction
	n := &news{name: d.Name, result: func(r *Result) { r.Purged, r.Destruction = true, &outcome }}
	if d.Status != event.Destroyed {
		n.status, n.reason, n.message = StatusFailed, d.Reason, d.Message
	} else if src := &t.source.v; t.source.exists && src.Removal != nil && src.Removal.Sequence == d.Removed {
		src.Removal.Destroyed = true
	}
	return n
}

// WasThere reports whether a source was connected and not removed at that
// sequence. It returns ErrFuture for one that is not applied yet.
func (s *Store) WasThere(a event.Address, sequence uint64) (bool, error) {
	db, done, err := s.using()
	if err != nil {
		return false, err
	}
	defer done()
	if sequence > s.position.Load() {
		return false, fmt.Errorf("source %s as of %d: %w", a.Source, sequence, ErrFuture)
	}
	err = s.wasThere(db, a, sequence)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Due is a removed source whose grace period has passed.
type Due struct {
	Address event.Address
	Removed uint64 // sequence of its SourceRemoved
}

// Due returns the removed sources whose grace period ended before the time and
// that are not purged yet, the longest overdue first.
func (s *Store) Due(before time.Time) (all []Due, err error) {
	db, done, err := s.using()
	if err != nil {
		return nil, err
	}
	defer done()
	it, err := db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{layout.KeyDue}, UpperBound: layout.PutSequence([]byte{layout.KeyDue}, layout.Millisecond(before)),
	})
	if err != nil {
		return nil, s.fault(err)
	}
	defer s.finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, s.fault(err)
		}
		due := Due{Removed: layout.GetSequence(v)}
		rest := it.Key()[9:]
		for _, text := range []*string{&due.Address.Organization, &due.Address.Workspace, &due.Address.Owner, &due.Address.Source} {
			if *text, rest, err = layout.GetText(rest); err != nil {
				return nil, err
			}
		}
		all = append(all, due)
	}
	return all, s.fault(it.Error())
}
