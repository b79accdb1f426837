package projections

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
	"headwater/projections/pagecache"
)

// Schema is one version of a source's schema, decoded.
type Schema struct {
	Version      int
	Sequence     uint64 // of its SchemaDiscovered event
	DiscoveredAt time.Time
	Tables       []event.Table
	LeftOut      []event.LeftOut
}

// SchemaPage is one page of a version of a source's schema, as the API returns
// it.
type SchemaPage struct {
	JSON     []byte // the document {"source_id","version","discovered_at","tables"}
	Version  int
	Sequence uint64 // of its SchemaDiscovered event; changes exactly when the schema does
	Tables   int    // number of tables in JSON
	Places   uint64 // changes when the storage locations of the tables in JSON change
	Next     string // cursor of the next page; "" on the last
}

// SchemaQuery selects tables of one source's schema.
type SchemaQuery struct {
	Address event.Address
	Table   string // "table" or "namespace.table", exactly; "" for all
	Limit   int    // tables per page; 0 for all
	Cursor  string // SchemaPage.Next of the previous page; stays at that page's version
	AsOf    uint64 // as it was after that sequence; 0 for now
}

// Size returns the number of bytes in the query's texts.
func (q SchemaQuery) Size() int {
	a := q.Address
	return len(a.Organization) + len(a.Workspace) + len(a.Owner) + len(a.Source) + len(q.Table) + len(q.Cursor)
}

// SchemaPage returns one page of a version of a source's schema, as the API
// returns it. It returns ErrNotFound for an unknown source or one without a
// schema, ErrBadCursor for a cursor of another query, and ErrFuture for a
// sequence that is not applied yet. The cost of a page is proportional to its
// size, not to the schema's. Recent pages come from the same cache as those of
// List. The caller must not change the page's JSON.
func (s *Store) SchemaPage(q SchemaQuery) (page SchemaPage, err error) {
	if q.AsOf != 0 {
		return s.schemaPage(q)
	}
	a := q.Address
	version, _, err := s.ListVersion(a.Organization, a.Workspace, a.Owner)
	if err != nil {
		return page, err
	}
	k := pagecache.Key{Query: q, Version: version}
	answer, epoch := s.pages.Get(k)
	if page, ok := answer.(SchemaPage); ok {
		return page, nil
	}
	if page, err = s.schemaPage(q); err == nil {
		s.pages.Put(k, epoch, page, len(page.JSON)+len(page.Next))
	}
	return page, err
}

func (s *Store) schemaPage(q SchemaQuery) (page SchemaPage, err error) {
	bound := binding("schema", q.Address.Tokens(), q.Table, q.AsOf)
	place, err := readCursor(q.Cursor, bound)
	if err == nil && place != nil && len(place) != 12 {
		err = ErrBadCursor
	}
	if err != nil {
		return page, fmt.Errorf("schema of %s: %w", q.Address.Source, err)
	}
	asOf, start := q.AsOf, 0
	if place != nil {
		asOf, start = layout.GetSequence(place), int(binary.BigEndian.Uint32(place[8:]))
	}
	var located error
	err = s.schemaAt(q.Address, q.AsOf, asOf, func(v *schemaVersion) error {
		page.Version, page.Sequence = v.version, v.sequence
		page.JSON, err = layout.WithArray(v.doc, "tables", func(add func([]byte)) error {
			return v.tables(s, q.Table, start, func(index int, table []byte) bool {
				if q.Limit > 0 && page.Tables == q.Limit {
					page.Next = makeCursor(bound, layout.PutIndex(layout.PutSequence(nil, v.sequence), index))
					return false
				}
				page.Tables++
				if q.AsOf == 0 && located == nil {
					table, located = s.located(v.db, q.Address, table, &page.Places)
				}
				add(table)
				return true
			})
		})
		return errors.Join(err, located)
	})
	return page, err
}

// Schema returns a version of a source's schema, decoded: the latest, or the one
// at asOf if that is not 0. It fails as SchemaPage does.
func (s *Store) Schema(a event.Address, asOf uint64) (schema Schema, err error) {
	err = s.schemaAt(a, asOf, asOf, func(v *schemaVersion) error {
		schema.Version, schema.Sequence, schema.DiscoveredAt = v.version, v.sequence, v.at
		var decodeErr error
		err := v.tables(s, "", 0, func(_ int, doc []byte) bool {
			var table event.Table
			decodeErr = json.Unmarshal(doc, &table)
			schema.Tables = append(schema.Tables, table)
			return decodeErr == nil
		})
		if err == nil && decodeErr == nil {
			var head struct {
				LeftOut []event.LeftOut `json:"left_out"`
			}
			decodeErr = json.Unmarshal(v.doc, &head)
			schema.LeftOut = head.LeftOut
		}
		return errors.Join(err, decodeErr)
	})
	return schema, err
}

