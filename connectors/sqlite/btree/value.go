package btree

import (
	sqldriver "database/sql/driver"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// Class is one of the five storage classes that SQLite gives a value,
// whatever its column was declared as.
type Class uint8

// The storage classes.
const (
	Null Class = iota
	Integer
	Real
	Text
	Blob
)

// Value is one value as it is stored. Bytes is valid until the next row.
type Value struct {
	Class Class
	Int   int64   // of an integer
	Float float64 // of a real
	Bytes []byte  // of text and blobs
}

// ValueOf returns what SQLite's own engine hands out as a value. It shares the
// memory of v.
func ValueOf(v sqldriver.Value) Value {
	switch v := v.(type) {
	case int64:
		return Value{Class: Integer, Int: v}
	case float64:
		return Value{Class: Real, Float: v}
	case string:
		return Value{Class: Text, Bytes: unsafe.Slice(unsafe.StringData(v), len(v))}
	case []byte:
		return Value{Class: Blob, Bytes: v}
	}
	return Value{}
}

// Text returns the text form of a value: what SQLite holds as text, or a
// number's shortest digits, for which it may use scratch. A blob has none, nor
// has text that is not UTF-8.
func (v *Value) Text(scratch []byte) ([]byte, bool) {
	switch v.Class {
	case Integer:
		return strconv.AppendInt(scratch, v.Int, 10), true
	case Real:
		if math.IsInf(v.Float, 0) { // as the sqlite3 shell prints it
			return append(scratch, map[bool]string{true: "Inf", false: "-Inf"}[v.Float > 0]...), true
		}
		return strconv.AppendFloat(scratch, v.Float, 'g', -1, 64), true
	case Text:
		return v.Bytes, utf8.Valid(v.Bytes)
	}
	return nil, false
}

// Kind names the storage class for people.
func (v *Value) Kind() string {
	switch v.Class {
	case Integer:
		return "an integer"
	case Real:
		return "a floating point number"
	case Text:
		if !utf8.Valid(v.Bytes) {
			return "text that is not UTF-8"
		}
		return "text"
	case Blob:
		return "a blob"
	}
	return "a value"
}

// Weight is about how many bytes a value takes.
func (v *Value) Weight() int64 {
	if v.Class >= Text {
		return int64(len(v.Bytes)) + 4
	}
	return 8
}
