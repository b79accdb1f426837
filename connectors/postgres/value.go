package postgres

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
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

// value appends one value that is not NULL.
func (d *decoder) value(c *column, v []byte) error {
	switch c.how {
	case asText:
		if d.ascii && !utf8.Valid(v) {
			return errUTF8
		}
		c.binary.Append(v)
		return nil
	case asBytea:
		c.binary.Append(v)
		return nil
	case asJSONB:
		if len(v) == 0 || v[0] != 1 {
			return errMalformed
		}
		if d.ascii && !utf8.Valid(v) {
			return errUTF8
		}
		c.binary.Append(v[1:])
		return nil
	case asNumeric:
		n, err := numeric(v, c.decimal.Precision, c.decimal.Scale)
		if err != nil {
			return err
		}
		c.numeric.Append(n)
		return nil
	case asInt8, asTimestamp, asTime, asFloat8:
		if len(v) != 8 {
			return errLength
		}
		return c.eight(binary.BigEndian.Uint64(v))
	case asInt4, asDate, asFloat4:
		if len(v) != 4 {
			return errLength
		}
		return c.four(binary.BigEndian.Uint32(v))
	case asInt2:
		if len(v) != 2 {
			return errLength
		}
		c.int32.Append(int32(int16(binary.BigEndian.Uint16(v))))
		return nil
	case asBool:
		if len(v) != 1 {
			return errLength
		}
		c.boolean.Append(v[0] != 0)
		return nil
	case asUUID:
		if len(v) != 16 {
			return errLength
		}
		c.fixed.Append(v)
		return nil
	}
	return errMalformed
}

// eight appends a value of eight bytes.
func (c *column) eight(v uint64) error {
	n := int64(v)
	switch c.how {
	case asInt8:
		c.int64.Append(n)
	case asFloat8:
		c.float64.Append(math.Float64frombits(v))
	case asTime:
		if n < 0 || n >= dayMicros { // PostgreSQL has 24:00:00
			return errRange
		}
		c.time.Append(arrow.Time64(n))
	default:
		if n == math.MaxInt64 || n == math.MinInt64 {
			return errInfinite
		}
		if n > math.MaxInt64-epochMicros {
			return errRange
		}
		c.stamp.Append(arrow.Timestamp(n + epochMicros))
	}
	return nil
}

// four appends a value of four bytes.
func (c *column) four(v uint32) error {
	n := int32(v)
	switch c.how {
	case asInt4:
		c.int32.Append(n)
	case asFloat4:
		c.float32.Append(math.Float32frombits(v))
	default:
		if n == math.MaxInt32 || n == math.MinInt32 {
			return errInfinite
		}
		if n > math.MaxInt32-epochDays {
			return errRange
		}
		c.date.Append(arrow.Date32(n + epochDays))
	}
	return nil
}
