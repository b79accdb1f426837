package binlog

import (
	"math"
	"strconv"
)

// Form is how the bytes of a column's values are to be understood.
type Form uint8

// The forms.
const (
	Unknown  Form = iota
	Number        // Int, Uint
	Real          // Float
	Written       // AppendText: decimals, dates and times
	Bits          // Uint
	Label         // Uint: the number of the label, or a bit for each
	Text          // the bytes themselves
	Document      // AppendJSON
)

// Form returns how the column's values are to be understood.
func (c Column) Form() Form {
	switch c.Type {
	case typeTiny, typeShort, typeInt24, typeLong, typeLongLong, typeYear:
		return Number
	case typeFloat, typeDouble:
		return Real
	case typeNewDecimal, typeDate, typeNewDate, typeTime, typeDatetime, typeTimestamp, typeTime2, typeDatetime2, typeTimestamp2:
		return Written
	case typeBit:
		return Bits
	case typeEnum, typeSet:
		return Label
	case typeString, typeVarchar, typeVarString, typeVarcharCompressed, typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeBlobCompressed, typeGeometry, typeVector:
		return Text
	case typeJSON:
		return Document
	}
	return Unknown
}

// kinds are the types of columns that a table of the catalog may have in the log,
// by the catalog's DATA_TYPE.
var kinds = map[string][]byte{
	"tinyint": {typeTiny}, "smallint": {typeShort}, "mediumint": {typeInt24}, "int": {typeLong}, "integer": {typeLong}, "bigint": {typeLongLong},
	"year": {typeYear}, "bit": {typeBit}, "decimal": {typeNewDecimal}, "numeric": {typeNewDecimal}, "float": {typeFloat}, "double": {typeDouble}, "real": {typeDouble},
	"date": {typeDate, typeNewDate}, "time": {typeTime2, typeTime}, "datetime": {typeDatetime2, typeDatetime}, "timestamp": {typeTimestamp2, typeTimestamp},
	"char": {typeString, typeVarString}, "binary": {typeString}, "varchar": {typeVarchar, typeVarString, typeVarcharCompressed}, "varbinary": {typeVarchar, typeVarString, typeVarcharCompressed},
	"enum": {typeEnum}, "set": {typeSet}, "json": {typeJSON}, "vector": {typeVector, typeVarchar},
	"uuid": {typeString}, "inet6": {typeString}, "inet4": {typeString},
}

// Fits reports whether a column that the catalog calls so can have this form in the
// log.
func (c Column) Fits(data string) bool {
	have, ok := kinds[data]
	if !ok {
		switch data {
		case "tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob":
			have = []byte{typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeBlobCompressed}
		case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
			have = []byte{typeGeometry}
		}
	}
	for _, typ := range have {
		if typ == c.Type {
			return true
		}
	}
	return false
}

// Digits returns precision and scale of a decimal, the digits after the point of a
// time, the bits of a bit column, the bytes of a char or binary.
func (c Column) Digits() (n, scale int) {
	switch c.Type {
	case typeNewDecimal:
		return int(c.Meta >> 8), int(c.Meta & 0xff)
	case typeBit:
		return int(c.Meta>>8)*8 + int(c.Meta&0xff), 0
	}
	return int(c.Meta), 0
}

// OldTime reports whether the column is a time or date and time in the form of
// servers before MySQL 5.6, in which MariaDB hides the digits after the point.
func (c Column) OldTime() bool {
	return c.Type == typeTime || c.Type == typeDatetime || c.Type == typeTimestamp
}

// Int returns a number that has a sign. A year is itself, 0 for 0000.
func (c Column) Int(raw []byte) int64 {
	if c.Type == typeYear {
		if raw[0] == 0 {
			return 0
		}
		return 1900 + int64(raw[0])
	}
	shift := 64 - 8*len(raw)
	return int64(littleEndian(raw)<<shift) >> shift
}

// Uint returns a number without a sign, the number of a label, or bits.
func (c Column) Uint(raw []byte) uint64 {
	if c.Type == typeBit {
		return bigEndian(raw)
	}
	return littleEndian(raw)
}

// Float returns a floating point number.
func (c Column) Float(raw []byte) float64 {
	if c.Type == typeFloat {
		return float64(math.Float32frombits(uint32(littleEndian(raw))))
	}
	return math.Float64frombits(littleEndian(raw))
}

// AppendText appends a decimal, date or time as the server writes it in text, of a
// timestamp in UTC.
func (c Column) AppendText(dst, raw []byte) []byte {
	switch c.Type {
	case typeNewDecimal:
		return appendDecimal(dst, raw, int(c.Meta>>8), int(c.Meta&0xff))
	case typeDate, typeNewDate:
		n := littleEndian(raw)
		return appendDate(dst, n>>9, n>>5&15, n&31)
	case typeTime:
		return appendOldTime(dst, raw)
	case typeDatetime:
		n := littleEndian(raw)
		day, clock := n/1e6, n%1e6
		return appendClock(append(appendDate(dst, day/1e4, day/100%100, day%100), ' '), clock/1e4, clock/100%100, clock%100)
	case typeTimestamp:
		return appendUnix(dst, littleEndian(raw))
	case typeTime2:
		return appendTime(dst, raw, c.Meta)
	case typeDatetime2:
		n := bigEndian(raw[:5]) &^ (1 << 39)
		months, day := n>>22, n>>17&31
		dst = append(appendDate(dst, months/13, months%13, day), ' ')
		return appendFraction(appendClock(dst, n>>12&31, n>>6&63, n&63), bigEndian(raw[5:]), c.Meta)
	case typeTimestamp2:
		seconds, fraction := bigEndian(raw[:4]), bigEndian(raw[4:])
		return appendFraction(appendUnix(dst, seconds), fraction, c.Meta)
	}
	return dst
}

