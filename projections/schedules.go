package projections

import (
	"time"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// DueRun is a run of a source's schedule that is due and not yet decided.
type DueRun struct {
	Address event.Address
	Version int // of the schedule
	Due     time.Time
}

// DueRuns returns up to most runs that are due at a time, the longest overdue
// first, and when the first of the others is due, or the zero time if there is
// none.
func (s *Store) DueRuns(now time.Time, most int) (all []DueRun, next time.Time, err error) {
	db, done, err := s.using()
	if err != nil {
		return nil, next, err
	}
	defer done()
	it, err := s.scan(db, []byte{layout.KeyRun})
	if err != nil {
		return nil, next, err
	}
	defer s.finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		at := time.UnixMilli(int64(layout.GetSequence(it.Key()[1:]))).UTC()
		if at.After(now) || len(all) == most {
			return all, at, nil
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, next, s.fault(err)
		}
		due := DueRun{Version: int(layout.GetSequence(v)), Due: at}
		if _, err := layout.GetAddress(it.Key()[9:], &due.Address); err != nil {
			return nil, next, err
		}
		all = append(all, due)
	}
	return all, next, s.fault(it.Error())
}
