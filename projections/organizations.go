package projections

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"headwater/projections/layout"
)

// Organizations returns the organizations that have or had a source, sorted.
func (s *Store) Organizations() (all []string, err error) {
	db, done, err := s.using()
	if err != nil {
		return nil, err
	}
	defer done()
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{layout.KeyScope}, UpperBound: []byte{layout.KeyScope + 1}})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok && err == nil; {
		var organization string
		if organization, _, err = layout.GetText(it.Key()[1:]); err == nil {
			all = append(all, organization)
			ok = it.SeekGE(layout.After(layout.Key(layout.KeyScope, organization)))
		}
	}
	return all, errors.Join(err, it.Error(), it.Close())
}
