package mysql

import (
	sqldriver "database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
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
)

// textOf writes what the driver has parsed as text again.
func textOf(v sqldriver.Value) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

// int64Of reads an integer of any of the forms that the driver gives it.
func int64Of(v sqldriver.Value) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case uint64:
		if v > math.MaxInt64 {
			return 0, errRange
		}
		return int64(v), nil
	case []byte:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return 0, errNumber
		}
		return n, nil
	}
	return 0, errType
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

// parseDecimal returns the unscaled value.
func parseDecimal(text []byte, precision, scale int32) (decimal128.Num, error) {
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
	var n decimal128.Num
	if len(whole)+int(scale) <= 18 {
		var u int64
		for _, c := range whole {
			u = u*10 + int64(c-'0')
		}
		for i := range int(scale) {
			u *= 10
			if i < len(fraction) {
				u += int64(fraction[i] - '0')
			}
		}
		n = decimal128.FromI64(u)
	} else {
		digits := append(append([]byte{}, whole...), fraction...)
		for range int(scale) - len(fraction) {
			digits = append(digits, '0')
		}
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
	var plain [32]byte
	n := 0
	for _, part := range [][]byte{text[:8], text[9:13], text[14:18], text[19:23], text[24:]} {
		n += copy(plain[n:], part)
	}
	if _, err := hex.Decode(u[:], plain[:]); err != nil {
		return u, errUUID
	}
	return u, nil
}
