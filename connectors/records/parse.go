package records

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// ErrMisfit reports a value that its column's type cannot hold unchanged. It
// names no value: values do not belong into messages.
var ErrMisfit = errors.New("value does not fit the column's type")

// text views v as a string without copying. It must not outlive v.
func text(v []byte) string { return unsafe.String(unsafe.SliceData(v), len(v)) }

// parseInt reads the canonical decimal form alone: "007", "+7" and "-0" are
// not numbers here, because a number would not give them back.
func parseInt(v []byte) (int64, bool) {
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

// number is the shape of a decimal number in text.
type number struct {
	integer     int // digits before the point
	scale       int // digits after it
	significant int // digits without leading and trailing zeros
	point       bool
	padded      bool // the last digit after the point is a zero
	exponent    bool
}

// shape reads [-]digits[.digits][e[+-]digits]. Leading zeros, a plus sign and
// words such as NaN make it no number.
func shape(v []byte) (number, bool) {
	var n number
	i := 0
	if i < len(v) && v[i] == '-' {
		i++
	}
	start, first, last := i, -1, -1
	for ; i < len(v) && v[i]-'0' <= 9; i++ {
		n.integer++
		if v[i] != '0' {
			last = n.integer
			if first < 0 {
				first = n.integer
			}
		}
	}
	if n.integer > 1 && v[start] == '0' {
		return n, false
	}
	if i < len(v) && v[i] == '.' {
		n.point = true
		for i++; i < len(v) && v[i]-'0' <= 9; i++ {
			n.scale++
			if v[i] != '0' {
				last = n.integer + n.scale
				if first < 0 {
					first = last
				}
			}
		}
	}
	if n.integer+n.scale == 0 {
		return n, false
	}
	if first >= 0 {
		n.significant = last - first + 1
	}
	n.padded = n.scale > 0 && last < n.integer+n.scale
	if i < len(v) && (v[i] == 'e' || v[i] == 'E') {
		n.exponent = true
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

// parseFloat reads a number that a float64 gives back: one of at most 15
// significant digits, or one whose shortest form has the same value.
func parseFloat(v []byte) (float64, bool) {
	if f, ok := shortFloat(v); ok {
		return f, true
	}
	n, ok := shape(v)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(text(v), 64)
	if err != nil || f == 0 && n.significant > 0 {
		return 0, false
	}
	if n.significant <= 15 && math.Abs(f) > 1e-300 || f == 0 {
		return f, true
	}
	if n.significant > 17 || len(v) > 64 {
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

// parseDecimal reads a plain number of at most scale digits after the point
// and precision in all.
func parseDecimal(v []byte, precision, scale int32) (decimal128.Num, bool) {
	if m, ok := shortDecimal(v, int(scale)); ok && precision >= 18 {
		return decimal128.FromI64(m), true
	}
	n, ok := shape(v)
	if !ok || n.exponent || n.scale > int(scale) || n.integer+int(scale) > int(precision)+1 {
		return decimal128.Num{}, false
	}
	if n.integer+int(scale) <= 18 {
		var m int64
		for _, c := range v {
			if c -= '0'; c <= 9 {
				m = m*10 + int64(c)
			}
		}
		for range int(scale) - n.scale {
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
	for range int(scale) - n.scale {
		digits = append(digits, '0')
	}
	m, ok := new(big.Int).SetString(string(digits), 10)
	if !ok || m.BitLen() > 127 {
		return decimal128.Num{}, false
	}
	d := decimal128.FromBigInt(m)
	return d, d.FitsInPrecision(precision)
}

// two reads two digits, or returns a number over 99.
func two(v []byte) int {
	a, b := v[0]-'0', v[1]-'0'
	if a > 9 || b > 9 {
		return 1000
	}
	return int(a)*10 + int(b)
}

// parseDate reads YYYY-MM-DD of the years 0001 to 9999 as days since 1970.
func parseDate(v []byte) (int32, bool) {
	if len(v) != 10 || v[4] != '-' || v[7] != '-' {
		return 0, false
	}
	century, year, month, day := two(v), two(v[2:]), two(v[5:]), two(v[8:])
	if century > 99 || year > 99 || month < 1 || month > 12 || day < 1 || day > 31 || century+year == 0 {
		return 0, false
	}
	year += century * 100
	leap := year%4 == 0 && (year%100 != 0 || year%400 == 0)
	if day > monthDays[month] && !(day == 29 && month == 2 && leap) {
		return 0, false
	}
	// Years that begin in March have their leap day at the end.
	if month <= 2 {
		year--
		month += 12
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1
	return int32(days - 719468), true
}

var monthDays = [13]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// parseClock reads HH:MM:SS with up to six digits after the point as
// microseconds and returns what follows.
func parseClock(v []byte) (micros int64, rest []byte, ok bool) {
	if len(v) < 8 || v[2] != ':' || v[5] != ':' {
		return 0, nil, false
	}
	h, m, s := two(v), two(v[3:]), two(v[6:])
	if h > 23 || m > 59 || s > 59 {
		return 0, nil, false
	}
	micros = int64(h*3600+m*60+s) * 1e6
	v = v[8:]
	if len(v) > 0 && v[0] == '.' {
		unit, i := int64(1e5), 1
		for ; i < len(v) && v[i]-'0' <= 9; i++ {
			if unit == 0 && v[i] != '0' {
				return 0, nil, false
			}
			micros += int64(v[i]-'0') * unit
			unit /= 10
		}
		if i == 1 {
			return 0, nil, false
		}
		v = v[i:]
	}
	return micros, v, true
}

// parseTimestamp reads an ISO 8601 date and time, with "T" or a space between
// them, as microseconds since 1970. zoned tells whether it ended in Z or an
// offset, which is then applied.
func parseTimestamp(v []byte) (micros int64, zoned, ok bool) {
	if len(v) < 19 || v[10] != ' ' && v[10] != 'T' {
		return 0, false, false
	}
	days, ok := parseDate(v[:10])
	if !ok {
		return 0, false, false
	}
	clock, zone, ok := parseClock(v[11:])
	if !ok {
		return 0, false, false
	}
	micros = int64(days)*86400e6 + clock
	if len(zone) == 0 {
		return micros, false, true
	}
	if len(zone) == 1 && zone[0] == 'Z' {
		return micros, true, true
	}
	sign := int64(1)
	switch zone[0] {
	case '+':
	case '-':
		sign = -1
	default:
		return 0, false, false
	}
	zone = zone[1:]
	var h, m int
	switch {
	case len(zone) == 2:
		h = two(zone)
	case len(zone) == 4:
		h, m = two(zone), two(zone[2:])
	case len(zone) == 5 && zone[2] == ':':
		h, m = two(zone), two(zone[3:])
	default:
		return 0, false, false
	}
	if h > 18 || m > 59 {
		return 0, false, false
	}
	return micros - sign*int64(h*60+m)*60e6, true, true
}

// parseBool reads true and false in lower, upper or title case.
func parseBool(v []byte) (value, ok bool) {
	switch text(v) {
	case "true", "TRUE", "True":
		return true, true
	case "false", "FALSE", "False":
		return false, true
	}
	return false, false
}
