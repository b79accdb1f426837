package binarycopy

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// place names a row for people: by its key, or where it has none by its number.
func (d *Decoder) place(row []byte) string {
	names := make([]string, 0, len(d.keys))
	for _, at := range d.keys {
		c := &d.columns[at]
		text, ok := keyText(c, fieldAt(row, at))
		if !ok {
			names = nil
			break
		}
		names = append(names, c.name+" = "+text)
	}
	if len(names) == 0 {
		return fmt.Sprintf("row %d%s", d.Row, d.Within)
	}
	return "the row with " + strings.Join(names, ", ")
}

// fieldAt returns a row's field, nil if it is NULL or not there.
func fieldAt(row []byte, at int) []byte {
	for i := 0; len(row) >= 4; i++ {
		n := int(int32(binary.BigEndian.Uint32(row)))
		row = row[4:]
		switch {
		case n > len(row):
			return nil
		case i == at && n < 0:
			return nil
		case i == at:
			return row[:n]
		}
		row = row[max(n, 0):]
	}
	return nil
}

// keyText returns the text of a key column's value, false for what has none that
// people would look for.
func keyText(c *column, v []byte) (string, bool) {
	switch {
	case v == nil:
		return "", false
	case c.how == AsInt2 && len(v) == 2:
		return strconv.Itoa(int(int16(binary.BigEndian.Uint16(v)))), true
	case c.how == AsInt4 && len(v) == 4:
		return strconv.Itoa(int(int32(binary.BigEndian.Uint32(v)))), true
	case c.how == AsInt8 && len(v) == 8:
		return strconv.FormatInt(int64(binary.BigEndian.Uint64(v)), 10), true
	case c.how == AsUUID && len(v) == 16:
		return uuid.UUID(v).String(), true
	case c.how == AsNumeric:
		n, err := numeric(v, c.decimal.Precision, c.decimal.Scale)
		return n.ToString(c.decimal.Scale), err == nil
	case c.how == AsDate && len(v) == 4:
		n, err := days(int32(binary.BigEndian.Uint32(v)))
		return time.Unix(int64(n)*86400, 0).UTC().Format(time.DateOnly), err == nil
	case c.how == AsTimestamp && len(v) == 8:
		n, err := micros(c.how, int64(binary.BigEndian.Uint64(v)))
		return time.UnixMicro(n).UTC().Format("2006-01-02T15:04:05.999999"), err == nil
	case c.how == AsText && utf8.Valid(v):
		const most = 80
		if len(v) > most {
			return "", false
		}
		return strconv.Quote(string(v)), true
	}
	return "", false
}
