package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep a request may nest.
const maxDepth = 32

// parseJSON reads exactly one JSON value, or returns the problem without quoting
// it. It refuses a second value, a duplicate key and too deep nesting, because
// readers disagree about these.
func parseJSON(body []byte) (any, *Problem) {
	wrong := func(format string, args ...any) (any, *Problem) {
		return nil, &Problem{"body", fmt.Sprintf(format, args...)}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return wrong("is empty; send a JSON object")
	}
	if !utf8.Valid(body) {
		return wrong("is not UTF-8")
	}
	if halfCharacter(body) {
		return wrong("holds half of a character: a \\ud800 to \\udfff stands in a pair, high then low")
	}
	if d := walkJSON(body); d != nil {
		return nil, d
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return wrong("holds a number that is too large")
	}
	if _, object := value.(map[string]any); !object {
		return wrong("must be a JSON object")
	}
	return value, nil
}

// walkJSON checks the tokens one by one.
func walkJSON(body []byte) *Problem {
	type level struct {
		keys  map[string]bool // of an object; nil for an array
		isKey bool            // the next token is a key
	}
	var levels []level
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	wrong := func(format string, args ...any) *Problem {
		return &Problem{"body", fmt.Sprintf(format, args...)}
	}
	for values := 0; ; {
		token, err := d.Token()
		if err == io.EOF && len(levels) == 0 {
			return nil
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return wrong("is not valid JSON: it ends too early")
		}
		if err != nil {
			return wrong("is not valid JSON at byte %d", d.InputOffset()+1)
		}
		if len(levels) == 0 {
			if values++; values > 1 {
				return wrong("holds more than one JSON value")
			}
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			levels = levels[:len(levels)-1]
			continue
		}
		if n := len(levels); n > 0 && levels[n-1].keys != nil {
			if levels[n-1].isKey {
				key, _ := token.(string)
				if levels[n-1].keys[key] {
					return wrong("holds the key %q twice in one object", Printable(key))
				}
				levels[n-1].keys[key], levels[n-1].isKey = true, false
				continue
			}
			levels[n-1].isKey = true
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{keys: map[string]bool{}, isKey: true})
		case json.Delim('['):
			levels = append(levels, level{})
		}
		if len(levels) > maxDepth {
			return wrong("nests deeper than %d levels", maxDepth)
		}
	}
}

// halfCharacter reports whether a string holds an unpaired surrogate. JSON
// readers silently replace it, so the name stored would differ from the one
// sent.
func halfCharacter(body []byte) bool {
	unit := func(at int) rune {
		if at+6 > len(body) || body[at] != '\\' || body[at+1] != 'u' {
			return 0
		}
		n, err := strconv.ParseUint(string(body[at+2:at+6]), 16, 16)
		if err != nil {
			return 0
		}
		return rune(n)
	}
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case !utf16.IsSurrogate(u):
			i++ // skips the escaped character, which may be a backslash
		case utf16.DecodeRune(u, unit(i+6)) == utf8.RuneError:
			return true
		default:
			i += 11
		}
	}
	return false
}
