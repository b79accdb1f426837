package parts

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"

	"headwater/connectors/reuse"
)

// fixed are values of a fixed number of bytes: UUIDs, and decimals of more than
// 18 digits, in big endian.
type fixed struct {
	width    int
	decimal  bool
	plain    []byte
	ends     extremes
	dict     *byteDict // nil when the values do not repeat
	at       []uint32
	dictUsed bool
	dictFull bool
}

func newFixed(width int, decimal bool, limit sizes) *fixed {
	v := &fixed{width: width, decimal: decimal}
	if limit.entries > 0 {
		v.dict = newByteDict(0, limit)
	}
	return v
}

func (v *fixed) take(a arrow.Array, from, to, room int) int {
	to = min(to, from+max(1, room/v.width))
	if e, ok := a.(array.ExtensionArray); ok {
		a = e.Storage()
	}
	start := len(v.plain)
	size := (to - from) * v.width
	v.plain = reuse.Room(v.plain, size)[:start+size]
	dst, at := v.plain[start:], 0
	switch a := a.(type) {
	case *array.Decimal128:
		var be [16]byte
		for i, d := range a.Values()[from:to] {
			if a.IsNull(from + i) {
				continue
			}
			binary.BigEndian.PutUint64(be[:], uint64(d.HighBits()))
			binary.BigEndian.PutUint64(be[8:], d.LowBits())
			at += copy(dst[at:], be[16-v.width:])
		}
	default:
		raw := a.Data().Buffers()[1].Bytes()[(a.Data().Offset()+from)*v.width:]
		if a.NullN() == 0 {
			at = copy(dst, raw)
			break
		}
		for i := range to - from {
			if a.IsValid(from + i) {
				at += copy(dst[at:], raw[i*v.width:(i+1)*v.width])
			}
		}
	}
	dst = dst[:at]
	v.plain = v.plain[:start+at]
	if v.dict == nil || v.dictFull {
		for i := 0; i < len(dst); i += v.width {
			v.bound(dst[i : i+v.width])
		}
		return to
	}
	v.plain = v.plain[:0] // nothing else is plain in the open page
	v.at = reuse.Room(v.at, to-from)
	for i := 0; i < len(dst); i += v.width {
		at, ok := v.dict.place(dst[i : i+v.width])
		if !ok {
			v.giveUp(dst[i:])
			break
		}
		v.at = append(v.at, at)
	}
	return to
}

// giveUp turns the open page into a plain one, to which it appends the rest.
func (v *fixed) giveUp(rest []byte) {
	open := reuse.Take[byte](len(v.at)*v.width + len(rest))[:0]
	for _, at := range v.at {
		open = append(open, v.dict.entry(int(at))...)
	}
	for i := 0; i < len(rest); i += v.width {
		v.bound(rest[i : i+v.width])
	}
	open = append(open, rest...)
	reuse.GiveUp(v.plain) // where rest was
	v.plain, v.at, v.dictFull = open, v.at[:0], true
}

// bound notes a value. Decimals order by their sign first: with its bit turned
// over, two's complement orders as bytes do.
func (v *fixed) bound(value []byte) {
	if v.decimal {
		value[0] ^= 0x80
		v.ends.add(value)
		value[0] ^= 0x80
		return
	}
	v.ends.add(value)
}

func (v *fixed) size() int { return len(v.plain) + 4*len(v.at) }

func (v *fixed) encode(dst []byte) ([]byte, parquet.Encoding) {
	if len(v.at) > 0 {
		dst = indices(dst, v.at, v.dict.len())
		v.at, v.dictUsed = v.at[:0], true
		return dst, parquet.Encodings.RLEDict
	}
	dst = append(dst, v.plain...)
	v.plain = v.plain[:0]
	return dst, parquet.Encodings.Plain
}

func (v *fixed) dictionary() ([]byte, int) {
	if !v.dictUsed {
		return nil, 0
	}
	return v.dict.data, v.dict.len()
}

func (v *fixed) bounds() (bounds, bool) {
	if v.dict != nil {
		for i := range v.dict.len() {
			v.bound(v.dict.value(i))
		}
	}
	b, ok := v.ends.bounds(false)
	if ok && v.decimal {
		b.min[0] ^= 0x80
		b.max[0] ^= 0x80
	}
	return b, ok
}

func (v *fixed) reset() {
	v.ends, v.dictUsed = extremes{}, false
	if v.dictFull {
		reuse.GiveUp(v.at)
		v.dict.giveUp()
		v.dict, v.dictFull, v.at = nil, false, nil
	}
	if v.dict != nil {
		v.dict.reset()
	}
}

func (v *fixed) retire() {
	reuse.GiveUp(v.plain)
	reuse.GiveUp(v.at)
	if v.dict != nil {
		v.dict.giveUp()
	}
	*v = fixed{}
}
