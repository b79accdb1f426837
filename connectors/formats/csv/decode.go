package csv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
)

// cell is one field of a CSV record.
type cell struct {
	text   []byte
	quoted bool
}

// What can be wrong with a record.
var (
	errBareQuote = errors.New("a quote in a field that does not begin with one; double it inside quotes, or set connection_config.quote to \"\" if quotes mean nothing")
	errOpenQuote = errors.New("a quoted field that never ends")
	errAfterEnd  = errors.New("text after the closing quote of a field; double quotes inside quoted fields")
	errNUL       = errors.New("a NUL byte")
)

// decoder takes CSV records apart, by RFC 4180, with any line end, delimiter
// and quote. Line ends inside quotes are kept as they are.
type decoder struct {
	comma, quote byte // quote 0 is none
	cells        []cell
	scratch      []byte
}

// next decodes the record at the beginning of b and returns its length with
// the line end. The cells are valid until the next call. An empty line has no
// cells.
func (d *decoder) next(b []byte) (int, error) {
	d.cells, d.scratch = d.cells[:0], d.scratch[:0]
	if n := lineEnd(b); n > 0 {
		return n, nil
	}
	for p := 0; ; {
		var err error
		if d.quote != 0 && p < len(b) && b[p] == d.quote {
			p, err = d.quotedCell(b, p+1)
		} else {
			p, err = d.plainCell(b, p)
		}
		switch {
		case err != nil:
			return p, err
		case p == len(b):
			return p, nil
		case b[p] == d.comma:
			p++
		default:
			return p + lineEnd(b[p:]), nil
		}
	}
}

// lineEnd returns the length of the line end at the beginning of b, or 0. A
// carriage return at the very end counts as one.
func lineEnd(b []byte) int {
	switch {
	case len(b) > 0 && b[0] == '\n', len(b) == 1 && b[0] == '\r':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}

// plainCell reads a field without quotes and returns where it ends.
func (d *decoder) plainCell(b []byte, start int) (int, error) {
	p := d.special(b, start)
	if p < len(b) && b[p] == d.quote && b[p] != '\n' {
		return p, errBareQuote
	}
	end := p
	if end > start && (p == len(b) || b[p] == '\n') && b[end-1] == '\r' {
		end--
	}
	d.cells = append(d.cells, cell{text: b[start:end]})
	if end < p {
		return end, nil
	}
	return p, nil
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special returns where the first delimiter, quote or newline from p on is, or
// the length of b. Fields are short: a search that is called for each of the
// three would cost more than it finds, so eight bytes are compared at once.
func (d *decoder) special(b []byte, p int) int {
	comma, quote := uint64(d.comma)*lows, uint64(d.quote)*lows
	if d.quote == 0 {
		quote = '\n' * lows
	}
	for ; p+8 <= len(b); p += 8 {
		word := binary.LittleEndian.Uint64(b[p:])
		x, y, z := word^comma, word^quote, word^'\n'*lows
		// A byte that is zero in x has its high bit set in found; one above it
		// may have it too, but the lowest is right.
		found := ((x - lows) &^ x) | ((y - lows) &^ y) | ((z - lows) &^ z)
		if found &= highs; found != 0 {
			return p + bits.TrailingZeros64(found)/8
		}
	}
	for p < len(b) && b[p] != d.comma && b[p] != '\n' && (b[p] != d.quote || d.quote == 0) {
		p++
	}
	return p
}

// quotedCell reads a field after its opening quote and returns where what
// follows its closing quote begins.
func (d *decoder) quotedCell(b []byte, start int) (int, error) {
	p, mark := start, -1
	for {
		n := bytes.IndexByte(b[p:], d.quote)
		if n < 0 {
			return len(b), errOpenQuote
		}
		p += n + 1
		if p < len(b) && b[p] == d.quote {
			if mark < 0 {
				mark = len(d.scratch)
			}
			d.scratch = append(d.scratch, b[start:p]...)
			p++
			start = p
			continue
		}
		break
	}
	text := b[start : p-1]
	if mark >= 0 {
		// Growing the scratch moves it, but earlier cells keep what they had.
		d.scratch = append(d.scratch, text...)
		text = d.scratch[mark:len(d.scratch):len(d.scratch)]
	}
	d.cells = append(d.cells, cell{text: text, quoted: true})
	if p < len(b) && b[p] != d.comma && lineEnd(b[p:]) == 0 {
		return p, errAfterEnd
	}
	return p, nil
}
