package projections

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// WasThere reports whether a source was connected, and not removed, at that
// sequence. It returns ErrFuture for a sequence that is not applied yet.
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

// Due is a removed source whose grace period has ended.
type Due struct {
	Address event.Address
	Removed uint64 // sequence of its SourceRemoved
}

// Due returns the removed sources whose grace period ended before that time and
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
		if _, err := layout.GetAddress(it.Key()[9:], &due.Address); err != nil {
			return nil, err
		}
		all = append(all, due)
	}
	return all, s.fault(it.Error())
}
