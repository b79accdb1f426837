package binarycopy

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"headwater/connectors/values"
)

// Form says how the text of a value becomes what a SELECT of the column, with the
// cast that a full read has, would return. The zero value is for columns that are
// read without a cast, and for types of which the cast is the server's text.
type Form struct {
	Kind  FormKind
	Scale int32    // of money
	Elem  ElemKind // of a list
	Delim byte     // between the elements of a list, 0 for a comma
}

// FormKind is a kind of Form.
type FormKind uint8

// In which form a value is sent as text.
const (
	FormPlain FormKind = iota
	FormTruth          // a boolean as text: true, false
	FormInet           // an address: the cast shows the length of its network always
	FormMoney          // the text follows lc_monetary, its digits do not
	FormList           // an array as a JSON list
)

// setText stores the text form of a row's value, which is not NULL.
func (c *column) setText(row int, v []byte, f Form, text encodingOf) error {
	switch c.how {
	case AsText, AsJSONB:
		return c.setString(row, v, f, text)
	case AsChar:
		if len(v) > 1 { // as servers from 15 on write a byte beyond ASCII
			c.bytes = append(c.bytes, v...)
		} else {
			c.bytes = appendChar(c.bytes, v)
		}
		c.endBytes(row)
		return nil
	case AsBytea:
		if len(v) < 2 || v[0] != '\\' || v[1] != 'x' {
			return ErrMalformed
		}
		var err error
		if c.bytes, err = hex.AppendDecode(c.bytes, v[2:]); err != nil {
			return ErrMalformed
		}
		c.endBytes(row)
		return nil
	case AsNumeric:
		n, err := c.decimalOf(v, f)
		if err != nil {
			return err
		}
		c.setDecimal(row, n)
		return nil
	case AsBool:
		if len(v) != 1 || v[0] != 't' && v[0] != 'f' {
			return ErrMalformed
		}
		if v[0] == 't' {
			c.fixed[row>>3] |= 1 << (row & 7)
		}
		return nil
	case AsUUID:
		return uuidOf(c.fixed[16*row:16*row+16], v)
	case AsDate:
		n, err := dateOf(v)
		if err != nil {
			return err
		}
		binary.NativeEndian.PutUint32(c.fixed[4*row:], uint32(n))
		return nil
	case AsTime, AsTimestamp:
		n, err := timeOf(c.how, v)
		if err != nil {
			return err
		}
		binary.NativeEndian.PutUint64(c.fixed[8*row:], uint64(n))
		return nil
	}
	return c.setNumber(row, v)
}

func (c *column) setNumber(row int, v []byte) error {
	switch c.how {
	case AsInt2, AsInt4:
		n, err := strconv.ParseInt(view(v), 10, 32)
		if err != nil {
			return ErrMalformed
		}
		binary.NativeEndian.PutUint32(c.fixed[4*row:], uint32(int32(n)))
	case AsInt8:
		n, ok := values.Int(v)
		if !ok {
			return ErrMalformed
		}
		binary.NativeEndian.PutUint64(c.fixed[8*row:], uint64(n))
	case AsFloat4:
		n, err := strconv.ParseFloat(view(v), 32)
		if err != nil {
			return ErrMalformed
		}
		binary.NativeEndian.PutUint32(c.fixed[4*row:], math.Float32bits(float32(n)))
	case AsFloat8:
		n, err := strconv.ParseFloat(view(v), 64)
		if err != nil {
			return ErrMalformed
		}
		binary.NativeEndian.PutUint64(c.fixed[8*row:], math.Float64bits(n))
	default:
		return ErrMalformed
	}
	return nil
}

// view is v as a string without copying. It must not outlive v.
func view(v []byte) string { return unsafe.String(unsafe.SliceData(v), len(v)) }

// setString stores text, as the column's form has it.
func (c *column) setString(row int, v []byte, f Form, text encodingOf) error {
	start := len(c.bytes)
	switch f.Kind {
	case FormTruth:
		switch view(v) {
		case "t":
			c.bytes = append(c.bytes, "true"...)
		case "f":
			c.bytes = append(c.bytes, "false"...)
		default:
			return ErrMalformed
		}
	case FormInet:
		c.bytes = append(c.bytes, v...)
		switch {
		case bytes.IndexByte(v, '/') >= 0:
		case bytes.IndexByte(v, ':') >= 0:
			c.bytes = append(c.bytes, "/128"...)
		default:
			c.bytes = append(c.bytes, "/32"...)
		}
	case FormList:
		var err error
		if c.bytes, err = appendList(c.bytes, v, f); err != nil {
			c.bytes = c.bytes[:start]
			return err
		}
	default:
		c.bytes = append(c.bytes, v...)
	}
	if text.ascii {
		decoded, err := decodeText(text.charset, c.bytes[start:])
		if err != nil {
			c.bytes = c.bytes[:start]
			return err
		}
		c.bytes = append(c.bytes[:start], decoded...)
	}
	c.endBytes(row)
	return nil
}

