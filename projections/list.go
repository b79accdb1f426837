package projections

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
	"headwater/projections/pagecache"
)

// ListQuery selects sources of one owner, in the order they were first
// connected.
type ListQuery struct {
	Organization, Workspace string
	Owner                   string // "" for scope "organization"
	Type                    string // type or connector, exactly; "" for any
	Name, Status            string // exactly; "" for any
	Search                  string // substring of the name, ignoring case
	Limit                   int    // documents per page; 0 for all
	Cursor                  string // Page.Next of the previous page
	AsOf                    uint64 // as it was after that sequence; 0 for now
	Removed                 bool   // removed sources that can be restored, instead of existing ones
}

// Size returns the number of bytes in the query's texts.
func (q ListQuery) Size() int {
	return len(q.Organization) + len(q.Workspace) + len(q.Owner) + len(q.Type) + len(q.Name) + len(q.Status) + len(q.Search) + len(q.Cursor)
}

// filter decides which sources a list includes.
type filter struct{ typ, name, status, search string }

func (q *ListQuery) filter() filter {
	return filter{q.Type, q.Name, q.Status, strings.ToLower(q.Search)}
}

func (f *filter) match(texts [5][]byte) bool {
	if f.typ != "" && string(texts[2]) != f.typ && string(texts[3]) != f.typ {
		return false
	}
	return (f.name == "" || string(texts[1]) == f.name) &&
		(f.status == "" || string(texts[4]) == f.status) &&
		(f.search == "" || strings.Contains(strings.ToLower(string(texts[1])), f.search))
}

// List returns source documents in the order in which the sources were first
// connected. It returns ErrBadCursor for a cursor of another query and ErrFuture
// for a sequence that is not applied yet. The cost of a page is proportional to
// its size, except that filters other than Name read on to the next match.
// Recent unchanged pages come from a cache. The caller must not change the
// page's JSON.
func (s *Store) List(q ListQuery) (Page, error) {
	// The version does not change when a purge takes away a removed source.
	if q.AsOf != 0 || q.Name != "" || q.Removed {
		return s.list(q)
	}
	position := s.position.Load()
	version, _, err := s.ListVersion(q.Organization, q.Workspace, q.Owner)
	if err != nil {
		return Page{}, err
	}
	k := pagecache.Key{Query: q, Version: version}
	answer, epoch := s.pages.Get(k)
	if page, ok := answer.(Page); ok {
		page.Sequence = position
		return page, nil
	}
	page, err := s.list(q)
	if err == nil {
		s.pages.Put(k, epoch, page, len(page.JSON)+len(page.Next))
	}
	return page, err
}

// list reads a page from the database.
func (s *Store) list(q ListQuery) (Page, error) {
	out := []byte{'['}
	page, err := s.walk(q, func(_ string, doc []byte) error {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, doc...)
		return nil
	})
	page.JSON = append(out, ']')
	return page, err
}

// Sources returns the sources of a list, decoded, and the cursor of the next
// page. It returns ErrFuture if AsOf is not 0.
func (s *Store) Sources(q ListQuery) (all []Source, next string, err error) {
	if q.AsOf != 0 {
		return nil, "", fmt.Errorf("sources: %w", ErrFuture)
	}
	var ids []string
	page, err := s.walk(q, func(id string, _ []byte) error { ids = append(ids, id); return nil })
	if err != nil {
		return nil, "", err
	}
	for _, id := range ids {
		src, err := s.AnySource(event.Address{Organization: q.Organization, Workspace: q.Workspace, Owner: q.Owner, Source: id})
		if errors.Is(err, ErrNotFound) || err == nil && (src.Removed != q.Removed || q.Removed && !src.Restorable()) { // changed since the list was read
			continue
		}
		if err != nil {
			return nil, "", err
		}
		all = append(all, src)
	}
	return all, page.Next, nil
}

// walk calls add for each source of the page.
func (s *Store) walk(q ListQuery, add func(id string, doc []byte) error) (page Page, err error) {
	db, done, err := s.using()
	if err != nil {
		return page, err
	}
	defer done()
	page.Sequence = s.position.Load()
	if q.AsOf > page.Sequence {
		return page, fmt.Errorf("list as of %d: %w", q.AsOf, ErrFuture)
	}
	bound := binding("list", q.Organization, q.Workspace, q.Owner, q.Type, q.Name, q.Status, q.Search, q.AsOf, q.Removed)
	place, err := readCursor(q.Cursor, bound)
	if err != nil {
		return page, fmt.Errorf("list: %w", err)
	}
	f := q.filter()
	visit := func(suffix, v []byte) (more bool, err error) {
		head, doc, err := layout.Unframe(v)
		if err != nil {
			return false, err
		}
		texts, err := layout.ReadListHead(head)
		if err != nil || !f.match(texts) {
			return true, err
		}
		if q.Limit > 0 && page.Count == q.Limit {
			page.Next = makeCursor(bound, place)
			return false, nil
		}
		page.Count++
		place = append(place[:0], suffix...)
		return true, add(string(texts[0]), doc)
	}
	switch {
	case q.Removed:
		err = s.walkCurrent(db, layout.KeyRemoved, q, place, visit)
	case q.AsOf != 0:
		err = s.walkHistory(db, q, place, visit)
	case q.Name != "":
		err = s.walkName(db, q, place, visit)
	default:
		err = s.walkCurrent(db, layout.KeyCurrent, q, place, visit)
	}
	return page, err
}

