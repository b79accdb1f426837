// Package values reads numbers, dates and booleans out of text. It is used where
// a source sends its values as text: files, APIs, databases. A value is read only
// in the one form that stands for it; what else a source may write its driver
// brings into that form. No function keeps its argument.
package values

import (
	"math"
	"math/big"
	"strconv"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// text views v as a string without copying. It must not outlive v.
func text(v []byte) string { return unsafe.String(unsafe.SliceData(v), len(v)) }

// Int reads the canonical decimal form alone: "007", "+7" and "-0" are
// not numbers here, because a number would not give them back.
func Int(v []byte) (int64, bool) {
	digits := v
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && (len(digits) > 1 || len(v) > 1) {
		return 0, false
	}
	if len(digits) == 19 {
		n, err := strconv.ParseInt(text(v), 10, 64)
		return n, err == nil
	}
	var n int64
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	if len(digits) < len(v) {
		n = -n
	}
	return n, true
}

// Shape is the shape of a decimal number in text.
type Shape struct {
	Integer     int // digits before the point
	Scale       int // digits after it
	Significant int // digits without leading and trailing zeros
	Point       bool
	Padded      bool // the last digit after the point is a zero
	Exponent    bool
}

// ShapeOf reads [-]digits[.digits][e[+-]digits]. Leading zeros, a plus sign and
// words such as NaN make it no number.
func ShapeOf(v []byte) (Shape, bool) {
	var n Shape
	i := 0
	if i < len(v) && v[i] == '-' {
		i++
	}
	start, first, last := i, -1, -1
	for ; i < len(v) && v[i]-'0' <= 9; i++ {
		n.Integer++
		if v[i] != '0' {
			last = n.Integer
			if first < 0 {
				first = n.Integer
			}
		}
	}
	if n.Integer > 1 && v[start] == '0' {
		return n, false
	}
	if i < len(v) && v[i] == '.' {
		n.Point = true
		for i++; i < len(v) && v[i]-'0' <= 9; i++ {
			n.Scale++
			if v[i] != '0' {
				last = n.Integer + n.Scale
				if first < 0 {
					first = last
				}
			}
		}
	}
	if n.Integer+n.Scale == 0 {
		return n, false
	}
	if first >= 0 {
		n.Significant = last - first + 1
	}
	n.Padded = n.Scale > 0 && last < n.Integer+n.Scale
	if i < len(v) && (v[i] == 'e' || v[i] == 'E') {
		n.Exponent = true
		i++
		if i < len(v) && (v[i] == '-' || v[i] == '+') {
			i++
		}
		from := i
		for ; i < len(v) && v[i]-'0' <= 9; i++ {
		}
		if i == from {
			return n, false
		}
	}
	return n, i == len(v)
}

// Float reads a number that a float64 gives back: one of at most 15
// significant digits, or one whose shortest form has the same value.
func Float(v []byte) (float64, bool) {
	if f, ok := shortFloat(v); ok {
		return f, true
	}
	n, ok := ShapeOf(v)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(text(v), 64)
	if err != nil || f == 0 && n.Significant > 0 {
		return 0, false
	}
	if n.Significant <= 15 && math.Abs(f) > 1e-300 || f == 0 {
		return f, true
	}
	if n.Significant > 17 || len(v) > 64 {
		return 0, false
	}
	want, ok := new(big.Rat).SetString(text(v))
	if !ok {
		return 0, false
	}
	got, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	return f, want.Cmp(got) == 0
}

// powers are the powers of ten that a number of 15 digits can be divided by.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// shortFloat reads the plain form of a number of at most 15 digits, which is
// exact: both the digits and the power of ten are whole numbers that a float64
// holds, and a division of two of those is rounded once.
func shortFloat(v []byte) (float64, bool) {
	digits := v
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 16 || digits[0]-'0' > 9 || digits[0] == '0' && len(digits) > 1 && digits[1] != '.' {
		return 0, false
	}
	var n int64
	point := -1
	for i, c := range digits {
		if c -= '0'; c <= 9 {
			n = n*10 + int64(c)
			continue
		}
		if digits[i] != '.' || point >= 0 {
			return 0, false
		}
		point = i
	}
	f := float64(n)
	switch {
	case point < 0 && len(digits) > 15:
		return 0, false
	case point >= 0:
		f /= powers[len(digits)-1-point]
	}
	if len(digits) < len(v) {
		f = -f
	}
	return f, true
}

// shortDecimal reads the plain form of a number of at most 18 digits with those
// that scale adds, as a whole number of its smallest parts.
func shortDecimal(v []byte, scale int) (int64, bool) {
	digits := v
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits)+scale > 18 || digits[0]-'0' > 9 || digits[0] == '0' && len(digits) > 1 && digits[1] != '.' {
		return 0, false
	}
	var n int64
	point := -1
	for i, c := range digits {
		if c -= '0'; c <= 9 {
			n = n*10 + int64(c)
			continue
		}
		if digits[i] != '.' || point >= 0 {
			return 0, false
		}
		point = i
	}
	missing := scale
	if point >= 0 {
		missing -= len(digits) - 1 - point
	}
	if missing < 0 {
		return 0, false
	}
	for range missing {
		n *= 10
	}
	if len(digits) < len(v) {
		n = -n
	}
	return n, true
}

// Decimal reads a plain number of at most scale digits after the point
// and precision in all.
func Decimal(v []byte, precision, scale int32) (decimal128.Num, bool) {
	if m, ok := shortDecimal(v, int(scale)); ok && (precision >= 18 || m < tens[precision] && -m < tens[precision]) {
		return decimal128.FromI64(m), true
	}
	return longDecimal(v, precision, scale)
}

// tens are the powers of ten that decimals of fewer than 18 digits lie below.
var tens = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17}

// longDecimal is parseDecimal for numbers of any length.
func longDecimal(v []byte, precision, scale int32) (decimal128.Num, bool) {
	n, ok := ShapeOf(v)
	if !ok || n.Exponent || n.Scale > int(scale) || n.Integer+int(scale) > int(precision)+1 {
		return decimal128.Num{}, false
	}
	if n.Integer+int(scale) <= 18 {
		var m int64
		for _, c := range v {
			if c -= '0'; c <= 9 {
				m = m*10 + int64(c)
			}
		}
		for range int(scale) - n.Scale {
			m *= 10
		}
		if v[0] == '-' {
			m = -m
		}
		d := decimal128.FromI64(m)
		return d, d.FitsInPrecision(precision)
	}
	digits := make([]byte, 0, len(v)+int(scale))
	for _, c := range v {
		if c != '.' {
			digits = append(digits, c)
		}
	}
	for range int(scale) - n.Scale {
		digits = append(digits, '0')
	}
	m, ok := new(big.Int).SetString(string(digits), 10)
	if !ok || m.BitLen() > 127 {
		return decimal128.Num{}, false
	}
	d := decimal128.FromBigInt(m)
	return d, d.FitsInPrecision(precision)
}

// Bool reads true and false in lower, upper or title case.
func Bool(v []byte) (value, ok bool) {
	switch text(v) {
	case "true", "TRUE", "True":
		return true, true
	case "false", "FALSE", "False":
		return false, true
	}
	return false, false
}
