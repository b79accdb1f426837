package fold

import (
	"bytes"
	"encoding/json"
	"fmt"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// connected applies a new version of a source's configuration.
func (t *Batch) connected(d *event.SourceConnected) (*news, error) {
	n := &news{name: d.Name, result: func(r *layout.Result) {
		// An earlier event of the same connect may have made this version.
		made := r.ConfigVersion == d.ConfigVersion && d.ConfigVersion > 0 && !r.Unchanged
		r.Connector, r.ConfigVersion, r.Unchanged = d.Connector, d.ConfigVersion, d.Unchanged && !made
	}}
	src := &t.source.v
	alive := t.source.exists && !src.Removed
	if alive && d.Unchanged {
		return n, nil
	}
	config, err := compact(d.Config, "{}")
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	metadata, err := compact(d.Metadata, "{}")
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if !t.source.exists {
		*src = layout.Source{Address: d.Address(), CreatedAt: t.at, CreatedSequence: t.sequence}
	}
	if !alive {
		if err := t.revive(); err != nil {
			return nil, err
		}
	}
	if err := t.rename(src.Name, d.Name); err != nil {
		return nil, err
	}
	if alive && d.Moved {
		t.leave()
	}
	src.Name, src.Type, src.Connector = d.Name, d.Type, d.Connector
	if src.Sync, err = keptOptions(d.Sync); err != nil {
		return nil, err
	}
	src.Config, src.Metadata, src.SecretRef, src.ConfigVersion = config, metadata, d.SecretRef, d.ConfigVersion
	if src.Status = layout.StatusConnected; src.Running != nil {
		src.Status = layout.StatusSyncing
	}
	t.changeDocument()
	return n, nil
}

// keptOptions returns sync options in the form that a source stores, nil for
// none.
func keptOptions(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	kept, err := compact(raw, "{}")
	if err != nil {
		return nil, fmt.Errorf("sync options: %w", err)
	}
	if string(kept) == "{}" {
		return nil, nil
	}
	return kept, nil
}

// rename makes a name refer to the current source.
func (t *Batch) rename(before, now string) error {
	a := t.source.v.Address
	if before != "" && before != now {
		old, err := t.names.get(t.db, t.key(layout.KeyName, a.Organization, a.Workspace, a.Owner, before))
		if err != nil {
			return err
		}
		if old.v.ID == a.Source {
			// the next source of the old name gets another id than this one keeps
			old.v.ID, old.v.Incarnation = "", t.sequence
			t.names.touch(old)
		}
	}
	name, err := t.names.get(t.db, t.key(layout.KeyName, a.Organization, a.Workspace, a.Owner, now))
	if err != nil {
		return err
	}
	if name.v.ID != "" && name.v.ID != a.Source {
		name.v.Shared = true
	}
	name.v.ID = a.Source
	t.names.touch(name)
	return nil
}

// removed ends a source. Its past stays readable as of an earlier sequence.
func (t *Batch) removed(d *event.SourceRemoved) (*news, error) {
	n := &news{name: d.Name, status: layout.StatusCompleted, result: func(r *layout.Result) { r.Purged, r.DestroyedAfter, r.Notes = d.Purged, d.DestroyedAfter, d.Notes }}
	src := &t.source.v
	if !t.source.exists || src.Removed {
		return n, nil
	}
	if err := t.supersede(layout.StatusCancelled, event.ReasonSourceRemoved, "the source was removed"); err != nil {
		return nil, err
	}
	name, err := t.names.get(t.db, t.key(layout.KeyName, src.Address.Organization, src.Address.Workspace, src.Address.Owner, src.Name))
	if err != nil {
		return nil, err
	}
	if name.v.ID == src.Address.Source {
		name.v.ID, name.v.Incarnation = "", t.sequence
		t.names.touch(name)
	}
	if err := t.undue(src); err != nil {
		return nil, err
	}
	src.Removed, src.Running = true, nil
	src.Removal = &layout.Removal{Sequence: t.sequence, At: t.at, Purged: d.Purged || d.DestroyedAfter == nil}
	if !src.Removal.Purged {
		after := d.DestroyedAfter.UTC()
		src.Removal.DestroyedAfter = &after
	}
	t.changeDocument()
	if err := t.keepRemoved(); err != nil {
		return nil, err
	}
	return n, t.count(-1)
}

// count adds to the number of sources of the owner.
func (t *Batch) count(by int) error {
	a := t.source.v.Address
	scope, err := t.scopes.get(t.db, t.key(layout.KeyScope, a.Organization, a.Workspace, a.Owner))
	if err != nil {
		return err
	}
	scope.v.Count += uint64(by)
	t.scopes.touch(scope)
	return nil
}

// alive reports whether the current event is about an existing source.
func (t *Batch) alive() bool { return t.source.exists && !t.source.v.Removed }

// changeDocument schedules writing the source's document after the event is
// applied.
func (t *Batch) changeDocument() {
	t.document = true
	t.source.v.UpdatedAt = t.at
	t.source.exists = true
}

// writeDocument writes the source's document as it is after this event, as the
// current one and, unless only what is live in it has changed, as a version of its
// history.
func (t *Batch) writeDocument() error {
	src := &t.source.v
	a := src.Address
	scope, err := t.scopes.get(t.db, t.key(layout.KeyScope, a.Organization, a.Workspace, a.Owner))
	if err != nil {
		return err
	}
	scope.v.Version = t.sequence
	t.scopes.touch(scope)
	if src.Removed {
		t.documents[string(layout.CurrentKey(src))] = &document{gone: true}
		return t.out.Set(layout.HistoryKey(src, t.sequence), nil)
	}
	k := t.key(layout.KeyCurrent, a.Organization, a.Workspace, a.Owner)
	k = layout.PutText(layout.PutSequence(k, src.CreatedSequence), a.Source)
	doc := t.documents[string(k)]
	if doc == nil {
		doc = &document{}
		t.documents[string(k)] = doc
	}
	doc.gone, doc.v = false, layout.AppendSourceDocument(doc.v[:0], src)
	if !t.document {
		return nil
	}
	k[0] = layout.KeyHistory
	return t.out.Set(layout.PutNewest(k, t.sequence), doc.v)
}

// compact returns the JSON without white space, or fallback if there is none.
func compact(raw json.RawMessage, fallback string) (json.RawMessage, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage(fallback), nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
