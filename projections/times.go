package projections

import (
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// timeKey orders moments, also those before 1970, by the millisecond.
func timeKey(at time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyTime}, uint64(at.UnixMilli())^1<<63)
}

// SequenceAt returns the sequence of the last event of that moment or, if there
// was none, of the moment before it that has one: what to read as of to be told
// what a client was told then. It returns 0 for a time before the first event.
// Times are those that the events carry, to the millisecond; where the clocks
// of the writers disagree, so do the answers, by as much.
func (s *Store) SequenceAt(at time.Time) (sequence uint64, err error) {
	db, done, err := s.using()
	if err != nil {
		return 0, err
	}
	defer done()
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyTime}, UpperBound: timeKey(at.Add(time.Millisecond))})
	if err != nil {
		return 0, s.fault(err)
	}
	defer s.finish(it, &err)
	if !it.Last() {
		return 0, s.fault(it.Error())
	}
	v, err := it.ValueAndErr()
	return getSequence(v), s.fault(err)
}