// walkCurrent visits every source after place whose key has the prefix
// KeyCurrent or KeyRemoved.
func (s *Store) walkCurrent(db pebble.Reader, under byte, q ListQuery, place []byte, visit func(suffix, v []byte) (bool, error)) (err error) {
	prefix := layout.Key(under, q.Organization, q.Workspace, q.Owner)
	it, err := s.scan(db, prefix)
	if err != nil {
		return err
	}
	defer s.finish(it, &err)
	start := prefix
	if place != nil {
		start = append(append(start[:len(start):len(start)], place...), 0)
	}
	for ok := it.SeekGE(start); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return s.fault(err)
		}
		if more, err := visit(it.Key()[len(prefix):], v); err != nil || !more {
			return err
		}
	}
	return s.fault(it.Error())
}

// walkName visits the one source that has the name. It scans all sources only if
// a second one may have the name.
func (s *Store) walkName(db *pebble.DB, q ListQuery, place []byte, visit func(suffix, v []byte) (bool, error)) (err error) {
	snapshot := db.NewSnapshot()
	defer s.finish(snapshot, &err)
	entry, err := s.nameAt(snapshot, q.Organization, q.Workspace, q.Owner, q.Name)
	if err == nil && entry.Shared {
		return s.walkCurrent(snapshot, layout.KeyCurrent, q, place, visit)
	}
	if err != nil || entry.ID == "" || q.Cursor != "" {
		return err
	}
	v, err := s.currentDoc(snapshot, event.Address{Organization: q.Organization, Workspace: q.Workspace, Owner: q.Owner, Source: entry.ID})
	if err != nil {
		return err
	}
	_, err = visit(nil, v)
	return err
}

// walkHistory visits the version at q.AsOf of every source after place. The
// versions of a source are stored newest first, so each source costs one or two
// seeks.
func (s *Store) walkHistory(db pebble.Reader, q ListQuery, place []byte, visit func(suffix, v []byte) (bool, error)) (err error) {
	prefix := layout.Key(layout.KeyHistory, q.Organization, q.Workspace, q.Owner)
	it, err := s.scan(db, prefix)
	if err != nil {
		return err
	}
	defer s.finish(it, &err)
	start := prefix
	if place != nil {
		start = pastGroup(append(start[:len(start):len(start)], place...))
	}
	for ok := it.SeekGE(start); ok; {
		k := it.Key()
		if layout.GetSequence(k[len(prefix):]) > q.AsOf { // created later, and so were all that follow
			return nil
		}
		group := append([]byte(nil), k[:len(k)-8]...)
		if ^layout.GetSequence(k[len(k)-8:]) > q.AsOf {
			if ok = it.SeekGE(layout.PutNewest(group, q.AsOf)); !ok {
				break
			}
			if k = it.Key(); string(k[:len(k)-8]) != string(group) {
				continue
			}
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return s.fault(err)
		}
		if len(v) > 0 {
			if more, err := visit(group[len(prefix):], v); err != nil || !more {
				return err
			}
		}
		ok = it.SeekGE(pastGroup(group))
	}
	return s.fault(it.Error())
}

// pastGroup returns the first key after all versions of a source.
func pastGroup(group []byte) []byte {
	return append(layout.PutNewest(group[:len(group):len(group)], 0), 0)
}

// ListVersion returns the sequence of the last event that changed a source
// document of the owner, and the number of sources. An unfiltered list changes
// exactly when the version does. Both are 0 if the owner never had a source.
func (s *Store) ListVersion(organization, workspace, owner string) (version uint64, count int, err error) {
	db, done, err := s.using()
	if err != nil {
		return 0, 0, err
	}
	defer done()
	scope, err := s.versionOf(db, organization, workspace, owner)
	if errors.Is(err, ErrNotFound) {
		return 0, 0, nil
	}
	return scope.Version, int(scope.Count), err
}

// versionOf returns the version of an owner's sources and their number.
func (s *Store) versionOf(db pebble.Reader, organization, workspace, owner string) (layout.Scope, error) {
	v, err := s.get(db, layout.Key(layout.KeyScope, organization, workspace, owner))
	if err != nil {
		return layout.Scope{}, err
	}
	return layout.DecodeScope(v)
}
