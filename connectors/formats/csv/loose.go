package csv

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"headwater/connectors/driver"
)

// writing is how a CSV text is written where that is more than RFC 4180 and the
// decoder know: delimiters of several bytes, escapes, comments, carriage returns
// that end lines, spaces around quotes, quotes amid fields. The text is written
// anew for the decoder, with delimiters and quotes that no text has.
type writing struct {
	delimiter string
	quote     byte // 0 is none
	escape    byte // beside a doubled quote; 0 is none
	comment   string
	cr        bool // a carriage return alone ends a line

	cells   []cell
	scratch []byte
	loose   bool // something that the decoder refuses was read
}

// What the decoder is given instead of delimiters and quotes.
const (
	plainComma = 0x1f
	plainQuote = 0x1e
)

var (
	errMore      = errors.New("the record goes on")
	errBackslash = errors.New(`a backslash before a quote; set connection_config.escape to "\\" if it belongs to the quote, or connection_config.quote to "" if quotes mean nothing`)
)

// end returns the length of the line end at b[p:], or 0. It returns errMore where
// that depends on what follows.
func (w *writing) end(b []byte, p int, last bool) (int, error) {
	switch {
	case p == len(b):
		return 0, nil
	case b[p] == '\n':
		return 1, nil
	case b[p] != '\r':
		return 0, nil
	case p+1 == len(b):
		if !last {
			return 0, errMore
		}
		return 1, nil
	case b[p+1] == '\n':
		return 2, nil
	case w.cr:
		return 1, nil
	}
	return 0, nil
}

// next takes the record at the beginning of b apart and returns its length with
// its line end. An empty line and a comment have no cells. It returns errMore if
// the record may go on behind b, which it may not when b is the last.
func (w *writing) next(b []byte, last bool) (int, error) {
	w.cells, w.scratch = w.cells[:0], w.scratch[:0]
	if w.comment != "" && bytes.HasPrefix(b, []byte(w.comment)) {
		return w.line(b, last)
	}
	if n, err := w.end(b, 0, last); n > 0 || err != nil {
		return n, err
	}
	for p := 0; ; {
		var err error
		if q := w.quoteAt(b, p); q >= 0 {
			w.loose = w.loose || q > p
			p, err = w.quoted(b, q+1, last)
		} else {
			p, err = w.unquoted(b, p, last)
		}
		if err != nil {
			return p, err
		}
		if p == len(b) {
			if !last {
				return p, errMore
			}
			return p, nil
		}
		if n, err := w.end(b, p, last); n > 0 || err != nil {
			return p + n, err
		}
		p += len(w.delimiter)
	}
}

// line returns the length of the line at the beginning of b.
func (w *writing) line(b []byte, last bool) (int, error) {
	for p := range b {
		if b[p] == '\n' || b[p] == '\r' {
			if n, err := w.end(b, p, last); n > 0 || err != nil {
				return p + n, err
			}
		}
	}
	if !last {
		return len(b), errMore
	}
	return len(b), nil
}

// quoteAt returns where the quote is that a field begins with, perhaps behind
// spaces, or -1.
func (w *writing) quoteAt(b []byte, p int) int {
	if w.quote == 0 {
		return -1
	}
	p = w.spaces(b, p)
	if p < len(b) && b[p] == w.quote {
		return p
	}
	return -1
}

// delimited reports whether a delimiter is at b[p:], which is not empty.
func (w *writing) delimited(b []byte, p int) bool {
	d := w.delimiter
	return b[p] == d[0] && (len(d) == 1 || len(b)-p >= len(d) && string(b[p:p+len(d)]) == d)
}

// spaces returns where what follows spaces begins.
func (w *writing) spaces(b []byte, p int) int {
	for p < len(b) && (b[p] == ' ' || b[p] == '\t') && !w.delimited(b, p) {
		p++
	}
	return p
}

// quoted reads a field behind its opening quote.
func (w *writing) quoted(b []byte, p int, last bool) (int, error) {
	mark := len(w.scratch)
	for {
		n := bytes.IndexByte(b[p:], w.quote)
		if w.escape != 0 {
			n = bytes.IndexAny(b[p:], string([]byte{w.quote, w.escape}))
			if w.quote >= 0x80 || w.escape >= 0x80 {
				n = slices.IndexFunc(b[p:], func(c byte) bool { return c == w.quote || c == w.escape })
			}
		}
		if n < 0 || p+n+1 == len(b) && !last {
			if !last {
				return len(b), errMore
			}
			return len(b), errOpenQuote
		}
		w.scratch = append(w.scratch, b[p:p+n]...)
		p += n
		var after byte
		if p+1 < len(b) {
			after = b[p+1]
		}
		switch {
		case b[p] == w.quote && after == w.quote:
			w.scratch = append(w.scratch, w.quote)
			p += 2
			continue
		case b[p] == w.escape && w.escape != 0 && b[p] != w.quote:
			if p+1 < len(b) && (after == w.quote || after == w.escape) {
				w.scratch = append(w.scratch, after)
				p += 2
			} else {
				w.scratch = append(w.scratch, b[p])
				p++
			}
			continue
		}
		break
	}
	w.cells = append(w.cells, cell{text: w.scratch[mark:len(w.scratch):len(w.scratch)], quoted: true})
	q := w.spaces(b, p+1)
	w.loose = w.loose || q > p+1
	if q == len(b) || w.delimited(b, q) {
		return q, nil
	}
	if n, err := w.end(b, q, last); n > 0 || err != nil {
		return q, err
	}
	if b[p-1] == '\\' && w.escape == 0 {
		return q, errBackslash
	}
	return q, errAfterEnd
}

