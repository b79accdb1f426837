package parquet

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/parquet"

	"headwater/connectors/records"
)

// What can be wrong with a value.
var (
	errNoText  = errors.New("text that is not UTF-8")
	errNoJSON  = errors.New("text that is not JSON")
	errNoClock = errors.New("a time of no day")
	errNoValue = errors.New("a value that its type does not have")
)

// text appends place i as text, or as JSON: numbers and booleans as they are,
// decimals in text so that no reader rounds them, bytes in base64.
func (t *valueType) text(dst []byte, v *values, i int, json bool) ([]byte, error) {
	switch t.means {
	case isBoolean:
		return strconv.AppendBool(dst, v.bit(i)), nil
	case isInteger:
		n, err := t.integer(v, i)
		if !json { // text holds what is there
			err = nil
		}
		if t.unsigned {
			return strconv.AppendUint(dst, uint64(n), 10), err
		}
		return strconv.AppendInt(dst, n, 10), err
	case isFloat:
		x, bits := t.float(v, i)
		return appendFloat(dst, x, bits, json), nil
	case isJSON:
		raw := v.bytes.Value(i)
		if json && !(records.Valid(raw) && utf8.Valid(raw)) {
			return dst, errNoJSON
		}
		return append(dst, raw...), nil
	case isText:
		if json {
			return appendQuoted(dst, v.bytes.Value(i))
		}
		return append(dst, v.bytes.Value(i)...), nil
	case isBytes:
		if json {
			dst = append(dst, '"')
			return append(base64.StdEncoding.AppendEncode(dst, v.bytes.Value(i)), '"'), nil
		}
		return append(dst, v.bytes.Value(i)...), nil
	case isNothing:
		return dst, errNoValue
	}
	if json {
		dst = append(dst, '"')
	}
	dst, err := t.words(dst, v, i, json)
	if json {
		dst = append(dst, '"')
	}
	return dst, err
}

// words appends a value that JSON has no form for.
func (t *valueType) words(dst []byte, v *values, i int, json bool) ([]byte, error) {
	switch t.means {
	case isDecimal:
		return appendDecimal(dst, t.unscaled(v, i), int(t.scale)), nil
	case isDate:
		return appendDay(dst, time.Unix(v.whole(i)*86400, 0).UTC()), nil
	case isClock:
		n := v.whole(i)
		if json && (n < 0 || n >= 86400*perSecond(t.unit)) {
			return dst, errNoClock
		}
		return appendClock(dst, n, perSecond(t.unit)), nil
	case isMoment:
		seconds, nanos := t.moment(v, i)
		return appendMoment(dst, seconds, nanos, t.utc), nil
	case isDuration:
		return append(strconv.AppendInt(dst, v.whole(i), 10), t.unit.String()...), nil
	case isUUID:
		return appendUUID(dst, v.bytes.Value(i)), nil
	case isInterval:
		return appendInterval(dst, v.bytes.Value(i)), nil
	}
	return dst, errNoValue
}

// integer returns a whole number, whose bits are those of an unsigned one if it
// is that.
func (t *valueType) integer(v *values, i int) (int64, error) {
	n := v.whole(i)
	switch {
	case t.unsigned && t.bits < 64 && t.physical == parquet.Types.Int32:
		n = int64(uint32(n))
		if n>>t.bits != 0 {
			return n, errNoValue
		}
	case !t.unsigned && t.bits < 32:
		if most := int64(1) << (t.bits - 1); n < -most || n >= most {
			return n, errNoValue
		}
	}
	return n, nil
}

func (t *valueType) float(v *values, i int) (float64, int) {
	switch {
	case t.bits == 16:
		return float64(float16.FromLEBytes(v.bytes.Value(i)).Float32()), 32
	case v.f32 != nil:
		return float64(v.f32[i]), 32
	}
	return v.f64[i], 64
}

// unscaled returns the digits of a decimal as a whole number.
func (t *valueType) unscaled(v *values, i int) *big.Int {
	if v.bytes == nil {
		return big.NewInt(v.whole(i))
	}
	raw := v.bytes.Value(i)
	n := new(big.Int).SetBytes(raw)
	if len(raw) > 0 && raw[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(raw)*8)))
	}
	return n
}

// julianEpoch is the day of 1970-01-01 as INT96 counts days.
const julianEpoch = 2_440_588

// moment returns seconds since 1970 and the nanoseconds after them.
func (t *valueType) moment(v *values, i int) (seconds, nanos int64) {
	if v.i96 != nil {
		raw := v.i96[i][:]
		nanos = int64(binary.LittleEndian.Uint64(raw))
		days := int64(int32(binary.LittleEndian.Uint32(raw[8:]))) - julianEpoch
		return days*86400 + floor(nanos, 1e9), nanos - floor(nanos, 1e9)*1e9
	}
	n, per := v.i64[i], perSecond(t.unit)
	seconds = floor(n, per)
	return seconds, (n - seconds*per) * (1e9 / per)
}

