package parts

import (
	"encoding/binary"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"

	"headwater/connectors/reuse"
)

// texts are strings and bytes of any length.
type texts struct {
	plain    []byte // each with its length before it
	ends     extremes
	text     bool
	page     int
	dict     *byteDict // nil when the values do not repeat
	at       []uint32
	dictUsed bool
	dictFull bool
}

func newTexts(text bool, limit sizes) *texts {
	v := &texts{text: text, page: limit.page}
	if limit.entries > 0 {
		v.dict = newByteDict(4, limit)
	}
	return v
}

func (v *texts) take(a arrow.Array, from, to, room int) int {
	var offsets []int32
	var raw []byte
	switch a := a.(type) {
	case *array.String:
		offsets, raw = a.ValueOffsets(), stringBytes(a.Data())
	case *array.Binary:
		offsets, raw = a.ValueOffsets(), stringBytes(a.Data())
	}
	// Find the last row that has room.
	begin := offsets[from]
	to = from + max(1, sort.Search(to-from, func(i int) bool {
		return int(offsets[from+i+1]-begin)+4*(i+1) > room
	}))
	if v.dict != nil && !v.dictFull {
		nulls := a.NullN() > 0
		valid, offset := a.NullBitmapBytes(), a.Data().Offset()
		v.at = reuse.Room(v.at, to-from)
		for i := from; i < to; i++ {
			if nulls && valid[(offset+i)>>3]>>((offset+i)&7)&1 == 0 {
				continue
			}
			at, ok := v.dict.place(raw[offsets[i]:offsets[i+1]])
			if !ok {
				v.giveUp()
				v.add(a, raw, offsets, i, to)
				return to
			}
			v.at = append(v.at, at)
		}
		return to
	}
	v.add(a, raw, offsets, from, to)
	return to
}

func (v *texts) add(a arrow.Array, raw []byte, offsets []int32, from, to int) {
	at := len(v.plain)
	// Rows that are NULL may own bytes too; they need no less room.
	room := 4*(to-from) + int(offsets[to]-offsets[from])
	v.plain = reuse.Room(v.plain, room)[:at+room]
	nulls := a.NullN() > 0
	valid, offset := a.NullBitmapBytes(), a.Data().Offset()
	for i := from; i < to; i++ {
		if nulls && valid[(offset+i)>>3]>>((offset+i)&7)&1 == 0 {
			continue
		}
		value := raw[offsets[i]:offsets[i+1]]
		binary.LittleEndian.PutUint32(v.plain[at:], uint32(len(value)))
		at += 4
		at += copy(v.plain[at:], value)
		v.ends.add(value)
	}
	v.plain = v.plain[:at]
}

// giveUp turns the open page into a plain one.
func (v *texts) giveUp() {
	for _, at := range v.at {
		entry := v.dict.entry(int(at))
		v.plain = append(reuse.Room(v.plain, len(entry)), entry...)
	}
	v.at, v.dictFull = v.at[:0], true
}

func (v *texts) size() int { return len(v.plain) + 4*len(v.at) }

func (v *texts) encode(dst []byte) ([]byte, parquet.Encoding) {
	if len(v.at) > 0 {
		dst = indices(dst, v.at, v.dict.len())
		v.at, v.dictUsed = v.at[:0], true
		return dst, parquet.Encodings.RLEDict
	}
	dst = append(dst, v.plain...)
	if v.plain = v.plain[:0]; cap(v.plain) > 2*v.page {
		reuse.GiveUp(v.plain)
		v.plain = nil
	}
	return dst, parquet.Encodings.Plain
}

func (v *texts) dictionary() ([]byte, int) {
	if !v.dictUsed {
		return nil, 0
	}
	return v.dict.data, v.dict.len()
}

func (v *texts) bounds() (bounds, bool) {
	if v.dict != nil {
		for i := range v.dict.len() {
			v.ends.add(v.dict.value(i))
		}
	}
	return v.ends.bounds(v.text)
}

func (v *texts) reset() {
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

func (v *texts) retire() {
	reuse.GiveUp(v.plain)
	reuse.GiveUp(v.at)
	if v.dict != nil {
		v.dict.giveUp()
	}
	*v = texts{}
}

// stringBytes are the bytes that the offsets of a column point into.
func stringBytes(d arrow.ArrayData) []byte {
	if b := d.Buffers()[2]; b != nil {
		return b.Bytes()
	}
	return nil
}
