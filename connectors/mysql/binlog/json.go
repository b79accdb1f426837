package binlog

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Types within MySQL's binary JSON (json_binary.h of its documentation). Small ones
// have offsets of two bytes, large ones of four.
const (
	jsonSmallObject = iota
	jsonLargeObject
	jsonSmallArray
	jsonLargeArray
	jsonLiteral
	jsonInt16
	jsonUint16
	jsonInt32
	jsonUint32
	jsonInt64
	jsonUint64
	jsonDouble
	jsonString
	jsonOpaque = 15
)

const maxJSONDepth = 128 // MySQL's own limit is 100

// jsonText writes a document. Parts of it may be referred to more than once by bytes
// that lie: the text of an honest one is never much longer than its bytes.
type jsonText struct {
	out  []byte
	room int
}

// AppendJSON appends a document of MySQL's type json as the server writes it in
// text. It was not met here.
func AppendJSON(dst, raw []byte) ([]byte, error) {
	if len(raw) == 0 { // what an update of a wrong table may leave: the server reads NULL
		return append(dst, "null"...), nil
	}
	w := jsonText{out: dst, room: len(dst) + 64 + 16*len(raw)}
	if !w.value(raw[0], raw[1:], 0) || len(w.out) > w.room {
		return nil, ErrEvent
	}
	return w.out, nil
}

func (w *jsonText) value(kind byte, p []byte, depth int) bool {
	if depth > maxJSONDepth || len(w.out) > w.room {
		return false
	}
	switch kind {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		return w.container(kind, p, depth)
	case jsonLiteral:
		if len(p) < 1 || p[0] > 2 {
			return false
		}
		w.out = append(w.out, [...]string{"null", "true", "false"}[p[0]]...)
	case jsonInt16, jsonUint16, jsonInt32, jsonUint32, jsonInt64, jsonUint64, jsonDouble:
		return w.number(kind, p)
	case jsonString:
		text, ok := jsonBytes(p)
		if !ok || !utf8.Valid(text) {
			return false
		}
		w.text(text)
	case jsonOpaque:
		return w.opaque(p)
	default:
		return false
	}
	return true
}

func (w *jsonText) number(kind byte, p []byte) bool {
	size := 8
	switch kind {
	case jsonInt16, jsonUint16:
		size = 2
	case jsonInt32, jsonUint32:
		size = 4
	}
	if len(p) < size {
		return false
	}
	n := littleEndian(p[:size])
	switch kind {
	case jsonUint16, jsonUint32, jsonUint64:
		w.out = strconv.AppendUint(w.out, n, 10)
	case jsonDouble:
		w.out = appendDouble(w.out, math.Float64frombits(n))
	default:
		shift := 64 - 8*size
		w.out = strconv.AppendInt(w.out, int64(n<<shift)>>shift, 10)
	}
	return true
}

// appendDouble writes f as MySQL does: the shortest digits that read as f, with an exponent
// where the number begins behind the 15th digit after the point, or ends in zeros before the
// point that are not among its digits and has more than 15 digits there.
func appendDouble(dst []byte, f float64) []byte {
	text := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	n, err := strconv.Atoi(exponent)
	if err != nil { // no number: no JSON has one
		return append(dst, text...)
	}
	digits := len(strings.NewReplacer("-", "", ".", "").Replace(mantissa))
	if n < -15 || n > 14 && n+1 >= digits {
		return strconv.AppendInt(append(append(dst, mantissa...), 'e'), int64(n), 10)
	}
	text = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return append(dst, text...)
}

// jsonBytes reads a text: its length, seven bits a byte from the least, and itself.
func jsonBytes(p []byte) (text []byte, ok bool) {
	var n uint64
	for i := 0; i < 5 && i < len(p); i++ {
		n |= uint64(p[i]&0x7f) << (7 * i)
		if p[i] < 0x80 {
			text, _, ok = take(p[i+1:], n)
			return text, ok
		}
	}
	return nil, false
}