// maxRemarks is the most entries in each part of Remarks.
const maxRemarks = 100

// Remarks are what the user of a newly connected source should know.
type Remarks struct {
	LeftOut []event.LeftOut // the first things that the source has and does not offer
	Notes   []string        // the first things that syncs cannot see or preserve, as "table: sentence"
}

// Remarks returns the remarks of the newest schema. It fails as SchemaPage does.
func (s *Store) Remarks(a event.Address) (r Remarks, err error) {
	err = s.schemaAt(a, 0, 0, func(v *schemaVersion) error {
		var head struct {
			LeftOut []event.LeftOut `json:"left_out"`
		}
		if err := json.Unmarshal(v.doc, &head); err != nil {
			return err
		}
		r.LeftOut = head.LeftOut[:min(len(head.LeftOut), maxRemarks)]
		var decodeErr error
		err := v.tables(s, "", 0, func(_ int, doc []byte) bool {
			if !bytes.Contains(doc, []byte(`"notes":[`)) { // as in nearly all tables of a large schema
				return true
			}
			var table event.Table
			decodeErr = json.Unmarshal(doc, &table)
			for _, note := range table.Notes {
				r.Notes = append(r.Notes, layout.Qualified(table.Namespace, table.Name)+": "+note)
			}
			return decodeErr == nil && len(r.Notes) < maxRemarks
		})
		r.Notes = r.Notes[:min(len(r.Notes), maxRemarks)]
		return errors.Join(err, decodeErr)
	})
	return r, err
}

// schemaVersion is one stored version. It is valid while schemaAt runs.
type schemaVersion struct {
	db       pebble.Reader
	it       *pebble.Iterator // over the source's schemas
	prefix   []byte           // of this version's keys
	version  int
	sequence uint64
	at       time.Time
	doc      []byte
}

// schemaAt calls use with the version at the sequence version (0 for the
// latest). It returns ErrNotFound if the source did not exist at the sequence
// asOf.
func (s *Store) schemaAt(a event.Address, asOf, version uint64, use func(*schemaVersion) error) (err error) {
	db, done, err := s.using()
	if err != nil {
		return err
	}
	defer done()
	if position := s.position.Load(); asOf > position {
		return fmt.Errorf("schema of %s as of %d: %w", a.Source, asOf, ErrFuture)
	}
	if err := s.wasThere(db, a, asOf); err != nil {
		return fmt.Errorf("schema of %s: %w", a.Source, err)
	}
	prefix := layout.AddressKey(layout.KeySchema, a)
	it, err := s.scan(db, prefix)
	if err != nil {
		return err
	}
	defer s.finish(it, &err)
	start := prefix
	if version != 0 {
		start = layout.PutNewest(prefix[:len(prefix):len(prefix)], version)
	}
	if !it.SeekGE(start) {
		return errors.Join(s.fault(it.Error()), fmt.Errorf("schema of %s: %w", a.Source, ErrNotFound))
	}
	k := it.Key()
	v, err := it.ValueAndErr()
	if err != nil {
		return s.fault(err)
	}
	head, doc, err := layout.Unframe(v)
	if err != nil || len(head) != 16 || len(k) != len(prefix)+9 {
		return errors.Join(err, fmt.Errorf("%w: head of a schema", ErrDamaged))
	}
	return use(&schemaVersion{
		db: db, it: it, prefix: append([]byte(nil), k[:len(k)-1]...),
		version: int(layout.GetSequence(head)), sequence: ^layout.GetSequence(k[len(prefix):]),
		at: time.Unix(0, int64(layout.GetSequence(head[8:]))).UTC(), doc: append([]byte(nil), doc...),
	})
}

