package typemap

import (
	"bytes"
	"errors"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"headwater/connectors/values"
)

// What is wrong with the text of a value.
var (
	errNumber = errors.New("this is no number")
	ErrRange  = errors.New("the value lies outside what this type can hold")
	ErrType   = errors.New("the server sent a value of another type")
	errDate   = errors.New("this is no date of the calendar, such as 0000-00-00: make it NULL or a real date")
	errTime   = errors.New("this is no time")
	errUUID   = errors.New("this is no UUID")
	ErrUTF8   = errors.New("the text is not valid in its character set: store it as binary, or correct it")
)

// ParseInt reads an integer. It may have the leading zeros of ZEROFILL. What is not an
// integer, or does not fit, is an error.
func ParseInt(text []byte) (int64, error) {
	if n, ok := values.Int(text); ok {
		return n, nil
	}
	negative, whole, fraction, ok := SplitDecimal(text)
	if !ok || fraction != nil {
		return 0, errNumber
	}
	n, ok := values.Int(plainNumber(negative, whole, nil))
	if !ok {
		return 0, ErrRange
	}
	return n, nil
}

// parseFloat reads a floating point number of 32 or 64 bits.
func parseFloat(text []byte, bits int) (float64, error) {
	n, err := strconv.ParseFloat(string(text), bits)
	if errors.Is(err, strconv.ErrRange) {
		return 0, ErrRange
	}
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return 0, errNumber
	}
	return n, nil
}

// SplitDecimal splits "-12.34" into sign, whole digits and digits after the point. It
// returns false for other text.
func SplitDecimal(text []byte) (negative bool, whole, fraction []byte, ok bool) {
	if len(text) > 0 && text[0] == '-' {
		negative, text = true, text[1:]
	}
	point := len(text)
	for i, c := range text {
		switch {
		case c == '.' && point == len(text):
			point = i
		case c < '0' || c > '9':
			return false, nil, nil, false
		}
	}
	whole = text[:point]
	if point < len(text) {
		fraction = text[point+1:]
		if len(fraction) == 0 {
			return false, nil, nil, false
		}
	}
	return negative, whole, fraction, len(whole) > 0
}

// parseDecimal returns the unscaled value of a decimal.
func parseDecimal(text []byte, precision, scale int32) (decimal128.Num, error) {
	if n := len(text); n > 0 && text[0] != '.' && text[n-1] != '.' && (n < 2 || text[1] != '.' || text[0] != '-') {
		if n, ok := values.Decimal(text, precision, scale); ok {
			return n, nil
		}
	}
	negative, whole, fraction, ok := SplitDecimal(text)
	if !ok {
		return decimal128.Num{}, errNumber
	}
	for len(fraction) > int(scale) && fraction[len(fraction)-1] == '0' { // zeros at the end can go
		fraction = fraction[:len(fraction)-1]
	}
	n, ok := values.Decimal(plainNumber(negative, whole, fraction), precision, scale)
	if !ok {
		return decimal128.Num{}, ErrRange
	}
	return n, nil
}

// plainNumber writes a number without leading zeros.
func plainNumber(negative bool, whole, fraction []byte) []byte {
	whole = bytes.TrimLeft(whole, "0")
	var out []byte
	if negative && (len(whole) > 0 || len(bytes.TrimLeft(fraction, "0")) > 0) {
		out = append(out, '-')
	}
	if len(whole) == 0 {
		whole = []byte("0")
	}
	if out = append(out, whole...); len(fraction) > 0 {
		out = append(append(out, '.'), fraction...)
	}
	return out
}

// parseDate returns the days since 1970 of "2006-01-02".
func parseDate(text []byte) (int64, error) {
	days, ok := values.Date(text)
	if !ok {
		return 0, errDate
	}
	return int64(days), nil
}

// parseTimestamp returns the microseconds since 1970 of
// "2006-01-02 15:04:05.999999".
func parseTimestamp(text []byte) (int64, error) {
	if len(text) < 19 || len(text) > 26 || text[10] != ' ' || text[13] != ':' || text[16] != ':' {
		return 0, errTime
	}
	days, err := parseDate(text[:10])
	if err != nil {
		return 0, err
	}
	micros, rest, ok := values.Clock(text[11:])
	if !ok || len(rest) > 0 {
		return 0, errTime
	}
	return days*86400e6 + micros, nil
}

// ParseUUID reads the 36 characters of a UUID.
func ParseUUID(text []byte) (u [16]byte, err error) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return u, errUUID
	}
	n := 0
	for i := 0; i < len(text); i += 2 {
		switch i {
		case 8, 13, 18, 23:
			i++
		}
		high, low := nibble[text[i]], nibble[text[i+1]]
		if high|low > 15 {
			return u, errUUID
		}
		u[n] = high<<4 | low
		n++
	}
	return u, nil
}

// nibble maps a hexadecimal digit to its value, and every other byte to 255.
var nibble = func() (n [256]byte) {
	for i := range n {
		n[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		n[c] = byte(i)
	}
	for i, c := range []byte("ABCDEF") {
		n[c] = byte(10 + i)
	}
	return n
}()
