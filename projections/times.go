package projections

import (
	"errors"
	"sort"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"headwater/projections/layout"
)

// SequenceAt returns the sequence of the last event at or before a time. A read
// as of that sequence returns what a client saw then. It returns 0 for a time
// before the first event. The times are those that events carry, to the
// millisecond, so the answer is as exact as the writers' clocks agree.
func (s *Store) SequenceAt(at time.Time) (sequence uint64, err error) {
	db, done, err := s.using()
	if err != nil {
		return 0, err
	}
	defer done()
	span, millisecond := layout.SpanOf(at)
	wanted := layout.SpanKey(nil, span)
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{layout.KeyTime}, UpperBound: layout.After(wanted)})
	if err != nil {
		return 0, s.fault(err)
	}
	defer s.finish(it, &err)
	for ok := it.Last(); ok; ok = it.Prev() {
		v, err := it.ValueAndErr()
		if err != nil {
			return 0, s.fault(err)
		}
		found, err := layout.DecodeMoments(v)
		if err != nil {
			return 0, s.fault(errors.Join(ErrDamaged, err))
		}
		end := len(found)
		if string(it.Key()) == string(wanted) {
			end = sort.Search(end, func(i int) bool { return found[i].Millisecond > millisecond })
		}
		if end > 0 {
			return found[end-1].Sequence, nil
		}
	}
	return 0, s.fault(it.Error())
}