// unquoted reads a field that does not begin with a quote.
func (w *writing) unquoted(b []byte, start int, last bool) (int, error) {
	mark, from := len(w.scratch), start
	for p := start; ; p++ {
		ended := p == len(b) || w.delimited(b, p)
		if !ended && (b[p] == '\n' || b[p] == '\r') {
			n, err := w.end(b, p, last)
			if err != nil {
				return p, err
			}
			ended = n > 0
		}
		switch {
		case ended:
			text := b[start:p]
			if from > start {
				w.scratch = append(w.scratch, b[from:p]...)
				text = w.scratch[mark:len(w.scratch):len(w.scratch)]
			}
			w.cells = append(w.cells, cell{text: text})
			return p, nil
		case w.escape != 0 && b[p] == w.escape:
			if p+1 == len(b) && !last {
				return p, errMore
			}
			if p+1 < len(b) && w.special(b[p+1:]) {
				w.scratch = append(w.scratch, b[from:p]...)
				from = p + 1
				p++
			}
		case w.quote != 0 && b[p] == w.quote:
			if w.loose = true; p > start && b[p-1] == '\\' && w.escape == 0 {
				return p, errBackslash
			}
		}
	}
}

// special reports whether an escape before b means what b begins with.
func (w *writing) special(b []byte) bool {
	return b[0] == w.quote && w.quote != 0 || b[0] == w.escape || b[0] == '\n' || b[0] == '\r' || w.delimited(b, 0)
}

// encode appends a record as the decoder reads it.
func encode(out []byte, cells []cell) []byte {
	for i, c := range cells {
		if i > 0 {
			out = append(out, plainComma)
		}
		if !c.quoted && !bytes.ContainsAny(c.text, "\x1e\x1f\n\r") {
			out = append(out, c.text...)
			continue
		}
		out = append(out, plainQuote)
		for rest := c.text; ; {
			before, after, more := bytes.Cut(rest, []byte{plainQuote})
			if out = append(out, before...); !more {
				break
			}
			out = append(out, plainQuote, plainQuote)
			rest = after
		}
		out = append(out, plainQuote)
	}
	return append(out, '\n')
}

// looseReader writes a text anew.
type looseReader struct {
	writing
	r    io.Reader
	name string
	max  int   // bytes of a record
	rows int64 // records read, without the header
	skip *allSkips

	raw  []byte // read, and not taken apart from at on
	at   int
	last bool
	out  []byte
	give []byte // of out
}

func (l *looseReader) Read(p []byte) (int, error) {
	for len(l.give) == 0 {
		l.out = l.out[:0]
		for len(l.out) < 64<<10 {
			if err := l.record(); err == io.EOF && len(l.out) > 0 {
				break
			} else if err != nil {
				return 0, err
			}
		}
		l.give = l.out
	}
	n := copy(p, l.give)
	l.give = l.give[n:]
	return n, nil
}

// record takes one record.
func (l *looseReader) record() error {
	for {
		rest := l.raw[l.at:]
		if len(rest) == 0 && l.last {
			return io.EOF
		}
		n, err := 0, errMore
		if len(rest) > 0 {
			n, err = l.next(rest, l.last)
		}
		if err == errMore && len(rest) <= l.max {
			if err := l.more(); err != nil {
				return err
			}
			continue
		}
		if err == errMore {
			err = errLongRow
		}
		if err != nil {
			return l.bad(rest, err)
		}
		comment := len(l.cells) == 0 && n > 0 && l.comment != "" && bytes.HasPrefix(rest, []byte(l.comment))
		l.at += n
		if len(l.cells) > 0 {
			l.rows++
		}
		if !comment {
			l.out = encode(l.out, l.cells)
		}
		return nil
	}
}

// bad skips the line of a record that cannot be read, where it may.
func (l *looseReader) bad(rest []byte, err error) error {
	row := l.rows + 1
	if l.skip == nil || row < 1 { // no row without a header
		if err == errLongRow {
			return driver.E(driver.ErrLimit, nil, "%s, row %d is longer than %d bytes; a quote may be missing", l.name, row, l.max)
		}
		return driver.E(driver.ErrBadData, nil, "%s, row %d: %v", l.name, row, err)
	}
	n, lerr := l.line(rest, l.last)
	if lerr == errMore {
		return driver.E(driver.ErrLimit, nil, "%s, row %d is longer than %d bytes; a quote may be missing", l.name, row, l.max)
	}
	l.skip.add(row, err.Error())
	l.rows++
	l.at += n
	return nil
}

// more reads on.
func (l *looseReader) more() error {
	l.raw = append(l.raw[:0], l.raw[l.at:]...)
	l.at = 0
	n := len(l.raw)
	l.raw = slices.Grow(l.raw, max(256<<10, n))
	read, err := l.r.Read(l.raw[n:cap(l.raw)])
	l.raw = l.raw[:n+read]
	if l.last = err == io.EOF; err != nil && !l.last {
		return err
	}
	return nil
}
