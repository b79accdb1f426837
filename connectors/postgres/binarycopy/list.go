package binarycopy

import "bytes"

// ElemKind is how an element of an array is written in JSON, as the server's to_json
// does it.
type ElemKind uint8

// What the elements of a list are.
const (
	ElemString ElemKind = iota
	ElemNumber          // a number where it has the form of one
	ElemBool
	ElemJSON      // as it is
	ElemTimestamp // with a T
	ElemInstant   // with a T and the minutes of its zone
	ElemMoney     // a number
)

// maxDimensions bounds the nesting of an array, as the server does.
const maxDimensions = 6

// appendList appends the text of an array as a JSON list, of lists where there are
// more dimensions. Bounds are not kept.
func appendList(to, v []byte, f Form) ([]byte, error) {
	if len(v) > 0 && v[0] == '[' {
		at := bytes.IndexByte(v, '=')
		if at < 0 {
			return to, ErrMalformed
		}
		v = v[at+1:]
	}
	l := lister{to: to, v: v, f: f, delim: f.Delim}
	if l.delim == 0 {
		l.delim = ','
	}
	if err := l.list(1); err != nil || l.at != len(v) {
		return to, ErrMalformed
	}
	return l.to, nil
}

// lister reads the text of an array.
type lister struct {
	to, v   []byte
	at      int
	f       Form
	delim   byte
	scratch []byte
}

func (l *lister) peek() byte {
	if l.at < len(l.v) {
		return l.v[l.at]
	}
	return 0
}

func (l *lister) list(depth int) error {
	if depth > maxDimensions || l.peek() != '{' {
		return ErrMalformed
	}
	l.at++
	l.to = append(l.to, '[')
	if l.peek() == '}' {
		l.at++
		l.to = append(l.to, ']')
		return nil
	}
	for {
		if err := l.element(depth); err != nil {
			return err
		}
		next := l.peek()
		l.at++
		switch next {
		case l.delim:
			l.to = append(l.to, ',')
		case '}':
			l.to = append(l.to, ']')
			return nil
		default:
			return ErrMalformed
		}
	}
}

func (l *lister) element(depth int) error {
	switch l.peek() {
	case '{':
		return l.list(depth + 1)
	case '"':
		l.scratch = l.scratch[:0]
		for l.at++; l.at < len(l.v); l.at++ {
			switch c := l.v[l.at]; c {
			case '"':
				l.at++
				return l.value(l.scratch)
			case '\\':
				if l.at++; l.at == len(l.v) {
					return ErrMalformed
				}
				l.scratch = append(l.scratch, l.v[l.at])
			default:
				l.scratch = append(l.scratch, c)
			}
		}
		return ErrMalformed
	}
	from := l.at
	for l.at < len(l.v) && l.v[l.at] != l.delim && l.v[l.at] != '}' {
		l.at++
	}
	v := l.v[from:l.at]
	if len(v) == 0 {
		return ErrMalformed
	}
	if view(v) == "NULL" {
		l.to = append(l.to, "null"...)
		return nil
	}
	return l.value(v)
}

// value appends an element's text.
func (l *lister) value(v []byte) error {
	switch l.f.Elem {
	case ElemNumber:
		if isNumber(v) {
			l.to = append(l.to, v...)
			return nil
		}
	case ElemBool:
		switch view(v) {
		case "t":
			l.to = append(l.to, "true"...)
		case "f":
			l.to = append(l.to, "false"...)
		default:
			return ErrMalformed
		}
		return nil
	case ElemJSON:
		l.to = append(l.to, v...)
		return nil
	case ElemMoney:
		amount, err := appendAmount(nil, v, l.f.Scale)
		l.to = append(l.to, amount...)
		return err
	case ElemTimestamp, ElemInstant:
		v = isoTime(v, l.f.Elem == ElemInstant)
	}
	l.to = appendString(l.to, v)
	return nil
}

// isoTime writes a point in time as JSON has it: 2024-01-01T10:00:00+00:00.
func isoTime(v []byte, zoned bool) []byte {
	at := bytes.IndexByte(v, ' ')
	if at < 0 { // infinity
		return v
	}
	out := append(append(append(make([]byte, 0, len(v)+3), v[:at]...), 'T'), v[at+1:]...)
	if !zoned {
		return out
	}
	rest, before := bytes.CutSuffix(out, []byte(" BC"))
	out = append(rest, ":00"...) // the zone is UTC: +00
	if before {
		out = append(out, " BC"...)
	}
	return out
}

// isNumber reports whether text is a number in JSON.
func isNumber(v []byte) bool {
	digits := func() bool {
		n := 0
		for len(v) > 0 && v[0]-'0' <= 9 {
			v, n = v[1:], n+1
		}
		return n > 0
	}
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	if len(v) > 1 && v[0] == '0' && v[1]-'0' <= 9 || !digits() {
		return false
	}
	if len(v) > 0 && v[0] == '.' {
		if v = v[1:]; !digits() {
			return false
		}
	}
	if len(v) > 0 && (v[0] == 'e' || v[0] == 'E') {
		if v = v[1:]; len(v) > 0 && (v[0] == '+' || v[0] == '-') {
			v = v[1:]
		}
		if !digits() {
			return false
		}
	}
	return len(v) == 0
}

// appendString appends text in quotes, with the escapes that the server has.
func appendString(to, v []byte) []byte {
	const hexDigits = "0123456789abcdef"
	to = append(to, '"')
	for _, c := range v {
		switch {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c == '\b':
			to = append(to, '\\', 'b')
		case c == '\f':
			to = append(to, '\\', 'f')
		case c == '\n':
			to = append(to, '\\', 'n')
		case c == '\r':
			to = append(to, '\\', 'r')
		case c == '\t':
			to = append(to, '\\', 't')
		case c < ' ':
			to = append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}
