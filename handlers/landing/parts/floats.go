package parts

import (
	"math"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"

	"headwater/connectors/reuse"
)

type floats[T float32 | float64] struct {
	plain       []T
	least, most T // of the row group, of what is a number
	any         bool
}

func (v *floats[T]) take(a arrow.Array, from, to, room int) int {
	to = min(to, from+max(1, room/int(unsafe.Sizeof(v.least))))
	start := len(v.plain)
	v.plain = reuse.Room(v.plain, to-from)[:start+to-from]
	dst := v.plain[start:]
	if narrow, ok := a.(*array.Float32); ok { // perhaps where the table has float64
		for i, f := range narrow.Float32Values()[from:to] {
			dst[i] = T(f)
		}
	} else {
		copy(dst, fixedValues[T](a)[from:to])
	}
	dst = dst[:squeeze(dst, a, from)]
	v.plain = v.plain[:start+len(dst)]
	if !v.any {
		v.least, v.most = T(math.Inf(1)), T(math.Inf(-1))
	}
	for _, f := range dst {
		// NaN is neither less nor more.
		if f < v.least {
			v.least = f
		}
		if f > v.most {
			v.most = f
		}
		v.any = v.any || f == f
	}
	return to
}

func (v *floats[T]) size() int { return len(v.plain) * int(unsafe.Sizeof(v.least)) }

func (v *floats[T]) encode(dst []byte) ([]byte, parquet.Encoding) {
	dst = appendFixed(dst, v.plain)
	v.plain = v.plain[:0]
	return dst, parquet.Encodings.Plain
}

func (v *floats[T]) dictionary() ([]byte, int) { return nil, 0 }

// bounds are none where nothing is a number. Readers may order zeroes by their
// sign, so a bound of zero is the one further out.
func (v *floats[T]) bounds() (bounds, bool) {
	if !v.any {
		return bounds{}, false
	}
	least, most := v.least, v.most
	if least == 0 {
		least = T(math.Copysign(0, -1))
	}
	if most == 0 {
		most = 0
	}
	return bounds{min: appendFixed(nil, []T{least}), max: appendFixed(nil, []T{most})}, true
}

func (v *floats[T]) reset() { v.any = false }

func (v *floats[T]) retire() {
	reuse.GiveUp(v.plain)
	*v = floats[T]{}
}
