package layout

import (
	"encoding/binary"
	"errors"
	"time"
)

// Moment is one millisecond of 256 and the last event of it.
type Moment struct {
	Millisecond uint8
	Sequence    uint64
}

// Moments are those of 256 milliseconds that have an event, in their order. A key
// for each of them would be a quarter of all keys.
type Moments []Moment

const momentSize = 1 + 8

// SpanKey orders spans of 256 milliseconds, also those before 1970.
func SpanKey(k []byte, span int64) []byte {
	return binary.BigEndian.AppendUint64(append(k, KeyTime), uint64(span)^1<<63)
}

// SpanOf returns the span of 256 milliseconds that a time lies in, and which of
// them it is.
func SpanOf(at time.Time) (span int64, millisecond uint8) {
	ms := at.UnixMilli()
	return ms >> 8, uint8(ms)
}

// EncodeMoments appends what lies under a SpanKey. It never fails.
func EncodeMoments(b []byte, m *Moments) ([]byte, error) {
	for _, at := range *m {
		b = binary.BigEndian.AppendUint64(append(b, at.Millisecond), at.Sequence)
	}
	return b, nil
}

// DecodeMoments reverses EncodeMoments; an error says that b is none of its.
func DecodeMoments(b []byte) (m Moments, err error) {
	if len(b)%momentSize != 0 {
		return nil, errors.New("moments of another size")
	}
	for ; len(b) > 0; b = b[momentSize:] {
		m = append(m, Moment{b[0], binary.BigEndian.Uint64(b[1:])})
	}
	return m, nil
}
