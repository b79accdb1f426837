package parts

import (
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"

	"headwater/connectors/reuse"
)

// ints are integers, and what is stored as integers: dates, times, and decimals
// of up to 18 digits.
type ints[T int32 | int64] struct {
	plain    []T
	least    T // of the row group, of what is not in its dictionary
	most     T
	any      bool
	dict     *intDict[T] // nil when the values do not repeat
	at       []uint32    // of the open page: places in the dictionary
	dictUsed bool        // by a page of the row group
	dictFull bool        // of the row group: what follows is plain
}

func newInts[T int32 | int64](limit sizes) *ints[T] {
	v := &ints[T]{}
	if limit.entries > 0 {
		v.dict = newIntDict[T](limit)
	}
	return v
}

func (v *ints[T]) take(a arrow.Array, from, to, room int) int {
	to = min(to, from+max(1, room/int(unsafe.Sizeof(v.least))))
	start := len(v.plain)
	v.plain = reuse.Room(v.plain, to-from)[:start+to-from]
	dst := v.plain[start:]
	switch a := a.(type) {
	case *array.Decimal128:
		for i, d := range a.Values()[from:to] {
			dst[i] = T(d.LowBits())
		}
	case *array.Int32: // perhaps where the table has int64
		for i, n := range a.Int32Values()[from:to] {
			dst[i] = T(n)
		}
	default:
		copy(dst, fixedValues[T](a)[from:to])
	}
	dst = dst[:squeeze(dst, a, from)]
	v.plain = v.plain[:start+len(dst)]
	if v.dict != nil && !v.dictFull {
		// Nothing is plain in the open page, so dst is all of v.plain.
		v.plain = v.plain[:0]
		v.at = reuse.Room(v.at, len(dst))
		for i, n := range dst {
			at, ok := v.dict.place(n)
			if !ok {
				v.giveUp(dst[i:])
				break
			}
			v.at = append(v.at, at)
		}
		return to
	}
	v.bound(dst)
	return to
}

// giveUp turns the open page into a plain one, to which it appends the rest.
func (v *ints[T]) giveUp(rest []T) {
	v.bound(rest)
	open := reuse.Take[T](len(v.at) + len(rest))[:0]
	for _, at := range v.at {
		open = append(open, v.dict.entries[at])
	}
	open = append(open, rest...)
	reuse.GiveUp(v.plain) // where rest was
	v.plain, v.at, v.dictFull = open, v.at[:0], true
}

func (v *ints[T]) bound(values []T) {
	if len(values) == 0 {
		return
	}
	if !v.any {
		v.least, v.most, v.any = values[0], values[0], true
	}
	least, most := v.least, v.most
	for _, n := range values {
		least, most = min(least, n), max(most, n)
	}
	v.least, v.most = least, most
}

func (v *ints[T]) size() int {
	return len(v.plain)*int(unsafe.Sizeof(v.least)) + 4*len(v.at)
}

func (v *ints[T]) encode(dst []byte) ([]byte, parquet.Encoding) {
	if len(v.at) > 0 {
		dst = indices(dst, v.at, len(v.dict.entries))
		v.at, v.dictUsed = v.at[:0], true
		return dst, parquet.Encodings.RLEDict
	}
	dst = delta(dst, v.plain)
	v.plain = v.plain[:0]
	return dst, parquet.Encodings.DeltaBinaryPacked
}

func (v *ints[T]) dictionary() ([]byte, int) {
	if !v.dictUsed {
		return nil, 0
	}
	return appendFixed(nil, v.dict.entries), len(v.dict.entries)
}

func (v *ints[T]) bounds() (b bounds, ok bool) {
	if v.dict != nil {
		v.bound(v.dict.entries)
	}
	if !v.any {
		return b, false
	}
	return bounds{min: appendFixed(nil, []T{v.least}), max: appendFixed(nil, []T{v.most})}, true
}

func (v *ints[T]) reset() {
	v.any, v.dictUsed = false, false
	if v.dictFull {
		reuse.GiveUp(v.at)
		v.dict.giveUp()
		v.dict, v.dictFull, v.at = nil, false, nil
	}
	if v.dict != nil {
		v.dict.reset()
	}
}

func (v *ints[T]) retire() {
	reuse.GiveUp(v.plain)
	reuse.GiveUp(v.at)
	if v.dict != nil {
		v.dict.giveUp()
	}
	*v = ints[T]{}
}

// fixedValues are the values of a column of a fixed width.
func fixedValues[T any](a arrow.Array) []T {
	data := a.Data()
	if data.Len() == 0 || data.Buffers()[1] == nil {
		return make([]T, data.Len())
	}
	raw := data.Buffers()[1].Bytes()
	var v T
	return unsafe.Slice((*T)(unsafe.Pointer(&raw[0])), len(raw)/int(unsafe.Sizeof(v)))[data.Offset() : data.Offset()+data.Len()]
}

// appendFixed appends numbers as Parquet's PLAIN has them: in little endian, as
// every machine has that we run on.
func appendFixed[T int32 | int64 | float32 | float64](dst []byte, values []T) []byte {
	if len(values) == 0 {
		return dst
	}
	return append(dst, unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), len(values)*int(unsafe.Sizeof(values[0])))...)
}
