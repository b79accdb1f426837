package event

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// scanner reads JSON in the form that Encode writes: compact, with the fields of
// an object in the order of the struct. At anything else it gives up (bad), and
// encoding/json decodes the payload. It takes a fifth of the time and allocates
// only what it returns; strings share the memory of s.
type scanner struct {
	s   string
	i   int
	bad bool
}

// take skips c if it is next, and reports whether it was.
func (p *scanner) take(c byte) bool {
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *scanner) want(c byte) {
	if !p.take(c) {
		p.bad = true
	}
}

func (p *scanner) null() bool {
	if strings.HasPrefix(p.s[p.i:], "null") {
		p.i += 4
		return true
	}
	return false
}

// field skips the name of a field and the colon, if the next field has that
// name.
func (p *scanner) field(name string) bool {
	if p.bad || p.i >= len(p.s) {
		return false
	}
	i, first := p.i, p.s[p.i-1] == '{' // i > 0, because an object was opened
	if !first {
		if p.s[i] != ',' {
			return false
		}
		i++
	}
	end := i + 1 + len(name)
	if end+2 > len(p.s) || p.s[i] != '"' || p.s[i+1:end] != name || p.s[end] != '"' || p.s[end+1] != ':' {
		return false
	}
	p.i = end + 2
	return true
}

// longBody is the size up to which strings may point into a body: a string that
// is kept keeps all of it.
const longBody = 16 << 10

// quoted reads a string.
func (p *scanner) quoted() string {
	if p.want('"'); p.bad {
		return ""
	}
	start, plain := p.i, true
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '"':
			text := p.s[start:p.i]
			p.i++
			if !plain && !utf8.ValidString(text) {
				p.bad = true
				return ""
			}
			if len(p.s) > longBody {
				return strings.Clone(text)
			}
			return text
		case c == '\\':
			return p.escaped(start - 1)
		case c < 0x20:
			p.bad = true
			return ""
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	p.bad = true
	return ""
}

// escaped reads the string that begins at start and has an escape at i.
func (p *scanner) escaped(start int) (text string) {
	for ; p.i < len(p.s) && p.s[p.i] != '"'; p.i++ {
		if p.s[p.i] == '\\' {
			p.i++
		}
	}
	if p.want('"'); p.bad || json.Unmarshal([]byte(p.s[start:p.i]), &text) != nil {
		p.bad = true
	}
	return text
}

// integer reads a number without fraction or exponent.
func (p *scanner) integer() int64 {
	start := p.i
	p.take('-')
	digits := p.i
	for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
		p.i++
	}
	if p.i > digits+1 && p.s[digits] == '0' { // JSON forbids leading zeros
		p.bad = true
	}
	n, err := strconv.ParseInt(p.s[start:p.i], 10, 64)
	if err != nil {
		p.bad = true
	}
	return n
}

func (p *scanner) truth() bool {
	switch rest := p.s[p.i:]; {
	case strings.HasPrefix(rest, "true"):
		p.i += 4
		return true
	case strings.HasPrefix(rest, "false"):
		p.i += 5
	default:
		p.bad = true
	}
	return false
}

func (p *scanner) integerRef() *int64 {
	n := p.integer()
	return &n
}

func (p *scanner) timeRef() *time.Time {
	start := p.i
	p.quoted()
	at := new(time.Time)
	if p.bad || at.UnmarshalJSON([]byte(p.s[start:p.i])) != nil {
		p.bad = true
	}
	return at
}

// raw reads any value and returns its bytes unchanged.
func (p *scanner) raw() json.RawMessage {
	start, depth := p.i, 0
	for p.i < len(p.s) && !p.bad {
		switch p.s[p.i] {
		case '"':
			p.quoted()
			if depth == 0 {
				return p.valid(start)
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				p.i++
				return p.valid(start)
			}
		}
		if depth <= 0 { // a bare literal, or no value
			break
		}
		p.i++
	}
	p.bad = true
	return nil
}

func (p *scanner) valid(start int) json.RawMessage {
	raw := json.RawMessage(p.s[start:p.i])
	if !json.Valid(raw) {
		p.bad = true
	}
	return raw
}

// list reads an array; nil for null.
func list[T any](p *scanner, read func(*scanner, *T)) []T {
	if p.bad || p.null() {
		return nil
	}
	if p.want('['); p.take(']') || p.bad {
		return []T{}
	}
	var all []T
	for {
		var v T
		if read(p, &v); p.bad {
			return nil
		}
		if all = append(all, v); p.take(',') {
			continue
		}
		p.want(']')
		return all
	}
}

func readText(p *scanner, v *string) { *v = p.quoted() }

func readInteger(p *scanner, v *int64) { *v = p.integer() }
