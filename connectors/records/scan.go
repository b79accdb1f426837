package records

import (
	"bytes"
	"encoding/json"
	"iter"
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
	for i++; i < len(b); {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		i += n + 1
		escapes := 0
		for j := i - 2; j >= 0 && b[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
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
// returns as it is.
func Unquote(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return raw
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return inner
	}
	return []byte(s)
}
