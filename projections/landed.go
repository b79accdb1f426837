package projections

import (
	"headwater/bus/event"
	"headwater/projections/layout"

	"github.com/cockroachdb/pebble/v2"
)

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
		rest := it.Key()[1:]
		for _, part := range []*string{&t.Address.Organization, &t.Address.Workspace, &t.Address.Owner, &t.Address.Source, &t.Namespace, &t.Name} {
			if *part, rest, err = layout.GetText(rest); err != nil {
				return nil, "", err
			}
		}
		tables = append(tables, t)
	}
	return tables, "", s.fault(it.Error())
}
