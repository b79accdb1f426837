package capture

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
	"headwater/connectors/mysql/typemap"
)

// logColumn is a column as the catalog describes it, for rows of the log.
type logColumn struct {
	name     string
	data     string // DATA_TYPE
	full     string // COLUMN_TYPE
	unsigned bool
	digits   int // of a time's fraction of a second
	charset  string
	text     *charset // nil for UTF-8
	labels   []string
	padded   int  // the width that ZEROFILL pads to, 0 without ZEROFILL
	swapped  bool // a uuid column whose values all have the old order of bytes
}

// newLogColumn reads a row of the catalog: name, DATA_TYPE, COLUMN_TYPE,
// CHARACTER_SET_NAME and DATETIME_PRECISION.
func newLogColumn(row []*string) logColumn {
	full := session.Text(row[2])
	lower := strings.ToLower(full)
	c := logColumn{name: session.Text(row[0]), data: strings.ToLower(session.Text(row[1])), full: full, charset: session.Text(row[3]), digits: int(session.Integer(row[4]))}
	zerofill := strings.Contains(lower, "zerofill")
	c.unsigned = zerofill || strings.Contains(lower, "unsigned")
	c.swapped = c.data == "uuid" && strings.Contains(lower, "old")
	switch c.data {
	case "enum", "set":
		c.unsigned, c.labels = false, labelsOf(full)
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint", "decimal", "numeric":
		if zerofill {
			c.padded = widthOf(lower, c.data)
		}
	}
	return c
}

// widthOf returns how many characters the server shows of a number with ZEROFILL.
func widthOf(full, data string) int {
	_, rest, _ := strings.Cut(full, "(")
	digits, _, _ := strings.Cut(rest, ")")
	whole, scale, point := strings.Cut(digits, ",")
	n, err := strconv.Atoi(whole)
	if err != nil { // MySQL 8.0.19 and later say no width
		return map[string]int{"tinyint": 3, "smallint": 5, "mediumint": 8, "int": 10, "integer": 10, "bigint": 20}[data]
	}
	if point && scale != "0" {
		n++
	}
	return n
}

// labelsOf reads the labels of "enum('a','b')". Quotes are doubled; control characters
// are written with a backslash.
func labelsOf(full string) (labels []string) {
	_, rest, _ := strings.Cut(full, "(")
	for strings.HasPrefix(rest, "'") {
		var label strings.Builder
		i := 1
		for ; i < len(rest); i++ {
			c := rest[i]
			if c == '\'' {
				if i+1 >= len(rest) || rest[i+1] != '\'' {
					break
				}
				i++ // a doubled quote
			} else if c == '\\' && i+1 < len(rest) {
				i++
				c = rest[i]
				if at := strings.IndexByte("0nrtZ", c); at >= 0 {
					c = "\x00\n\r\t\x1a"[at]
				}
			}
			label.WriteByte(c)
		}
		labels = append(labels, label.String())
		rest = strings.TrimPrefix(rest[min(i+1, len(rest)):], ",")
	}
	return labels
}

// value appends the values of one column from the log to a batch.
type value struct {
	at   int // index in the log's rows, -1 if they lack the column
	have logColumn
	log  binlog.Column
	to   *typemap.Column

	limit int64 // most bytes of a value that is stored compressed
}

// append appends a value that is not NULL. scratch is a buffer, which it returns for the
// next call.
func (v *value) append(raw, scratch []byte) ([]byte, error) {
	scratch = scratch[:0]
	switch v.log.Form() {
	case binlog.Number:
		return v.number(raw, scratch)
	case binlog.Real:
		f := v.log.Float(raw)
		switch v.to.Kind {
		case driver.Float32:
			v.to.Float32.Append(float32(f))
		case driver.Float64:
			v.to.Float64.Append(f)
		default:
			return scratch, typemap.ErrType
		}
		return scratch, nil
	case binlog.Written:
		if v.to.Kind == driver.TimestampTZ {
			if micros, ok := v.log.Unix(raw); ok {
				v.to.Stamp.Append(arrow.Timestamp(micros))
				return scratch, nil
			}
		}
		scratch = v.log.AppendText(scratch, raw)
		if v.to.Kind == driver.String && v.padded() {
			scratch = pad(scratch, v.have.padded)
		}
	case binlog.Bits:
		return v.bits(v.log.Uint(raw), scratch)
	case binlog.Label:
		return v.label(v.log.Uint(raw), scratch)
	case binlog.Document:
		var err error
		if scratch, err = binlog.AppendJSON(scratch, raw); err != nil {
			return scratch, err
		}
	default:
		return v.bytes(raw, scratch)
	}
	return scratch, v.to.Append(scratch)
}

func (v *value) padded() bool { return v.have.padded > 0 }

// pad puts zeros in front of a number, as ZEROFILL does.
func pad(text []byte, width int) []byte {
	if missing := width - len(text); missing > 0 {
		return append(bytes.Repeat([]byte("0"), missing), text...)
	}
	return text
}

