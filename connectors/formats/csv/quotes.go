package csv

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"headwater/connectors/formats/input"
)

// A CSV file can be divided at the ends of records, and its parts read as files of
// their own.

// Divisible reports whether parts of the file read as the whole does.
func (f *File) Divisible() bool { return f.loose == nil && f.skips == nil }

// Start returns how many bytes stand before the header or first row, behind the
// mark of an encoding.
func (f *File) Start() int64 { return int64(f.skip) }

// Quotes returns what follows the quotes of the file from its start on.
func (f *File) Quotes() *Quotes { return &Quotes{quote: f.quote, comma: f.comma, last: '\n'} }

// Fingerprint writes what a part of the file is read by.
func (f *File) Fingerprint(w io.Writer) {
	fmt.Fprintf(w, "%d %d %t %q %q", f.comma, f.quote, f.header, f.names, f.nulls)
}

// Part returns the file as one that holds a part alone. first says that it is the
// one with the header. before counts the rows before it, to say which row of the
// file is wrong.
func (f *File) Part(in *input.Input, first bool, before func() (int64, error)) *File {
	part := *f
	part.input, part.done, part.before = in, 0, before
	part.header = f.header && first
	return &part
}

// Quotes follows the quotes of a CSV text, to tell which newlines end a record. The
// zero value is a text without quotes.
type Quotes struct {
	quote, comma byte // quote 0 is none
	Open         bool // inside of a quoted field
	Wrong        bool // a field has a quote and does not begin with one
	last         byte // that was passed
}

// Pass goes over a piece of the text, eight bytes at a time.
func (q *Quotes) Pass(b []byte) {
	if q.quote == 0 || len(b) == 0 {
		return
	}
	i, quote := 0, uint64(q.quote)*lows
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:]) ^ quote
		// The high bit of each byte that is zero, exactly.
		found := ^((x&^highs + ^uint64(highs)) | x) & highs
		for ; found != 0; found &= found - 1 {
			q.at(b, i+bits.TrailingZeros64(found)/8)
		}
	}
	for ; i < len(b); i++ {
		if b[i] == q.quote {
			q.at(b, i)
		}
	}
	q.last = b[len(b)-1]
}

// at passes the quote at b[i].
func (q *Quotes) at(b []byte, i int) {
	if !q.Open {
		before := q.last
		if i > 0 {
			before = b[i-1]
		}
		// Behind a quote it is the second of two, which mean one.
		q.Wrong = q.Wrong || before != q.comma && before != '\n' && before != q.quote
	}
	q.Open = !q.Open
}
