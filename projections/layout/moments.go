package layout

import (
	"encoding/binary"
	"errors"
	"time"
)

// Moment is one millisecond of a span and the sequence of its last event.
type Moment struct {
	Millisecond uint8
	Sequence    uint64
}

// Moments are the milliseconds of one span of 256 that have an event, sorted.
// With a key for each, these would be a quarter of all keys.
type Moments []Moment

const momentSize = 1 + 8

// SpanKey appends the key of a span. Spans sort by time, including those before
// 1970.
func SpanKey(k []byte, span int64) []byte {
	return binary.BigEndian.AppendUint64(append(k, KeyTime), uint64(span)^1<<63)
}

// SpanOf returns the span of 256 milliseconds that contains a time, and the
// millisecond within it.
func SpanOf(at time.Time) (span int64, millisecond uint8) {
	ms := at.UnixMilli()
	return ms >> 8, uint8(ms)
}

// EncodeMoments appends the value of a SpanKey. Its error is always nil.
func EncodeMoments(b []byte, m *Moments) ([]byte, error) {
	for _, at := range *m {
		b = binary.BigEndian.AppendUint64(append(b, at.Millisecond), at.Sequence)
	}
	return b, nil
}

// DecodeMoments reverses EncodeMoments. It fails if b was not made by it.
func DecodeMoments(b []byte) (m Moments, err error) {
	if len(b)%momentSize != 0 {
		return nil, errors.New("moments of another size")
	}
	for ; len(b) > 0; b = b[momentSize:] {
		m = append(m, Moment{b[0], binary.BigEndian.Uint64(b[1:])})
	}
	return m, nil
}
