package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

var (
	errInfinite = errors.New("infinity has no place in this type")
	errRange    = errors.New("the value lies outside what this type can hold")
	errLength   = errors.New("the value has the wrong length for its type")
	errUTF8     = errors.New("the text is not valid UTF-8, which the server's encoding SQL_ASCII does not rule out")
)

// Both of PostgreSQL's epochs lie at 2000-01-01.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86400 * 1000000
	dayMicros   = 86400 * 1000000
)

// value sets a value of the row that is being read; it is not NULL.
func (d *decoder) value(c *column, v []byte) error {
	row := d.rows
	switch c.how {
	case asText, asBytea, asJSONB:
		if c.how == asJSONB {
			if len(v) == 0 || v[0] != 1 {
				return errMalformed
			}
			v = v[1:]
		}
		if d.ascii && c.how != asBytea {
			var err error
			if v, err = decodeText(d.charset, v); err != nil {
				return err
			}
		}
		c.bytes = append(c.bytes, v...)
		c.endBytes(row)
		return nil
	case asChar:
		c.bytes = appendChar(c.bytes, v)
		c.endBytes(row)
		return nil
	case asNumeric:
		n, err := numeric(v, c.decimal.Precision, c.decimal.Scale)
		if err != nil {
			return err
		}
		at := c.fixed[16*row : 16*row+16]
		low, high := at[:8], at[8:]
		if bigEndian {
			low, high = high, low
		}
		binary.NativeEndian.PutUint64(low, n.LowBits())
		binary.NativeEndian.PutUint64(high, uint64(n.HighBits()))
		return nil
	case asInt8, asFloat8:
		if len(v) != 8 {
			return errLength
		}
		binary.NativeEndian.PutUint64(c.fixed[8*row:], binary.BigEndian.Uint64(v))
		return nil
	case asTimestamp, asTime:
		if len(v) != 8 {
			return errLength
		}
		n, err := micros(c.how, int64(binary.BigEndian.Uint64(v)))
		if err != nil {
			return err
		}
		binary.NativeEndian.PutUint64(c.fixed[8*row:], uint64(n))
		return nil
	case asInt4, asFloat4:
		if len(v) != 4 {
			return errLength
		}
		binary.NativeEndian.PutUint32(c.fixed[4*row:], binary.BigEndian.Uint32(v))
		return nil
	case asDate:
		if len(v) != 4 {
			return errLength
		}
		n, err := days(int32(binary.BigEndian.Uint32(v)))
		if err != nil {
			return err
		}
		binary.NativeEndian.PutUint32(c.fixed[4*row:], uint32(n))
		return nil
	case asInt2:
		if len(v) != 2 {
			return errLength
		}
		binary.NativeEndian.PutUint32(c.fixed[4*row:], uint32(int32(int16(binary.BigEndian.Uint16(v)))))
		return nil
	case asBool:
		if len(v) != 1 {
			return errLength
		}
		if v[0] != 0 {
			c.fixed[row>>3] |= 1 << (row & 7)
		}
		return nil
	case asUUID:
		if len(v) != 16 {
			return errLength
		}
		copy(c.fixed[16*row:], v)
		return nil
	}
	return errMalformed
}

// appendChar appends a "char", which is a byte: beyond ASCII in the octal form
// that servers from 15 on write, as its bytes alone are no text.
func appendChar(to, v []byte) []byte {
	switch {
	case len(v) != 1 || v[0] == 0:
		return to
	case v[0] >= utf8.RuneSelf:
		return fmt.Appendf(to, `\%03o`, v[0])
	}
	return append(to, v[0])
}

// bigEndian is the machine's order of bytes: Arrow keeps decimals in it.
var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// micros turns a time of day, or a point in time, into Arrow's.
func micros(how decoding, n int64) (int64, error) {
	switch {
	case how == asTime:
		if n < 0 || n >= dayMicros { // PostgreSQL has 24:00:00
			return 0, errRange
		}
		return n, nil
	case n == math.MaxInt64 || n == math.MinInt64:
		return 0, errInfinite
	case n > math.MaxInt64-epochMicros:
		return 0, errRange
	}
	return n + epochMicros, nil
}

// days turns a date into Arrow's.
func days(n int32) (int32, error) {
	switch {
	case n == math.MaxInt32 || n == math.MinInt32:
		return 0, errInfinite
	case n > math.MaxInt32-epochDays:
		return 0, errRange
	}
	return n + epochDays, nil
}