// decimalOf reads a numeric, or an amount of money.
func (c *column) decimalOf(v []byte, f Form) (decimal128.Num, error) {
	if f.Kind == FormMoney {
		var err error
		if v, err = appendAmount(nil, v, f.Scale); err != nil {
			return decimal128.Num{}, err
		}
	}
	switch view(v) {
	case "NaN", "Infinity", "-Infinity":
		return decimal128.Num{}, errNotFinite
	}
	if _, ok := values.ShapeOf(v); !ok {
		return decimal128.Num{}, ErrMalformed
	}
	n, ok := values.Decimal(v, c.decimal.Precision, c.decimal.Scale)
	if !ok {
		n, ok = values.Decimal(trimZeros(v, int(c.decimal.Scale)), c.decimal.Precision, c.decimal.Scale)
	}
	if !ok {
		return decimal128.Num{}, errTooLarge
	}
	return n, nil
}

// trimZeros cuts zeros behind the scale, which say nothing.
func trimZeros(v []byte, scale int) []byte {
	point := bytes.IndexByte(v, '.')
	if point < 0 {
		return v
	}
	end := len(v)
	for end > point+1+scale && v[end-1] == '0' {
		end--
	}
	return v[:end]
}

// appendAmount appends the number of an amount of money, whatever the locale that
// it was written in: money is a whole number of its smallest unit, of which all
// digits are written.
func appendAmount(to, v []byte, scale int32) ([]byte, error) {
	digits := make([]byte, 0, len(v)+int(scale)+1)
	for _, b := range v {
		switch {
		case b >= '0' && b <= '9':
			digits = append(digits, b)
		case b == '-' || b == '(':
			if len(to) == 0 || to[len(to)-1] != '-' {
				to = append(to, '-')
			}
		}
	}
	if len(digits) == 0 {
		return to, ErrMalformed
	}
	for len(digits) <= int(scale) {
		digits = append([]byte{'0'}, digits...)
	}
	for len(digits) > int(scale)+1 && digits[0] == '0' {
		digits = digits[1:]
	}
	to = append(to, digits[:len(digits)-int(scale)]...)
	if scale > 0 {
		to = append(append(to, '.'), digits[len(digits)-int(scale):]...)
	}
	return to, nil
}

func uuidOf(to, v []byte) error {
	if len(v) != 36 || v[8] != '-' || v[13] != '-' || v[18] != '-' || v[23] != '-' {
		return ErrMalformed
	}
	at := 0
	for _, part := range [][]byte{v[:8], v[9:13], v[14:18], v[19:23], v[24:]} {
		n, err := hex.Decode(to[at:], part)
		if err != nil {
			return ErrMalformed
		}
		at += n
	}
	return nil
}

// dateOf reads a date in the ISO style, of years of any length, also before Christ,
// as days since 1970.
func dateOf(v []byte) (int32, error) {
	if n, ok := values.Date(v); ok {
		return n, nil
	}
	n, err := daysOf(v)
	if err != nil {
		return 0, err
	}
	return days(int32(n - epochDays))
}

// daysOf is dateOf of what may lie outside of what Arrow has.
func daysOf(v []byte) (int64, error) {
	v, before := bytes.CutSuffix(v, []byte(" BC"))
	if view(v) == "infinity" || view(v) == "-infinity" {
		return 0, errInfinite
	}
	n := len(v)
	if n < 7 || n > 16 || v[n-6] != '-' || v[n-3] != '-' {
		return 0, ErrMalformed
	}
	year, err := strconv.ParseUint(view(v[:n-6]), 10, 32)
	month, err2 := strconv.ParseUint(view(v[n-5:n-3]), 10, 8)
	day, err3 := strconv.ParseUint(view(v[n-2:]), 10, 8)
	if err != nil || err2 != nil || err3 != nil || month < 1 || month > 12 || day < 1 || day > 31 || year > 6_000_000 {
		return 0, ErrMalformed
	}
	y, m := int64(year), int64(month)
	if before {
		y = 1 - y
	}
	if m <= 2 { // years that begin in March have their leap day at the end
		y--
		m += 12
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	of := y - era*400
	return era*146097 + 365*of + of/4 - of/100 + (153*(m-3)+2)/5 + int64(day) - 1 - 719468, nil
}

// timeOf reads a time of day, or a point in time with or without a zone, which is
// UTC.
func timeOf(how Decoding, v []byte) (int64, error) {
	if how == AsTime {
		n, rest, ok := values.Clock(v)
		switch {
		case bytes.HasPrefix(v, []byte("24:")):
			return 0, errRange
		case !ok || len(rest) > 0:
			return 0, ErrMalformed
		}
		return n, nil
	}
	if view(v) == "infinity" || view(v) == "-infinity" {
		return 0, errInfinite
	}
	at := bytes.IndexByte(v, ' ')
	if at < 0 {
		return 0, ErrMalformed
	}
	v, before := bytes.CutSuffix(v, []byte(" BC"))
	date := v[:min(at, len(v))]
	if before {
		date = append(append(make([]byte, 0, at+3), date...), " BC"...)
	}
	n, err := daysOf(date)
	if err != nil || at+1 > len(v) {
		return 0, ErrMalformed
	}
	clock, zone, ok := values.Clock(v[at+1:])
	if !ok || len(zone) > 0 && view(zone) != "+00" {
		return 0, ErrMalformed
	}
	return micros(how, (n-epochDays)*dayMicros+clock)
}
