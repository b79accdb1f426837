package records

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions of this file walk JSON that encoding/json has found valid.
// They return parts of it as the source wrote them, without decoding numbers.

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// endOf returns where the value that begins at i ends.
func endOf(b []byte, i int) int {
	if i >= len(b) {
		return i
	}
	switch b[i] {
	case '"':
		return endOfString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				i = endOfString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	return i
}

func endOfString(b []byte, i int) int {
	const lows, highs = 0x0101010101010101, 0x8080808080808080
	for i++; i < len(b); {
		for i+8 <= len(b) {
			word := binary.LittleEndian.Uint64(b[i:])
			quote, slash := word^'"'*lows, word^'\\'*lows
			if found := ((quote-lows)&^quote | (slash-lows)&^slash) & highs; found != 0 {
				i += bits.TrailingZeros64(found) / 8 // the lowest is exact
				break
			}
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i < len(b) && b[i] == '"' {
			return i + 1
		}
		i += 2
	}
	return len(b)
}

// Fields yields the keys and raw values of a valid JSON object, in its order.
// Both are valid until the next step and must not be changed.
func Fields(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		i := space(object, 0)
		if i >= len(object) || object[i] != '{' {
			return
		}
		for i = space(object, i+1); i < len(object) && object[i] == '"'; {
			end := endOf(object, i)
			key := Unquote(object[i:end])
			i = space(object, space(object, end)+1)
			end = endOf(object, i)
			if !yield(key, object[i:end]) {
				return
			}
			i = space(object, space(object, end)+1)
		}
	}
}

// Elements yields the raw values of a valid JSON array.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i := space(array, 0)
		if i >= len(array) || array[i] != '[' {
			return
		}
		for i = space(array, i+1); i < len(array) && array[i] != ']'; {
			end := endOf(array, i)
			if !yield(array[i:end]) {
				return
			}
			i = space(array, space(array, end)+1)
		}
	}
}

// Field returns the raw value at a dotted path of keys, or nil.
func Field(object []byte, path ...string) []byte {
next:
	for _, key := range path {
		for k, v := range Fields(object) {
			if string(k) == key {
				object = v
				continue next
			}
		}
		return nil
	}
	return object
}

// Unquote returns the text of a valid JSON string. What is no string it
// returns as it is. Half of a surrogate pair, which is no character, comes out
// as bytes that are not UTF-8, so that it is refused like them and not replaced.
func Unquote(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return raw
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return unquote(make([]byte, 0, len(inner)), inner)
}

// unquote appends what is between the quotes of a string as text.
func unquote(text, inner []byte) []byte {
	for i := 0; i < len(inner); {
		if inner[i] != '\\' || i+1 == len(inner) {
			next := bytes.IndexByte(inner[i+1:], '\\')
			if next < 0 {
				return append(text, inner[i:]...)
			}
			text = append(text, inner[i:i+1+next]...)
			i += 1 + next
			continue
		}
		if inner[i+1] != 'u' {
			text = append(text, unescaped(inner[i+1]))
			i += 2
			continue
		}
		r, n := rune(hex4(inner[i+2:])), 6
		if low := inner[min(i+6, len(inner)):]; utf16.IsSurrogate(r) && len(low) > 1 && low[0] == '\\' && low[1] == 'u' {
			if pair := utf16.DecodeRune(r, rune(hex4(low[2:]))); pair != utf8.RuneError {
				r, n = pair, 12
			}
		}
		if utf16.IsSurrogate(r) {
			text = append(text, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
		} else {
			text = utf8.AppendRune(text, r)
		}
		i = min(i+n, len(inner))
	}
	return text
}

// unescaped returns the character that a one-letter escape means.
func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c // a quote, a slash, a backslash
}

// hex4 reads four hexadecimal digits, 0 where there are none.
func hex4(b []byte) uint16 {
	n, err := strconv.ParseUint(string(b[:min(4, len(b))]), 16, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
