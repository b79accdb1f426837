package projections

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// moment is one millisecond of 256 and the last event of it.
type moment struct {
	millisecond uint8
	sequence    uint64
}

// moments are those of 256 milliseconds that have an event, in their order. A key
// for each of them would be a quarter of all keys.
type moments []moment

const momentSize = 1 + 8

// spanKey orders spans of 256 milliseconds, also those before 1970.
func spanKey(k []byte, span int64) []byte {
	return binary.BigEndian.AppendUint64(append(k, keyTime), uint64(span)^1<<63)
}

func spanOf(at time.Time) (span int64, millisecond uint8) {
	ms := at.UnixMilli()
	return ms >> 8, uint8(ms)
}

// moment notes that the event at hand is the last one of its time.
func (t *turn) moment() error {
	span, millisecond := spanOf(t.at)
	if t.moments == nil || span != t.span {
		var room [16]byte
		var err error
		if t.moments, err = t.times.get(t.db, spanKey(room[:0], span)); err != nil {
			return err
		}
		t.span = span
	}
	m := t.moments.v
	i := len(m)
	for i > 0 && m[i-1].millisecond > millisecond {
		i--
	}
	if i > 0 && m[i-1].millisecond == millisecond {
		m[i-1].sequence = t.sequence
	} else {
		t.moments.v = slices.Insert(m, i, moment{millisecond, t.sequence})
	}
	t.times.touch(t.moments)
	return nil
}

func encodeMoments(b []byte, m *moments) ([]byte, error) {
	for _, at := range *m {
		b = binary.BigEndian.AppendUint64(append(b, at.millisecond), at.sequence)
	}
	return b, nil
}

func decodeMoments(b []byte) (m moments, err error) {
	if len(b)%momentSize != 0 {
		return nil, errors.New("moments of another size")
	}
	for ; len(b) > 0; b = b[momentSize:] {
		m = append(m, moment{b[0], binary.BigEndian.Uint64(b[1:])})
	}
	return m, nil
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
	span, millisecond := spanOf(at)
	wanted := spanKey(nil, span)
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyTime}, UpperBound: after(wanted)})
	if err != nil {
		return 0, s.fault(err)
	}
	defer s.finish(it, &err)
	for ok := it.Last(); ok; ok = it.Prev() {
		v, err := it.ValueAndErr()
		if err != nil {
			return 0, s.fault(err)
		}
		found, err := decodeMoments(v)
		if err != nil {
			return 0, s.fault(errors.Join(ErrDamaged, err))
		}
		end := len(found)
		if string(it.Key()) == string(wanted) {
			end = sort.Search(end, func(i int) bool { return found[i].millisecond > millisecond })
		}
		if end > 0 {
			return found[end-1].sequence, nil
		}
	}
	return 0, s.fault(it.Error())
}