func (w *jsonText) text(s []byte) {
	const digits = "0123456789abcdef"
	w.out = append(w.out, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			w.out = append(w.out, '\\', c)
		case c >= 0x20:
			w.out = append(w.out, c)
		default:
			if i := strings.IndexByte("\b\t\n\f\r", c); i >= 0 {
				w.out = append(w.out, '\\', "btnfr"[i])
			} else {
				w.out = append(w.out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			}
		}
	}
	w.out = append(w.out, '"')
}

// container reads an object or array: how many members, how many bytes; of an
// object, where each key is and how long; of each value its type, and itself or
// where it is, from the container's beginning.
func (w *jsonText) container(kind byte, p []byte, depth int) bool {
	width := 2
	if kind == jsonLargeObject || kind == jsonLargeArray {
		width = 4
	}
	object := kind == jsonSmallObject || kind == jsonLargeObject
	if len(p) < 2*width {
		return false
	}
	count, size := littleEndian(p[:width]), littleEndian(p[width:2*width])
	entry, keyEntry := uint64(1+width), uint64(0)
	if object {
		keyEntry = uint64(width + 2)
	}
	head := uint64(2 * width)
	if size > uint64(len(p)) || count > size || head+count*(entry+keyEntry) > size {
		return false
	}
	p = p[:size]
	w.out = append(w.out, "[{"[b2i(object)])
	for i := range count {
		if i > 0 {
			w.out = append(w.out, ", "...)
		}
		if object {
			at := head + i*keyEntry
			offset, n := littleEndian(p[at:at+uint64(width)]), uint64(binary.LittleEndian.Uint16(p[at+uint64(width):]))
			if offset+n > size || !utf8.Valid(p[offset:offset+n]) {
				return false
			}
			w.text(p[offset : offset+n])
			w.out = append(w.out, ": "...)
		}
		at := head + count*keyEntry + i*entry
		typ, value := p[at], p[at+1:at+entry]
		inline := typ == jsonLiteral || typ == jsonInt16 || typ == jsonUint16 || width == 4 && (typ == jsonInt32 || typ == jsonUint32)
		if !inline {
			offset := littleEndian(value)
			if offset < head || offset >= size {
				return false
			}
			value = p[offset:]
		}
		if !w.value(typ, value, depth+1) {
			return false
		}
	}
	w.out = append(w.out, "]}"[b2i(object)])
	return true
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// opaque reads a value of another of the server's types: decimals, dates and times
// as themselves, others as the server writes what JSON has no form for.
func (w *jsonText) opaque(p []byte) bool {
	if len(p) < 1 {
		return false
	}
	typ := p[0]
	data, ok := jsonBytes(p[1:])
	if !ok {
		return false
	}
	switch typ {
	case typeNewDecimal:
		if len(data) < 2 {
			return false
		}
		c := Column{Type: typeNewDecimal, Meta: binary.BigEndian.Uint16(data)}
		size, _, ok := c.size(data[2:])
		if !ok || size != uint64(len(data)-2) {
			return false
		}
		w.out = c.AppendText(w.out, data[2:])
	case typeDate, typeTime, typeDatetime, typeTimestamp:
		if len(data) != 8 {
			return false
		}
		w.packed(typ, int64(littleEndian(data)))
	default:
		w.out = fmt.Appendf(w.out, `"base64:type%d:%s"`, typ, base64.StdEncoding.EncodeToString(data))
	}
	return true
}

// packed writes a date or time: microseconds in its 24 lower bits, and above them
// second, minute, hour, day and month as in a datetime.
func (w *jsonText) packed(typ byte, n int64) {
	w.out = append(w.out, '"')
	if n < 0 {
		n = -n
		w.out = append(w.out, '-')
	}
	micros, clock := uint64(n)&(1<<24-1), uint64(n)>>24
	if typ != typeTime {
		months, day := clock>>22, clock>>17&31
		w.out = appendDate(w.out, months/13, months%13, day)
		clock &= 1<<17 - 1
	}
	if typ != typeDate {
		if typ != typeTime {
			w.out = append(w.out, ' ')
		}
		w.out = appendFraction(appendClock(w.out, clock>>12&1023, clock>>6&63, clock&63), micros%1e6, 6)
	}
	w.out = append(w.out, '"')
}
