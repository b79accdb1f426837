package projections

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// connected applies a new version of a source's configuration.
func (t *turn) connected(d *event.SourceConnected) (*news, error) {
	n := &news{name: d.Name, result: func(r *Result) {
		r.Connector, r.ConfigVersion, r.Unchanged = d.Connector, d.ConfigVersion, d.Unchanged
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
		*src = Source{Address: d.Address(), CreatedAt: t.at, CreatedSequence: t.sequence}
	}
	if !alive {
		if err := t.revive(); err != nil {
			return nil, err
		}
	}
	if err := t.rename(src.Name, d.Name); err != nil {
		return nil, err
	}
	src.Name, src.Type, src.Connector = d.Name, d.Type, d.Connector
	if src.Sync, err = keptOptions(d.Sync); err != nil {
		return nil, err
	}
	src.Config, src.Metadata, src.SecretRef, src.ConfigVersion = config, metadata, d.SecretRef, d.ConfigVersion
	if src.Status = StatusConnected; src.Running != nil {
		src.Status = StatusSyncing
	}
	t.changeDocument()
	return n, nil
}

// keptOptions returns sync options as a source keeps them, nil for none.
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

// rename makes a name lead to the source at hand.
func (t *turn) rename(before, now string) error {
	a := t.source.v.Address
	if before != "" && before != now {
		old, err := t.names.get(t.db, t.key(layout.KeyName, a.Organization, a.Workspace, a.Owner, before))
		if err != nil {
			return err
		}
		if old.v.ID == a.Source {
			// The next source of the name gets another id than this one keeps.
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

// removed ends a source. What is known of its past stays readable as of then.
func (t *turn) removed(d *event.SourceRemoved) (*news, error) {
	n := &news{name: d.Name, status: StatusCompleted, result: func(r *Result) { r.Purged, r.DestroyedAfter = d.Purged, d.DestroyedAfter }}
	src := &t.source.v
	if !t.source.exists || src.Removed {
		return n, nil
	}
	if err := t.supersede(StatusCancelled, event.ReasonSourceRemoved, "the source was removed"); err != nil {
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
	src.Removed, src.Running = true, nil
	src.Removal = &Removal{Sequence: t.sequence, At: t.at, Purged: d.Purged || d.DestroyedAfter == nil}
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
func (t *turn) count(by int) error {
	a := t.source.v.Address
	scope, err := t.scopes.get(t.db, t.key(layout.KeyScope, a.Organization, a.Workspace, a.Owner))
	if err != nil {
		return err
	}
	scope.v.Count += uint64(by)
	t.scopes.touch(scope)
	return nil
}

// alive reports whether the event at hand is about a source that is there.
func (t *turn) alive() bool { return t.source.exists && !t.source.v.Removed }

// changeDocument has the source's document written once the event is applied.
func (t *turn) changeDocument() {
	t.document = true
	t.source.v.UpdatedAt = t.at
	t.source.exists = true
}

// writeDocument writes the source's document as it is after this event, as the
// current one and as a version of its history.
func (t *turn) writeDocument() error {
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
		return t.batch.Set(layout.HistoryKey(src, t.sequence), nil, nil)
	}
	k := t.key(layout.KeyCurrent, a.Organization, a.Workspace, a.Owner)
	k = layout.PutText(layout.PutSequence(k, src.CreatedSequence), a.Source)
	doc := t.documents[string(k)]
	if doc == nil {
		doc = &document{}
		t.documents[string(k)] = doc
	}
	doc.gone, doc.v = false, layout.AppendSourceDocument(doc.v[:0], src)
	k[0] = layout.KeyHistory
	return t.batch.Set(layout.PutNewest(k, t.sequence), doc.v, nil)
}

// Source returns what is known of one source. It returns ErrNotFound for one
// that was never connected or was removed.
func (s *Store) Source(a event.Address) (Source, error) {
	db, done, err := s.using()
	if err != nil {
		return Source{}, err
	}
	defer done()
	src, err := s.sourceAt(db, a)
	if err == nil && src.Removed {
		err = ErrNotFound
	}
	if err != nil {
		return Source{}, fmt.Errorf("source %s: %w", a.Source, err)
	}
	return src, nil
}

// AnySource is Source for one that was removed, too: it returns ErrNotFound only
// for one that was never connected.
func (s *Store) AnySource(a event.Address) (Source, error) {
	db, done, err := s.using()
	if err != nil {
		return Source{}, err
	}
	defer done()
	src, err := s.sourceAt(db, a)
	if err != nil {
		return Source{}, fmt.Errorf("source %s: %w", a.Source, err)
	}
	return src, nil
}

// SourceDoc returns the document of one source, ErrNotFound as Source does.
func (s *Store) SourceDoc(a event.Address) ([]byte, error) {
	db, done, err := s.using()
	if err != nil {
		return nil, err
	}
	defer done()
	doc, err := s.currentDoc(db, a)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", a.Source, err)
	}
	_, doc, err = layout.Unframe(doc)
	return doc, err
}

// currentDoc returns the framed document of one source.
func (s *Store) currentDoc(db pebble.Reader, a event.Address) ([]byte, error) {
	created, removed, err := s.createdAt(db, a)
	if err == nil && removed {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return s.get(db, layout.CurrentKey(&Source{Address: a, CreatedSequence: created}))
}

// createdAt returns the head of a source without decoding the rest.
func (s *Store) createdAt(db pebble.Reader, a event.Address) (created uint64, removed bool, err error) {
	v, err := s.get(db, layout.AddressKey(layout.KeySource, a))
	if err != nil {
		return 0, false, err
	}
	head, _, err := layout.Unframe(v)
	if err == nil && len(head) < 9 {
		err = fmt.Errorf("%w: short source", ErrDamaged)
	}
	if err != nil {
		return 0, false, err
	}
	return layout.GetSequence(head), head[8] != 0, nil
}

// FindSource returns the source that has a name. Where none has it, found is
// false and incarnation goes into the SourceID of the next one.
func (s *Store) FindSource(organization, workspace, owner, name string) (src Source, incarnation uint64, found bool, err error) {
	db, done, err := s.using()
	if err != nil {
		return src, 0, false, err
	}
	defer done()
	snapshot := db.NewSnapshot()
	defer s.finish(snapshot, &err)
	entry, err := s.nameAt(snapshot, organization, workspace, owner, name)
	if err != nil || entry.ID == "" {
		return src, entry.Incarnation, false, err
	}
	src, err = s.sourceAt(snapshot, event.Address{Organization: organization, Workspace: workspace, Owner: owner, Source: entry.ID})
	if err != nil {
		return src, 0, false, fmt.Errorf("source named %q: %w", name, err)
	}
	return src, entry.Incarnation, true, nil
}

// nameAt returns who has a name, the zero entry if nobody ever had.
func (s *Store) nameAt(db pebble.Reader, organization, workspace, owner, name string) (layout.Name, error) {
	v, err := s.get(db, layout.Key(layout.KeyName, organization, workspace, owner, name))
	if errors.Is(err, ErrNotFound) {
		return layout.Name{}, nil
	}
	if err != nil {
		return layout.Name{}, err
	}
	return layout.DecodeName(v)
}

// compact returns JSON without white space, fallback for nothing.
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