func (v *value) number(raw, scratch []byte) ([]byte, error) {
	signed := v.log.Int(raw)
	if v.have.full == "year(2)" && signed == 0 { // a whole read has it as 2000 as well
		signed = 2000
	}
	switch {
	case v.to.Kind == driver.String:
		switch {
		case v.have.data == "year" && !strings.HasPrefix(v.have.full, "year(2"):
			scratch = fmt.Appendf(scratch, "%04d", signed)
		case v.have.unsigned:
			scratch = strconv.AppendUint(scratch, v.log.Uint(raw), 10)
		default:
			scratch = strconv.AppendInt(scratch, signed, 10)
		}
		return scratch, v.to.Append(pad(scratch, v.have.padded))
	case v.to.Kind == driver.Decimal:
		v.to.Decimal.Append(unsigned(v.log.Uint(raw)))
	case v.to.Kind == driver.Int64 && v.have.unsigned:
		v.to.Int64.Append(int64(v.log.Uint(raw)))
	case v.to.Kind == driver.Int64:
		v.to.Int64.Append(signed)
	case v.to.Kind == driver.Int32 && v.have.unsigned && v.have.data != "year":
		v.to.Int32.Append(int32(v.log.Uint(raw)))
	case v.to.Kind == driver.Int32:
		v.to.Int32.Append(int32(signed))
	default:
		return scratch, typemap.ErrType
	}
	return scratch, nil
}

func unsigned(n uint64) decimal128.Num {
	if n>>63 == 0 {
		return decimal128.FromI64(int64(n))
	}
	return decimal128.FromBigInt(new(big.Int).SetUint64(n))
}

func (v *value) bits(n uint64, scratch []byte) ([]byte, error) {
	switch v.to.Kind {
	case driver.Boolean:
		v.to.Boolean.Append(n&1 == 1)
	case driver.Int64:
		v.to.Int64.Append(int64(n))
	case driver.Decimal:
		v.to.Decimal.Append(unsigned(n))
	case driver.String:
		scratch = strconv.AppendUint(scratch, n, 10)
		return scratch, v.to.Append(scratch)
	default:
		return scratch, typemap.ErrType
	}
	return scratch, nil
}

// label appends the label of an enum, "" for 0, or the labels of a set with commas
// between them.
func (v *value) label(n uint64, scratch []byte) ([]byte, error) {
	if v.have.data == "enum" {
		if n > uint64(len(v.have.labels)) {
			return scratch, typemap.ErrRange
		}
		if n > 0 {
			scratch = append(scratch, v.have.labels[n-1]...)
		}
		return scratch, v.to.Append(scratch)
	}
	for i, label := range v.have.labels {
		if n>>i&1 == 1 {
			if len(scratch) > 0 {
				scratch = append(scratch, ',')
			}
			scratch = append(scratch, label...)
		}
	}
	if len(v.have.labels) < 64 && n>>len(v.have.labels) > 0 {
		return scratch, typemap.ErrRange
	}
	return scratch, v.to.Append(scratch)
}

// bytes appends text and bytes, and the types that the log has as bytes.
func (v *value) bytes(raw, scratch []byte) ([]byte, error) {
	raw, err := v.log.Decompressed(raw, v.limit)
	if err != nil {
		return scratch, err
	}
	switch v.have.data {
	case "uuid":
		scratch = appendUUID(scratch, fill(raw, 16), v.have.swapped)
		return scratch, v.to.Append(scratch)
	case "inet6":
		scratch = appendInet6(scratch, [16]byte(fill(raw, 16)))
		return scratch, v.to.Append(scratch)
	case "inet4":
		scratch = netip.AddrFrom4([4]byte(fill(raw, 4))).AppendTo(scratch)
		return scratch, v.to.Append(scratch)
	case "binary": // the log leaves out zeros at the end
		n, _ := v.log.Digits()
		raw = fill(raw, n)
	}
	if v.to.Kind == driver.String && v.have.charset == "" { // HEX
		scratch = bytes.ToUpper(hex.AppendEncode(scratch, raw))
		return scratch, v.to.Append(scratch)
	}
	if v.have.text == nil {
		return scratch, v.to.Append(raw)
	}
	scratch, ok := v.have.text.append(scratch, raw)
	if !ok {
		return scratch, typemap.ErrUTF8
	}
	return scratch, v.to.Append(scratch)
}

// fill returns p with zeros at the end, n bytes long.
func fill(p []byte, n int) []byte {
	if len(p) >= n {
		return p[:n]
	}
	return append(bytes.Clone(p), make([]byte, n-len(p))...)
}

// appendUUID writes a UUID. MariaDB stores versions up to 5 with their parts in the
// opposite order, so that they sort by time. Columns created before MariaDB 10.10.6 and
// 10.11.5 store every version so: always.
func appendUUID(dst, p []byte, always bool) []byte {
	if always || p[6]&0x80 != 0 && p[8] > 0 && p[8] < 0x60 {
		p = bytes.Join([][]byte{p[12:16], p[10:12], p[8:10], p[6:8], p[:6]}, nil)
	}
	for i, part := range [][]byte{p[:4], p[4:6], p[6:8], p[8:10], p[10:16]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

// appendInet6 writes an address as MariaDB does: the first of the longest runs of zeros,
// even a single zero, is left out, and the last four bytes of what may be an IPv4
// address are written in its form.
func appendInet6(dst []byte, p [16]byte) []byte {
	var words [8]uint16
	for i := range words {
		words[i] = uint16(p[2*i])<<8 | uint16(p[2*i+1])
	}
	from, longest := -1, 0
	for i := range words {
		n := 0
		for i+n < len(words) && words[i+n] == 0 {
			n++
		}
		if n > longest {
			from, longest = i, n
		}
	}
	for i := 0; i < len(words); i++ {
		if i == from {
			dst = append(dst, "::"...)
			i += longest - 1
			continue
		}
		if i > 0 && i != from+longest {
			dst = append(dst, ':')
		}
		if i == 6 && from == 0 && (longest == 6 || longest == 5 && words[5] == 0xffff) {
			return netip.AddrFrom4([4]byte(p[12:])).AppendTo(dst)
		}
		dst = strconv.AppendUint(dst, uint64(words[i]), 16)
	}
	return dst
}
