package iceberg

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names in the catalog are of letters and digits of any script, "-" and "_".
// Every other character is written as SQL/XML (ISO/IEC 9075-14) writes it in a
// name: "_x", its code in four or six capital hexadecimal digits, "_". So is an
// underscore before an "x", another underscore or an escape, and at the end of a
// name. Read from the left, neither an escape nor a joint is ever mistaken.

// joint separates a table's schema from its name, and the name of a source from
// what distinguishes it from another source of that name.
const joint = "__"

// raw is the first of the codes that stand for bytes that are not UTF-8.
const raw = 0xDC00

var errName = errors.New("not a name of the catalog")

func plain(r rune) bool {
	return r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// Escape returns the name that a source or table has in the catalog. It is
// injective, and its result holds a joint only where two escapes meet.
func Escape(name string) string {
	var b strings.Builder
	for at := 0; at < len(name); {
		r, size := utf8.DecodeRuneInString(name[at:])
		rest := name[at+size:]
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "_x%04X_", raw+rune(name[at]))
		case r == '_' && rest != "" && rest[0] != 'x' && rest[0] != '_' && !escapes(rest):
			b.WriteByte('_')
		case plain(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			fmt.Fprintf(&b, "_x%06X_", r)
		default:
			fmt.Fprintf(&b, "_x%04X_", r)
		}
		at += size
	}
	return b.String()
}

// escapes reports whether text begins with a character that Escape escapes, and
// that therefore starts with an underscore once escaped.
func escapes(text string) bool {
	r, size := utf8.DecodeRuneInString(text)
	return r == utf8.RuneError && size == 1 || r != '_' && !plain(r)
}

// Unescape reverses Escape. It fails for every text that Escape does not return.
func Unescape(name string) (string, error) {
	var b strings.Builder
	for at := 0; at < len(name); {
		code, size := escapeAt(name[at:])
		switch {
		case size == 0:
			_, size = utf8.DecodeRuneInString(name[at:])
			b.WriteString(name[at : at+size])
		case code >= raw && code < raw+256:
			b.WriteByte(byte(code - raw))
		default:
			b.WriteRune(code)
		}
		at += size
	}
	if text := b.String(); Escape(text) == name {
		return text, nil
	}
	return "", fmt.Errorf("%w: %q", errName, name)
}

// escapeAt returns the code of the escape at the beginning of text, and its
// length, or 0 if there is none.
func escapeAt(text string) (code rune, size int) {
	if !strings.HasPrefix(text, "_x") {
		return 0, 0
	}
	for _, digits := range []int{4, 6} {
		if size = 2 + digits + 1; len(text) >= size && text[size-1] == '_' {
			if n, err := strconv.ParseUint(text[2:2+digits], 16, 32); err == nil {
				return rune(n), size
			}
		}
	}
	return 0, 0
}

// TableName returns the name of a table in the catalog: its own, preceded by its
// schema or database at the source, if it has one.
func TableName(schema, name string) string {
	if schema == "" {
		return Escape(name)
	}
	return Escape(schema) + joint + Escape(name)
}

// ParseTableName reverses TableName. It fails for every text that TableName does
// not return.
func ParseTableName(text string) (schema, name string, err error) {
	before, after, both := cut(text)
	if !both {
		name, err = Unescape(text)
		return "", name, err
	}
	if schema, err = Unescape(before); err != nil || schema == "" {
		return "", "", fmt.Errorf("%w: %q", errName, text)
	}
	name, err = Unescape(after)
	return schema, name, err
}

// cut splits a text at the first joint that is neither within nor between
// escapes.
func cut(text string) (before, after string, found bool) {
	for at := 0; at < len(text); {
		if _, size := escapeAt(text[at:]); size > 0 {
			at += size
			continue
		}
		if strings.HasPrefix(text[at:], joint) {
			return text[:at], text[at+len(joint):], true
		}
		at++
	}
	return text, "", false
}