// Unix returns a timestamp as microseconds since 1970; false for 0000-00-00.
func (c Column) Unix(raw []byte) (micros int64, ok bool) {
	switch c.Type {
	case typeTimestamp2:
		micros = int64(bigEndian(raw[:4]))*1e6 + int64(bigEndian(raw[4:]))*unit(c.Meta)
	case typeTimestamp:
		micros = int64(littleEndian(raw)) * 1e6
	}
	return micros, micros != 0
}

// digitsLen is how many bytes so many decimal digits take: four for nine.
func digitsLen(digits int) int { return digits/9*4 + (digits%9+1)/2 }

// appendDecimal reads a decimal: digits before and after the point in groups of
// nine, most significant first, each a big-endian number; the first bit is turned,
// and all of a negative number.
func appendDecimal(dst, raw []byte, precision, scale int) []byte {
	flip := byte(0)
	if raw[0]&0x80 == 0 {
		flip = 0xff
		dst = append(dst, '-')
	}
	var bits [32]byte
	n := copy(bits[:], raw)
	for i := range bits[:n] {
		bits[i] ^= flip
	}
	bits[0] ^= 0x80
	p, start := bits[:n], len(dst)
	group := func(digits int) {
		size := digitsLen(digits)
		if len(dst) > start || digits == 0 {
			dst = appendPadded(dst, bigEndian(p[:size]), digits)
		} else if v := bigEndian(p[:size]); v > 0 {
			dst = strconv.AppendUint(dst, v, 10)
		}
		p = p[size:]
	}
	whole := precision - scale
	if whole%9 > 0 {
		group(whole % 9)
	}
	for range whole / 9 {
		group(9)
	}
	if len(dst) == start {
		dst = append(dst, '0')
	}
	if scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	for range scale / 9 {
		group(9)
	}
	if scale%9 > 0 {
		group(scale % 9)
	}
	return dst
}

// appendPadded appends a number with zeros before it.
func appendPadded(dst []byte, n uint64, digits int) []byte {
	at := len(dst)
	for range digits {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= at && n > 0; i-- {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
	return dst
}

func appendDate(dst []byte, year, month, day uint64) []byte {
	dst = append(appendPadded(dst, year, 4), '-')
	dst = append(appendPadded(dst, month, 2), '-')
	return appendPadded(dst, day, 2)
}

func appendClock(dst []byte, hour, minute, second uint64) []byte {
	if hour > 99 {
		dst = strconv.AppendUint(dst, hour, 10)
	} else {
		dst = appendPadded(dst, hour, 2)
	}
	dst = append(appendPadded(append(dst, ':'), minute, 2), ':')
	return appendPadded(dst, second, 2)
}

// fractionLen is how many bytes the digits after the point of a time take.
func fractionLen(digits uint16) uint64 { return uint64(digits+1) / 2 }

// unit is how many microseconds the least digit is that is stored: an even number of
// them always is.
func unit(digits uint16) int64 {
	return [...]int64{1, 10000, 10000, 100, 100, 1, 1}[min(digits, 6)]
}

func appendFraction(dst []byte, n uint64, digits uint16) []byte {
	if digits == 0 {
		return dst
	}
	dst = appendPadded(append(dst, '.'), n*uint64(unit(digits)), 6)
	return dst[:len(dst)-6+int(digits)]
}

// appendTime reads a time: a bit for its sign and, as one number with the digits
// after the point, hours, minutes and seconds; a negative one is what is missing to
// the bit.
func appendTime(dst, raw []byte, digits uint16) []byte {
	fraction := 8 * fractionLen(digits)
	n := int64(bigEndian(raw)) - 1<<(23+fraction)
	if n < 0 {
		n = -n
		dst = append(dst, '-')
	}
	clock := uint64(n) >> fraction
	return appendFraction(appendClock(dst, clock>>12&1023, clock>>6&63, clock&63), uint64(n)&(1<<fraction-1), digits)
}

func appendOldTime(dst, raw []byte) []byte {
	n := int64(littleEndian(raw)<<40) >> 40
	if n < 0 {
		n = -n
		dst = append(dst, '-')
	}
	return appendClock(dst, uint64(n)/1e4, uint64(n)/100%100, uint64(n)%100)
}

// appendUnix writes seconds since 1970; none of them is 0000-00-00.
func appendUnix(dst []byte, seconds uint64) []byte {
	if seconds == 0 {
		return append(dst, "0000-00-00 00:00:00"...)
	}
	days, clock := seconds/86400, seconds%86400
	// Years that begin in March have their leap day at the end.
	days += 719468
	era, day := days/146097, days%146097
	year := (day - day/1460 + day/36524 - day/146096) / 365
	of := day - (365*year + year/4 - year/100)
	month := (5*of + 2) / 153
	date := of - (153*month+2)/5 + 1
	year += era * 400
	if month += 3; month > 12 {
		month -= 12
		year++
	}
	return appendClock(append(appendDate(dst, year, month, date), ' '), clock/3600, clock/60%60, clock%60)
}
