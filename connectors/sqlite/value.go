package sqlite

import (
	sqldriver "database/sql/driver"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// class is one of the five storage classes that SQLite gives a value,
// whatever its column was declared as.
type class uint8

const (
	null class = iota
	integer
	real
	textual
	blob
)

// value is one value as it is stored. bytes is valid until the next row.
type value struct {
	class class
	n     int64   // of an integer
	f     float64 // of a real
	bytes []byte  // of text and blobs
}

// valueOf returns what SQLite's own engine hands out as a value. It shares the
// memory of v.
func valueOf(v sqldriver.Value) value {
	switch v := v.(type) {
	case int64:
		return value{class: integer, n: v}
	case float64:
		return value{class: real, f: v}
	case string:
		return value{class: textual, bytes: unsafe.Slice(unsafe.StringData(v), len(v))}
	case []byte:
		return value{class: blob, bytes: v}
	}
	return value{}
}

// text returns the text form of a value: what SQLite holds as text, or a
// number's shortest digits, for which it may use scratch. A blob has none, nor
// has text that is not UTF-8.
func (v *value) text(scratch []byte) ([]byte, bool) {
	switch v.class {
	case integer:
		return strconv.AppendInt(scratch, v.n, 10), true
	case real:
		if math.IsInf(v.f, 0) { // as the sqlite3 shell prints it
			return append(scratch, map[bool]string{true: "Inf", false: "-Inf"}[v.f > 0]...), true
		}
		return strconv.AppendFloat(scratch, v.f, 'g', -1, 64), true
	case textual:
		return v.bytes, utf8.Valid(v.bytes)
	}
	return nil, false
}

// kind names the storage class for people.
func (v *value) kind() string {
	switch v.class {
	case integer:
		return "an integer"
	case real:
		return "a floating point number"
	case textual:
		if !utf8.Valid(v.bytes) {
			return "text that is not UTF-8"
		}
		return "text"
	case blob:
		return "a blob"
	}
	return "a value"
}

// weight is about how many bytes a value takes.
func (v *value) weight() int64 {
	if v.class >= textual {
		return int64(len(v.bytes)) + 4
	}
	return 8
}
