package projections

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// LandedTable is a table of a source that is in the lake.
type LandedTable struct {
	Namespace, Name string
	Landed
}

// LandedTables returns the state of each landed table, sorted by namespace and
// name. It returns ErrNotFound if the source is removed.
func (s *Store) LandedTables(a event.Address) (all []LandedTable, err error) {
	db, done, err := s.using()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := s.wasThere(db, a, 0); err != nil {
		return nil, fmt.Errorf("tables of %s: %w", a.Source, err)
	}
	prefix := layout.AddressKey(layout.KeyLanded, a)
	it, err := s.scan(db, prefix)
	if err != nil {
		return nil, err
	}
	defer s.finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		var t LandedTable
		if _, err := layout.GetTexts(it.Key()[len(prefix):], &t.Namespace, &t.Name); err != nil {
			return nil, err
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, s.fault(err)
		}
		if t.Landed, err = layout.DecodeLanded(v); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, s.fault(it.Error())
}

// Landed returns the state of one landed table, whose namespace is empty if the
// source has none. It returns ErrNotFound before the table's first sync, and if
// the source is removed.
func (s *Store) Landed(a event.Address, namespace, table string) (l Landed, err error) {
	db, done, err := s.using()
	if err != nil {
		return l, err
	}
	defer done()
	if err = s.wasThere(db, a, 0); err == nil {
		var v []byte
		if v, err = s.get(db, layout.Key(layout.KeyLanded, a.Organization, a.Workspace, a.Owner, a.Source, namespace, table)); err == nil {
			return layout.DecodeLanded(v)
		}
	}
	return l, fmt.Errorf("table %s of %s: %w", table, a.Source, err)
}

// PlacedTable is a table that has landed, and whose it is.
type PlacedTable struct {
	Address         event.Address
	Namespace, Name string
}

// LandedFrom returns up to so many landed tables of all sources, in the order of their
// keys from a place on, "" for the first, and the place behind them, "" when there
// are no more. Sources that are removed may be among them.
func (s *Store) LandedFrom(from string, most int) (tables []PlacedTable, next string, err error) {
	db, done, err := s.using()
	if err != nil {
		return nil, "", err
	}
	defer done()
	prefix := []byte{layout.KeyLanded}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: append(prefix, from...), UpperBound: layout.After(prefix)})
	if err != nil {
		return nil, "", s.fault(err)
	}
	defer s.finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		if len(tables) == most {
			return tables, string(it.Key()[1:]), nil
		}
		var t PlacedTable
		rest, err := layout.GetAddress(it.Key()[1:], &t.Address)
		if err == nil {
			_, err = layout.GetTexts(rest, &t.Namespace, &t.Name)
		}
		if err != nil {
			return nil, "", err
		}
		tables = append(tables, t)
	}
	return tables, "", s.fault(it.Error())
}

// located returns the document of a schema's table with the table's storage
// location, as its last commit reported it. A table without a commit is returned
// unchanged. It updates places, a hash of the locations.
func (s *Store) located(db pebble.Reader, a event.Address, doc []byte, places *uint64) ([]byte, error) {
	var table struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	}
	if err := json.Unmarshal(doc, &table); err != nil {
		return nil, fmt.Errorf("%w: table of a schema: %w", ErrDamaged, err)
	}
	v, err := s.get(db, layout.Key(layout.KeyLanded, a.Organization, a.Workspace, a.Owner, a.Source, table.Namespace, table.Name))
	if errors.Is(err, ErrNotFound) {
		return doc, nil
	}
	if err != nil {
		return nil, err
	}
	l, err := layout.DecodeLanded(v)
	if err != nil || l.Location == "" {
		return doc, err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(l.Location)) // never fails
	*places = *places*31 + h.Sum64()
	o := layout.Extend(append(make([]byte, 0, len(doc)+len(l.Location)+32), doc...))
	o.Text("location", l.Location)
	return o.End(), nil
}
