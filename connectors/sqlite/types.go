package sqlite

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/records"
	"headwater/connectors/sqlite/btree"
)

// declaration is what a declared type says. SQLite does not enforce it.
type declaration uint8

const (
	asIs declaration = iota
	isInteger
	isReal
	isText
	isBlob
	isBoolean
	isDate
	isTimestamp
	isJSON
)

// declaredAs reads a declared type, by SQLite's rules of affinity and the names
// that other databases have made usual.
func declaredAs(s string) declaration {
	s = strings.ToUpper(s)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(s, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("BOOL"):
		return isBoolean
	case has("TIMESTAMP", "DATETIME"):
		return isTimestamp
	case s == "DATE":
		return isDate
	case has("JSON"):
		return isJSON
	case has("INT"):
		return isInteger
	case has("CHAR", "CLOB", "TEXT"):
		return isText
	case has("BLOB"):
		return isBlob
	case has("REAL", "FLOA", "DOUB", "DEC", "NUM"):
		return isReal
	}
	return asIs
}

// guess finds the type that holds every value of a column unchanged.
type guess struct {
	declared declaration
	integers, reals, texts, blobs,
	wide, // an integer that a float64 would round
	notBit, notJSON bool
	nulls     bool
	key       bool // of a key: its letters count
	fractions bool // of seconds
	foreign   bool // letters beyond ASCII
	text      records.Sniffer
}

func (g *guess) value(v *btree.Value) {
	switch v.Class {
	case btree.Integer:
		g.integers = true
		g.notBit = g.notBit || v.Int != 0 && v.Int != 1
		g.wide = g.wide || v.Int > 1<<53 || v.Int < -1<<53
	case btree.Real:
		g.reals = true
	case btree.Text:
		g.texts = true
		g.foreign = g.foreign || g.key && !ascii(v.Bytes)
		switch g.declared {
		case isTimestamp:
			g.fractions = g.fractions || bytes.IndexByte(v.Bytes, '.') >= 0
			g.text.Text(midnight(v.Bytes))
		case isDate:
			g.text.Text(v.Bytes)
		case isJSON:
			g.notJSON = g.notJSON || !json.Valid(v.Bytes)
		}
	case btree.Blob:
		g.blobs = true
	case btree.Null:
		g.nulls = true
	}
}

func ascii(v []byte) bool {
	for _, c := range v {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// midnight returns the time that a date stands for in a column of times, as SQLite's
// functions take it. Other text is returned as it is.
func midnight(v []byte) []byte {
	if len(v) != len("2006-01-02") || v[4] != '-' || v[7] != '-' {
		return v
	}
	return append(append(make([]byte, 0, 19), v...), " 00:00:00"...)
}

// grain is the step between the times of a column: whole seconds unless one has a
// fraction.
func (g *guess) grain() time.Duration {
	switch g.columnType().Kind {
	case driver.Date:
		return 24 * time.Hour
	case driver.Timestamp, driver.TimestampTZ:
		if !g.fractions {
			return time.Second
		}
	}
	return 0
}

// columnType returns the type of the values if they agree, text if numbers and text are
// mixed, bytes if blobs and others are. Decimals and money are float64, because that is
// what SQLite stores. Without a value it is the declared type.
func (g *guess) columnType() driver.Type {
	numbers := g.integers || g.reals
	switch {
	case g.blobs:
		return driver.Of(driver.Bytes)
	case g.texts && numbers:
		return driver.Of(driver.String)
	case g.texts:
		return g.textType()
	case g.reals && g.wide:
		return driver.Of(driver.String)
	case g.reals:
		return driver.Of(driver.Float64)
	case g.integers:
		switch {
		case g.declared == isBoolean && !g.notBit:
			return driver.Of(driver.Boolean)
		case g.declared == isReal && !g.wide:
			return driver.Of(driver.Float64)
		}
		return driver.Of(driver.Int64)
	}
	return map[declaration]driver.Type{
		isInteger: driver.Of(driver.Int64), isReal: driver.Of(driver.Float64), isBlob: driver.Of(driver.Bytes), isBoolean: driver.Of(driver.Boolean),
		isDate: driver.Of(driver.Date), isTimestamp: driver.Of(driver.Timestamp), isJSON: driver.Of(driver.JSON),
	}[g.declared] // the zero Type is String
}

func (g *guess) textType() driver.Type {
	switch t := g.text.Type(); {
	case g.declared == isJSON && !g.notJSON:
		return driver.Of(driver.JSON)
	case t.Kind == driver.Date, t.Kind == driver.Timestamp, t.Kind == driver.TimestampTZ:
		return t
	}
	return driver.Of(driver.String)
}
