package projections

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// Source returns one source. It returns ErrNotFound if it was never connected or
// is removed.
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

// AnySource returns one source, even if it is removed. It returns ErrNotFound if
// it was never connected.
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

// SourceDoc returns the document of one source, or ErrNotFound as Source does.
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

// FindSource returns the source that has a name. If none has it, found is false,
// and incarnation is to be passed to SourceID for the next source of that name.
func (s *Store) FindSource(organization, workspace, owner, name string) (src Source, incarnation uint64, found bool, err error) {
	snapshot, done, err := s.snapshot()
	if err != nil {
		return src, 0, false, err
	}
	defer done(&err)
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

// nameAt returns which source has a name, or the zero Name if none ever had it.
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

// sourceAt reads one source as it is stored now.
func (s *Store) sourceAt(db pebble.Reader, a event.Address) (Source, error) {
	v, err := s.get(db, layout.AddressKey(layout.KeySource, a))
	if err != nil {
		return Source{}, err
	}
	src, err := layout.DecodeSource(v)
	if err != nil {
		return Source{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return src, nil
}

// SourceID returns the id of the source with that name: "src_" and 26 lower-case
// base32 letters. incarnation is the sequence of the SourceRemoved event that
// ended the previous source of the name, or 0. Nodes that connect the same name
// concurrently derive the same id.
func SourceID(organization, workspace, owner, name string, incarnation uint64) string {
	h := sha256.New()
	var size [8]byte
	for _, part := range []string{organization, workspace, owner, name} {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	binary.BigEndian.PutUint64(size[:], incarnation)
	h.Write(size[:])
	sum := h.Sum(nil)
	return "src_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}