// wasThere returns ErrNotFound unless the source was connected, and not removed,
// at that sequence (0 for now).
func (s *Store) wasThere(db pebble.Reader, a event.Address, asOf uint64) (err error) {
	created, removed, err := s.createdAt(db, a)
	if err != nil {
		return err
	}
	if asOf == 0 {
		if removed {
			return ErrNotFound
		}
		return nil
	}
	k := layout.HistoryKey(&Source{Address: a, CreatedSequence: created}, asOf)
	it, err := s.scan(db, k[:len(k)-8])
	if err != nil {
		return err
	}
	defer s.finish(it, &err)
	if !it.SeekGE(k) {
		return errors.Join(s.fault(it.Error()), ErrNotFound)
	}
	if v, err := it.ValueAndErr(); err != nil || len(v) == 0 {
		return errors.Join(s.fault(err), ErrNotFound)
	}
	return nil
}

// tables calls add with the tables from an index on, or only with those of a
// name, until add returns false.
func (v *schemaVersion) tables(s *Store, name string, from int, add func(index int, doc []byte) bool) error {
	if name != "" {
		return v.named(s, name, from, add)
	}
	prefix := append(v.prefix[:len(v.prefix):len(v.prefix)], layout.PartTable)
	for ok := v.it.SeekGE(layout.PutIndex(prefix, from)); ok; ok = v.it.Next() {
		k := v.it.Key()
		if len(k) != len(prefix)+4 || string(k[:len(prefix)]) != string(prefix) {
			break
		}
		doc, err := v.it.ValueAndErr()
		if err != nil {
			return s.fault(err)
		}
		if !add(int(binary.BigEndian.Uint32(k[len(prefix):])), doc) {
			break
		}
	}
	return s.fault(v.it.Error())
}

func (v *schemaVersion) named(s *Store, name string, from int, add func(index int, doc []byte) bool) error {
	prefix := layout.PutText(append(v.prefix[:len(v.prefix):len(v.prefix)], layout.PartName), name)
	var found []int
	for ok := v.it.SeekGE(layout.PutIndex(prefix, from)); ok; ok = v.it.Next() {
		k := v.it.Key()
		if len(k) != len(prefix)+4 || string(k[:len(prefix)]) != string(prefix) {
			break
		}
		found = append(found, int(binary.BigEndian.Uint32(k[len(prefix):])))
	}
	for _, index := range found {
		k := layout.PutIndex(append(v.prefix[:len(v.prefix):len(v.prefix)], layout.PartTable), index)
		if !v.it.SeekGE(k) || string(v.it.Key()) != string(k) {
			return errors.Join(s.fault(v.it.Error()), fmt.Errorf("%w: table %d of a schema", ErrDamaged, index))
		}
		doc, err := v.it.ValueAndErr()
		if err != nil {
			return s.fault(err)
		}
		if !add(index, doc) {
			break
		}
	}
	return s.fault(v.it.Error())
}

// SchemaHistory returns the versions of a source's schema, newest first, each
// with its diff, its cause and its sync. A refresh that found nothing new writes the same
// version again, which the first of its events tells. It fails as SchemaPage does, except
// that a source without a schema has an empty history.
func (s *Store) SchemaHistory(a event.Address, limit int, cursor string) (Page, error) {
	what := "schema history of " + a.Source
	paged := pageQuery{what: what, bound: binding("history", a.Tokens()), cursor: cursor, place: 8, limit: limit}
	return s.pageOf(paged, func(db pebble.Reader, place []byte, add func(place, doc []byte) bool) (err error) {
		if err := s.wasThere(db, a, 0); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		prefix := layout.AddressKey(layout.KeySchema, a)
		it, err := s.scan(db, prefix)
		if err != nil {
			return err
		}
		defer s.finish(it, &err)
		var of struct {
			Version int `json:"version"`
		}
		var newest, first []byte // of the events of one version: the place of one, the entry of the other
		last, more := 0, true
		for ok := it.SeekGE(append(prefix[:len(prefix):len(prefix)], place...)); ok && more; {
			version := append([]byte(nil), it.Key()[:len(prefix)+8]...)
			if !it.SeekGE(append(version, layout.PartEntry)) {
				break
			}
			entry, err := it.ValueAndErr()
			if err == nil {
				err = json.Unmarshal(entry, &of)
			}
			if err != nil {
				return s.fault(err)
			}
			if of.Version != last {
				more = newest == nil || add(newest, first)
				newest, last = version[len(prefix):], of.Version
			}
			first = append([]byte(nil), entry...)
			ok = it.SeekGE(append(version, layout.PartEnd))
		}
		if more && newest != nil {
			add(newest, first)
		}
		return s.fault(it.Error())
	})
}
