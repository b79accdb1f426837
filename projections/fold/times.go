package fold

import (
	"slices"

	"headwater/projections/layout"
)

// moment records that the current event is the last one of its millisecond.
func (t *Batch) moment() error {
	span, millisecond := layout.SpanOf(t.at)
	if t.moments == nil || span != t.span {
		var room [16]byte
		var err error
		if t.moments, err = t.times.get(t.db, layout.SpanKey(room[:0], span)); err != nil {
			return err
		}
		t.span = span
	}
	m := t.moments.v
	i := len(m)
	for i > 0 && m[i-1].Millisecond > millisecond {
		i--
	}
	if i > 0 && m[i-1].Millisecond == millisecond {
		m[i-1].Sequence = t.sequence
	} else {
		t.moments.v = slices.Insert(m, i, layout.Moment{Millisecond: millisecond, Sequence: t.sequence})
	}
	t.times.touch(t.moments)
	return nil
}
