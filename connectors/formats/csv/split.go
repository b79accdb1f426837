package csv

import (
	"bytes"
	"errors"
	"io"

	"headwater/connectors/driver"
)

// splitter cuts a CSV stream into blocks that end at the end of a record, so
// that blocks can be decoded independently. The end of a record is a newline
// with an even number of quotes before it: counting and searching bytes is
// several times faster than decoding them.
//
// A quote in the wrong place turns the parity round and makes the cuts wrong,
// but only after the place where a decoder, which sees the blocks in order,
// reports it.
type splitter struct {
	r     io.Reader
	quote byte // 0 is none
	size  int  // of a block
	max   int  // of a record
	carry []byte
	done  bool
	free  chan []byte // blocks to use again

	keep   bool   // blocks are recycled by who has seen their results, not by who decodes them
	unread []byte // a block that nobody took
	err    error  // that ended the stream, if not io.EOF
}

// errLongRow reports a record over the limit.
var errLongRow = errors.New("row too long")

func newSplitter(r io.Reader, quote byte, limits driver.Limits) *splitter {
	return &splitter{r: r, quote: quote, size: int(min(max(limits.BatchBytes, 64<<10), 4<<20)), max: int(limits.MaxRowBytes), free: make(chan []byte, 8)}
}

// next returns the next block, or io.EOF. With errLongRow it returns the
// unfinished block too, because what is wrong is likely a quote in it.
func (s *splitter) next() ([]byte, error) {
	if s.done {
		return nil, io.EOF
	}
	var b []byte
	select {
	case b = <-s.free:
	default:
	}
	if cap(b) < s.size+len(s.carry) {
		b = make([]byte, s.size+len(s.carry))
	}
	b = append(b[:0], s.carry...)
	s.carry = s.carry[:0]
	for {
		var err error
		b, err = fill(s.r, b)
		if err == io.EOF {
			s.done = true
			if len(b) == 0 {
				return nil, io.EOF
			}
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		if end := s.cut(b); end > 0 {
			s.carry = append(s.carry[:0], b[end:]...)
			return b[:end], nil
		}
		if len(b) > s.max {
			s.done = true
			return b, errLongRow
		}
		b = append(b, make([]byte, len(b))...)[:len(b)]
	}
}

// fill reads until b is full. Unlike io.ReadFull it returns io.EOF with what
// came before the end, so that it differs from the io.ErrUnexpectedEOF of a
// decompressor whose stream is cut off.
func fill(r io.Reader, b []byte) ([]byte, error) {
	for len(b) < cap(b) {
		n, err := r.Read(b[len(b):cap(b)])
		if b = b[:len(b)+n]; err != nil {
			return b, err
		}
	}
	return b, nil
}

// cut returns where the last whole record ends, or 0.
func (s *splitter) cut(b []byte) int {
	if s.quote == 0 {
		return bytes.LastIndexByte(b, '\n') + 1
	}
	quotes := bytes.Count(b, []byte{s.quote})
	end := len(b)
	for {
		at := bytes.LastIndexByte(b[:end], '\n')
		if at < 0 {
			return 0
		}
		quotes -= bytes.Count(b[at:end], []byte{s.quote})
		if quotes%2 == 0 {
			return at + 1
		}
		end = at
	}
}

// recycle takes a block back that nothing refers to any more.
func (s *splitter) recycle(b []byte) {
	select {
	case s.free <- b:
	default:
	}
}

// rest returns what follows in the stream after blocks that were taken from it, in
// which those come first. The splitter must not be in use.
func (s *splitter) rest(taken [][]byte) io.Reader {
	var parts []io.Reader
	for _, b := range append(taken, s.unread, s.carry) {
		parts = append(parts, bytes.NewReader(b))
	}
	if s.err != nil {
		return io.MultiReader(append(parts, failing{s.err})...)
	}
	return io.MultiReader(append(parts, s.r)...)
}

// failing is a stream that is broken.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
