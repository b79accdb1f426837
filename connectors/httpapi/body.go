package httpapi

import (
	"io"
	"sync/atomic"

	"headwater/connectors/records"
)

const (
	keptBodies = 8       // that wait to be used again
	keptBytes  = 4 << 20 // that one of them may have
)

// body is the bytes of an answer, and where its records are in them. Who needs it after
// the pager has gone on takes a further use of it and ends that use later; without users
// it is filled with another answer. If a use is never ended the body is garbage, and
// nothing else happens.
type body struct {
	bytes []byte
	index records.Index
	users atomic.Int32
}

// take returns an empty body that has one user.
func (s *source) take() *body {
	b := new(body)
	select {
	case b = <-s.bodies:
		b.bytes = b.bytes[:0]
		b.index.Read(nil, nil) // of the answer before
	default:
	}
	b.users.Store(1)
	return b
}

func (b *body) keep() { b.users.Add(1) }

// letGo ends one use of b, which may be nil.
func (s *source) letGo(b *body) {
	if b == nil || b.users.Add(-1) > 0 || cap(b.bytes) > keptBytes {
		return
	}
	select {
	case s.bodies <- b:
	default:
	}
}

// read reads all of r, at most one byte more than maxPage. size is about how many bytes
// are expected.
func (b *body) read(r io.Reader, expected int64) error {
	if room := int(min(max(expected+1, 64<<10), 1<<20)); cap(b.bytes) < room {
		b.bytes = make([]byte, 0, room)
	}
	for len(b.bytes) <= maxPage {
		if len(b.bytes) == cap(b.bytes) {
			larger := make([]byte, len(b.bytes), 2*cap(b.bytes))
			copy(larger, b.bytes)
			b.bytes = larger
		}
		n, err := r.Read(b.bytes[len(b.bytes):min(cap(b.bytes), maxPage+1)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
