package records

import (
	"headwater/connectors/driver"
	"headwater/connectors/values"
)

// Sniffer finds the narrowest type that holds every value it has seen, without
// changing one: "007" stays text, an integer over 64 bits becomes a decimal,
// and a fraction that a float64 would round becomes a decimal too. UUIDs,
// times of day and anything unsure stay text. The zero Sniffer is ready.
//
// A number in text is its value and how it is written. So texts are float64 if
// they are all in the one form of some program that writes floats: 1.5 and 2, or
// 1.5 and 2.0, or 1.5e-07. They are decimals if they all have as many digits
// after the point: 1.10 and 2.50. Others, such as 1.9 beside 1.10, or 12E5, are
// no numbers that would give them back, and stay text.
type Sniffer struct {
	seen    bool
	cannot  kinds
	integer int // most digits before the point, of numbers
	scale   int // most after it
	forms   forms
}

// kinds is a set of types that are ruled out.
type kinds uint8

const (
	notBoolean kinds = 1 << iota
	notInt64
	notFloat64
	notDecimal
	notDate
	notTimestamp
	notTimestampTZ
	text7 = 1<<iota - 1 // everything but text
)

// Text takes one text into account. A NULL is not given to it.
func (s *Sniffer) Text(v []byte) { s.take(v, true) }

// Number takes a number of JSON into account, for which only its value counts.
func (s *Sniffer) Number(v []byte) { s.take(v, false) }

// nonFinite takes a NaN or an infinity into account.
func (s *Sniffer) nonFinite() {
	s.seen = true
	s.cannot |= text7 &^ notFloat64
}

func (s *Sniffer) take(v []byte, written bool) {
	s.seen = true
	if s.cannot == text7 {
		return
	}
	if len(v) == 0 || len(v) > 64 {
		s.cannot = text7
		return
	}
	switch c := v[0]; {
	case c == 't' || c == 'f' || c == 'T' || c == 'F':
		if _, ok := values.Bool(v); !ok {
			s.cannot = text7
			return
		}
		s.cannot |= text7 &^ notBoolean
	case c-'0' <= 9 || c == '-' || c == '.':
		s.number(v, written)
	default:
		s.cannot = text7
	}
}

// number rules out what a text that begins like a number or a date is not.
func (s *Sniffer) number(v []byte, written bool) {
	s.cannot |= notBoolean
	n, ok := values.ShapeOf(v)
	if ok {
		if written {
			s.forms.take(v, n)
		}
		s.cannot |= notDate | notTimestamp | notTimestampTZ
		s.integer, s.scale = max(s.integer, n.Integer), max(s.scale, n.Scale)
		if s.cannot&notInt64 == 0 {
			if _, ok := values.Int(v); !ok {
				s.cannot |= notInt64
			}
		}
		if s.cannot&notFloat64 == 0 && (n.Exponent || n.Significant > 15) {
			if _, ok := values.Float(v); !ok {
				s.cannot |= notFloat64
			}
		}
		if n.Exponent {
			s.cannot |= notDecimal
		}
		return
	}
	s.cannot |= notInt64 | notFloat64 | notDecimal
	if s.cannot&notDate == 0 {
		if _, ok := values.Date(v); ok {
			s.cannot |= notTimestamp | notTimestampTZ
			return
		}
		s.cannot |= notDate
	}
	if s.cannot&(notTimestamp|notTimestampTZ) == notTimestamp|notTimestampTZ {
		return
	}
	_, zoned, ok := values.Timestamp(v)
	if !ok || zoned {
		s.cannot |= notTimestamp
	}
	if !ok || !zoned {
		s.cannot |= notTimestampTZ
	}
}

// Merge takes into account what other has seen.
func (s *Sniffer) Merge(other Sniffer) {
	s.seen = s.seen || other.seen
	s.cannot |= other.cannot
	s.integer, s.scale = max(s.integer, other.integer), max(s.scale, other.scale)
	s.forms.merge(other.forms)
}

// Seen reports whether there was any value.
func (s *Sniffer) Seen() bool { return s.seen }

// Type returns the type. Without any value it is String.
func (s *Sniffer) Type() driver.Type {
	can := func(k kinds) bool { return s.cannot&k == 0 }
	switch {
	case !s.seen:
		return driver.Of(driver.String)
	case can(notBoolean):
		return driver.Of(driver.Boolean)
	case can(notInt64):
		return driver.Of(driver.Int64)
	case can(notDecimal) && s.scale == 0 && s.integer > 15 && s.integer <= 38 && s.forms.decimal():
		return driver.DecimalOf(38, 0)
	case can(notFloat64) && s.forms.float():
		return driver.Of(driver.Float64)
	case can(notDecimal) && s.integer+s.scale <= 15 && s.forms.decimal():
		return driver.DecimalOf(18, int32(s.scale)) // in 64 bits, with room for more digits
	case can(notDecimal) && s.integer+s.scale <= 38 && s.forms.decimal():
		return driver.DecimalOf(38, int32(s.scale))
	case can(notDate):
		return driver.Of(driver.Date)
	case can(notTimestamp):
		return driver.Of(driver.Timestamp)
	case can(notTimestampTZ):
		return driver.Of(driver.TimestampTZ)
	}
	return driver.Of(driver.String)
}
