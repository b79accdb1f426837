package binarycopy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"golang.org/x/text/encoding"
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

// set stores the binary form of a row's value, which is not NULL.
func (c *column) set(row int, v []byte, text encodingOf) error {
	switch c.how {
	case AsText, AsBytea, AsJSONB:
		if c.how == AsJSONB {
			if len(v) == 0 || v[0] != 1 {
				return ErrMalformed
			}
			v = v[1:]
		}
		if text.ascii && c.how != AsBytea {
			var err error
			if v, err = decodeText(text.charset, v); err != nil {
				return err
			}
		}
		c.add(v)
		c.endBytes(row)
		return nil
	case AsChar:
		c.bytes = appendChar(c.bytes, v)
		c.endBytes(row)
		return nil
	case AsNumeric:
		n, err := numeric(v, c.decimal.Precision, c.decimal.Scale)
		if err != nil {
			return err
		}
		c.setDecimal(row, n)
		return nil
	case AsInt8, AsFloat8:
		if len(v) != 8 {
			return errLength
		}
		binary.NativeEndian.PutUint64(c.fixed[8*row:], binary.BigEndian.Uint64(v))
		return nil
	case AsTimestamp, AsTime:
		if len(v) != 8 {
			return errLength
		}
		n, err := micros(c.how, int64(binary.BigEndian.Uint64(v)))
		if err != nil {
			return err
		}
		binary.NativeEndian.PutUint64(c.fixed[8*row:], uint64(n))
		return nil
	case AsInt4, AsFloat4:
		if len(v) != 4 {
			return errLength
		}
		binary.NativeEndian.PutUint32(c.fixed[4*row:], binary.BigEndian.Uint32(v))
		return nil
	case AsDate:
		if len(v) != 4 {
			return errLength
		}
		n, err := days(int32(binary.BigEndian.Uint32(v)))
		if err != nil {
			return err
		}
		binary.NativeEndian.PutUint32(c.fixed[4*row:], uint32(n))
		return nil
	case AsInt2:
		if len(v) != 2 {
			return errLength
		}
		binary.NativeEndian.PutUint32(c.fixed[4*row:], uint32(int32(int16(binary.BigEndian.Uint16(v)))))
		return nil
	case AsBool:
		if len(v) != 1 {
			return errLength
		}
		if v[0] != 0 {
			c.fixed[row>>3] |= 1 << (row & 7)
		}
		return nil
	case AsUUID:
		if len(v) != 16 {
			return errLength
		}
		copy(c.fixed[16*row:], v)
		return nil
	}
	return ErrMalformed
}

// encodingOf is what the text of a database that does not say so is in.
type encodingOf struct {
	ascii   bool
	charset encoding.Encoding // nil if nobody said
}

func (c *column) setDecimal(row int, n decimal128.Num) {
	at := c.fixed[16*row : 16*row+16]
	low, high := at[:8], at[8:]
	if bigEndian {
		low, high = high, low
	}
	binary.NativeEndian.PutUint64(low, n.LowBits())
	binary.NativeEndian.PutUint64(high, uint64(n.HighBits()))
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
func micros(how Decoding, n int64) (int64, error) {
	switch {
	case how == AsTime:
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

// decodeText returns text of a database that does not say what its bytes mean as
// UTF-8. What is UTF-8 already stays.
func decodeText(e encoding.Encoding, v []byte) ([]byte, error) {
	if utf8.Valid(v) {
		return v, nil
	}
	if e == nil {
		return nil, errUTF8
	}
	out, err := e.NewDecoder().Bytes(v)
	if err != nil {
		return nil, errUTF8
	}
	return out, nil
}
