package fold

import (
	"headwater/bus/event"
	"headwater/projections/layout"
)

// keepRemoved adds the removed source to the indexes of restorable sources and
// of grace periods. A purged source is not added: it can never be restored and
// has no secrets.
func (t *Batch) keepRemoved() error {
	src := &t.source.v
	if src.Removal.Purged {
		src.SecretRef = ""
		return nil
	}
	shown := *src
	shown.Status = layout.StatusRemoved
	if err := t.out.Set(layout.RemovedKey(src), layout.AppendSourceDocument(nil, &shown)); err != nil {
		return err
	}
	return t.out.Set(layout.DueKey(src), layout.PutSequence(nil, src.Removal.Sequence))
}

// forgetRemoved deletes the source from those indexes.
func (t *Batch) forgetRemoved() error {
	src := &t.source.v
	if !src.Restorable() {
		return nil
	}
	if err := t.out.Delete(layout.RemovedKey(src)); err != nil {
		return err
	}
	return t.out.Delete(layout.DueKey(src))
}

// revive makes a removed or new source an existing one.
func (t *Batch) revive() error {
	if err := t.forgetRemoved(); err != nil {
		return err
	}
	src := &t.source.v
	src.Removed, src.Removal, src.Running = false, nil, nil
	if s := src.Schedule; s != nil {
		at := t.at
		s.Since = &at
		if s.Continuous && !s.Paused && s.NextRun == nil {
			s.NextRun = &at
		}
		if err := t.due(t.source, s.NextRun, s.AfterSync); err != nil {
			return err
		}
	}
	return t.count(+1)
}

// restored brings a removed source back as it was. A source that is not removed,
// or is purged, does not change.
func (t *Batch) restored(d *event.SourceRestored) (*news, error) {
	n := &news{name: d.Name, result: func(r *layout.Result) {
		r.Connector, r.ConfigVersion, r.SchemaVersion, r.Unchanged, r.Notes = d.Connector, d.ConfigVersion, d.SchemaVersion, d.Unchanged, d.Notes
	}}
	src := &t.source.v
	if !t.source.exists || !src.Restorable() || d.Unchanged {
		return n, nil
	}
	if err := t.revive(); err != nil {
		return nil, err
	}
	if src.Name = d.Name; src.Status == layout.StatusSyncing {
		src.Status = layout.StatusConnected
	}
	a := src.Address
	name, err := t.names.get(t.db, layout.Key(layout.KeyName, a.Organization, a.Workspace, a.Owner, d.Name))
	if err != nil {
		return nil, err
	}
	// A concurrent connect may have taken the name; it keeps it.
	if name.v.ID == "" {
		name.v.ID = a.Source
	} else if name.v.ID != a.Source {
		name.v.Shared = true
	}
	t.names.touch(name)
	t.changeDocument()
	return n, nil
}

// purged ends the possibility to restore a removed source.
func (t *Batch) purged(d *event.SourcePurged) (*news, error) {
	n := &news{name: d.Name, result: func(r *layout.Result) { r.Purged = true }}
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

// destroyed reports the destruction of a purged source. If files are left the
// target has failed, though the source is gone.
func (t *Batch) destroyed(d *event.SourceDestroyed) *news {
	outcome := d.Destruction
	n := &news{name: d.Name, result: func(r *layout.Result) { r.Purged, r.Destruction = true, &outcome }}
	if d.Status != event.Destroyed {
		n.status, n.reason, n.message = layout.StatusFailed, d.Reason, d.Message
	} else if src := &t.source.v; t.source.exists && src.Removal != nil && src.Removal.Sequence == d.Removed {
		src.Removal.Destroyed = true
	}
	return n
}
