package mysql

import (
	"errors"
	"math"
	"math/big"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

var (
	errNumber = errors.New("this is no number")
	errRange  = errors.New("the value lies outside what this type can hold")
	errType   = errors.New("the server sent a value of another type")
	errDate   = errors.New("this is no date of the calendar, such as 0000-00-00: make it NULL or a real date")
	errTime   = errors.New("this is no time")
	errUUID   = errors.New("this is no UUID")
	errUTF8   = errors.New("the text is not valid in its character set: store it as binary, or correct it")
)

// parseInt reads an integer, with the leading zeros of ZEROFILL.
func parseInt(text []byte) (int64, error) {
	digits := text
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) == 0 {
		return 0, errNumber
	}
	var u uint64
	for _, c := range digits {
		c -= '0'
		if c > 9 {
			return 0, errNumber
		}
		if u > (1<<63)/10 { // the next digit could pass what fits
			return 0, errRange
		}
		u = u*10 + uint64(c)
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), nil
	case u < 1<<63 && !negative:
		return int64(u), nil
	}
	return 0, errRange
}

// parseFloat reads a floating point number of that many bits.
func parseFloat(text []byte, bits int) (float64, error) {
	n, err := strconv.ParseFloat(string(text), bits)
	if errors.Is(err, strconv.ErrRange) {
		return 0, errRange
	}
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return 0, errNumber
	}
	return n, nil
}

// splitDecimal parts "-12.34" into sign and digits. It reports false for
// anything else.
func splitDecimal(text []byte) (negative bool, whole, fraction []byte, ok bool) {
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

// shortDecimal is how many digits a decimal may have that is read at once into
// 64 bits.
const shortDecimal = 18

// parseDecimal returns the unscaled value.
func parseDecimal(text []byte, precision, scale int32) (decimal128.Num, error) {
	if len(text) > shortDecimal {
		return longDecimal(text, precision, scale)
	}
	digits := text
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	var u int64
	point := -1
	for i, c := range digits {
		if c == '.' && point < 0 && i > 0 {
			point = i
			continue
		}
		c -= '0'
		if c > 9 {
			return decimal128.Num{}, errNumber
		}
		u = u*10 + int64(c)
	}
	fraction := 0
	if point >= 0 {
		fraction = len(digits) - point - 1
	}
	if len(digits) == 0 || point >= 0 && fraction == 0 {
		return decimal128.Num{}, errNumber
	}
	if fraction != int(scale) || precision < shortDecimal && u >= powers[precision] {
		return longDecimal(text, precision, scale)
	}
	if negative {
		u = -u
	}
	return decimal128.FromI64(u), nil
}

var powers = func() (p [shortDecimal]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// longDecimal reads a decimal of any length, and of another scale if nothing is
// lost.
func longDecimal(text []byte, precision, scale int32) (decimal128.Num, error) {
	negative, whole, fraction, ok := splitDecimal(text)
	if !ok {
		return decimal128.Num{}, errNumber
	}
	for len(fraction) > int(scale) {
		if fraction[len(fraction)-1] != '0' {
			return decimal128.Num{}, errRange
		}
		fraction = fraction[:len(fraction)-1]
	}
	for len(whole) > 0 && whole[0] == '0' {
		whole = whole[1:]
	}
	if len(whole) > int(precision-scale) {
		return decimal128.Num{}, errRange
	}
	digits := append(append([]byte{}, whole...), fraction...)
	for range int(scale) - len(fraction) {
		digits = append(digits, '0')
	}
	n := decimal128.Num{}
	if len(digits) > 0 {
		u, ok := new(big.Int).SetString(string(digits), 10)
		if !ok {
			return decimal128.Num{}, errNumber
		}
		n = decimal128.FromBigInt(u)
	}
	if negative {
		n = n.Negate()
	}
	return n, nil
}

// digits reads a number of fixed width, -1 if it is none.
func digits(text []byte) int {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// parseDate returns the days since 1970 of "2006-01-02".
func parseDate(text []byte) (int64, error) {
	if len(text) != 10 || text[4] != '-' || text[7] != '-' {
		return 0, errDate
	}
	year, month, day := digits(text[:4]), digits(text[5:7]), digits(text[8:])
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, errDate
	}
	// Count from the first of March, so that the leap day comes last.
	if month <= 2 {
		year, month = year-1, month+12
	}
	era := year / 400
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return int64(era)*146097 + int64(ofEra*365+ofEra/4-ofEra/100+ofYear) - 719468, nil
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// parseTimestamp returns the microseconds since 1970 of
// "2006-01-02 15:04:05.999999".
func parseTimestamp(text []byte) (int64, error) {
	if len(text) < 19 || len(text) > 26 || len(text) == 20 || text[10] != ' ' || text[13] != ':' || text[16] != ':' {
		return 0, errTime
	}
	days, err := parseDate(text[:10])
	if err != nil {
		return 0, err
	}
	hour, minute, second := digits(text[11:13]), digits(text[14:16]), digits(text[17:19])
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, errTime
	}
	micros := 0
	if len(text) > 19 {
		micros = digits(text[20:])
		if text[19] != '.' || micros < 0 {
			return 0, errTime
		}
		for range 26 - len(text) {
			micros *= 10
		}
	}
	return (days*86400+int64(hour*3600+minute*60+second))*1000000 + int64(micros), nil
}

// parseUUID reads the 36 characters of a UUID.
func parseUUID(text []byte) (u [16]byte, err error) {
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

// nibble is the value of a hexadecimal digit, 255 of another byte.
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
