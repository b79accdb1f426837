package records

import (
	"bytes"
	"io"
	"math"
)

// JSON has no number that is not finite, and many a program writes them all the
// same. In a document that is let through they are text in a spelling that no
// program uses, so that what is around them stays JSON and they are told from
// text that says the same.
var nonFinite = [...]struct {
	word, text string
	value      float64
}{
	{"NaN", `"\u004ea\u004e"`, math.NaN()},
	{"Infinity", `"\u0049nfinity"`, math.Inf(1)},
	{"-Infinity", `"-\u0049nfinity"`, math.Inf(-1)},
}

// IsNonFinite reports whether a raw JSON value is what NonFinite made of NaN,
// Infinity or -Infinity.
func IsNonFinite(raw []byte) bool {
	_, ok := parseNonFinite(raw)
	return ok
}

func parseNonFinite(raw []byte) (float64, bool) {
	if len(raw) < 14 || len(raw) > 16 || raw[1] != '\\' && raw[1] != '-' {
		return 0, false
	}
	for _, n := range nonFinite {
		if string(raw) == n.text {
			return n.value, true
		}
	}
	return 0, false
}

// NonFinite returns a reader of r's JSON in which NaN, Infinity and -Infinity
// are null, or text that Shape and Rows take for those numbers.
func NonFinite(r io.Reader, null bool) io.Reader { return &nonFiniteReader{r: r, null: null} }

type nonFiniteReader struct {
	r        io.Reader
	null     bool
	in, out  []byte // what was read but not looked at, and what was but is not yet given away
	buffer   [32 << 10]byte
	inString bool
	escaped  bool
	err      error
}

func (t *nonFiniteReader) Read(p []byte) (int, error) {
	for len(t.out) == 0 {
		if t.err != nil && len(t.in) == 0 {
			return 0, t.err
		}
		if t.err == nil {
			var n int
			n, t.err = t.r.Read(t.buffer[:])
			t.in = append(t.in, t.buffer[:n]...)
		}
		t.translate()
	}
	n := copy(p, t.out)
	t.out = t.out[n:]
	return n, nil
}

// translate looks at what was read, but for a word at its end that may go on.
func (t *nonFiniteReader) translate() {
	t.out = t.out[:0]
	i := 0
next:
	for i < len(t.in) {
		c := t.in[i]
		if t.inString {
			switch {
			case t.escaped:
				t.escaped = false
			case c == '\\':
				t.escaped = true
			case c == '"':
				t.inString = false
			}
		} else if c == '"' {
			t.inString = true
		} else if c == 'N' || c == 'I' || c == '-' {
			rest := t.in[i:]
			for _, n := range nonFinite {
				if bytes.HasPrefix(rest, []byte(n.word)) {
					if t.null {
						t.out = append(t.out, "null"...)
					} else {
						t.out = append(t.out, n.text...)
					}
					i += len(n.word)
					continue next
				}
				if t.err == nil && len(rest) < len(n.word) && n.word[:len(rest)] == string(rest) {
					break next
				}
			}
		}
		t.out = append(t.out, c)
		i++
	}
	t.in = append(t.in[:0], t.in[i:]...)
}