// floor divides and rounds down.
func floor(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

func perSecond(unit arrow.TimeUnit) int64 {
	switch unit {
	case arrow.Nanosecond:
		return 1e9
	case arrow.Microsecond:
		return 1e6
	case arrow.Millisecond:
		return 1e3
	}
	return 1
}

// appendFloat writes the shortest form, as encoding/json does. What is not
// finite has no form in JSON and is text there.
func appendFloat(dst []byte, x float64, bits int, json bool) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		word := "NaN"
		if math.IsInf(x, 1) {
			word = "Infinity"
		} else if math.IsInf(x, -1) {
			word = "-Infinity"
		}
		if json {
			return strconv.AppendQuote(dst, word)
		}
		return append(dst, word...)
	}
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, x, 'e', -1, bits)
	}
	return strconv.AppendFloat(dst, x, 'f', -1, bits)
}

// appendDecimal writes all digits, with as many after the point as scale says.
func appendDecimal(dst []byte, n *big.Int, scale int) []byte {
	digits := n.Append(nil, 10)
	if digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	for ; scale < 0 && n.Sign() != 0; scale++ {
		digits = append(digits, '0')
	}
	if scale <= 0 {
		return append(dst, digits...)
	}
	for len(digits) <= scale {
		digits = append([]byte{'0'}, digits...)
	}
	dst = append(append(dst, digits[:len(digits)-scale]...), '.')
	return append(dst, digits[len(digits)-scale:]...)
}

// appendDay writes a day in ISO 8601: years of other than four digits have a
// sign.
func appendDay(dst []byte, at time.Time) []byte {
	year := at.Year()
	if year < 0 || year > 9999 {
		sign := byte('+')
		if year < 0 {
			sign, year = '-', -year
		}
		dst = append(dst, sign)
	}
	dst = append(appendPadded(dst, int64(year), 4), '-')
	dst = append(appendPadded(dst, int64(at.Month()), 2), '-')
	return appendPadded(dst, int64(at.Day()), 2)
}

// appendMoment writes a moment in ISO 8601.
func appendMoment(dst []byte, seconds, nanos int64, utc bool) []byte {
	at := time.Unix(seconds, nanos).UTC()
	dst = append(appendDay(dst, at), 'T')
	dst = appendClock(dst, int64(at.Hour()*3600+at.Minute()*60+at.Second())*1e9+int64(at.Nanosecond()), 1e9)
	if utc {
		dst = append(dst, 'Z')
	}
	return dst
}

// appendClock writes a time of day of so many parts a second, without zeros at
// its end.
func appendClock(dst []byte, n, per int64) []byte {
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	seconds, rest := n/per, n%per
	dst = append(appendPadded(dst, seconds/3600, 2), ':')
	dst = append(appendPadded(dst, seconds/60%60, 2), ':')
	dst = appendPadded(dst, seconds%60, 2)
	if rest == 0 {
		return dst
	}
	digits := len(strconv.FormatInt(per, 10)) - 1
	dst = appendPadded(append(dst, '.'), rest, digits)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

func appendPadded(dst []byte, n int64, digits int) []byte {
	text := strconv.FormatInt(n, 10)
	for range digits - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

func appendUUID(dst, raw []byte) []byte {
	for i, part := range [][]byte{raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:16]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

// appendInterval writes months, days and milliseconds as a duration of ISO 8601.
func appendInterval(dst, raw []byte) []byte {
	months, days, ms := uint64(binary.LittleEndian.Uint32(raw)), uint64(binary.LittleEndian.Uint32(raw[4:])), int64(binary.LittleEndian.Uint32(raw[8:]))
	dst = append(dst, 'P')
	part := func(n uint64, unit byte) {
		if n > 0 {
			dst = append(strconv.AppendUint(dst, n, 10), unit)
		}
	}
	part(months/12, 'Y')
	part(months%12, 'M')
	part(days, 'D')
	if ms == 0 {
		if months == 0 && days == 0 {
			dst = append(dst, "T0S"...)
		}
		return dst
	}
	dst = append(dst, 'T')
	part(uint64(ms/3_600_000), 'H')
	part(uint64(ms/60_000%60), 'M')
	if ms %= 60_000; ms%1000 == 0 {
		part(uint64(ms/1000), 'S')
		return dst
	}
	return append(appendDecimal(dst, big.NewInt(ms), 3), 'S')
}

// appendQuoted writes text as a string of JSON.
func appendQuoted(dst, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return dst, errNoText
	}
	dst = append(dst, '"')
	from := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return append(append(dst, text[from:]...), '"'), nil
}
