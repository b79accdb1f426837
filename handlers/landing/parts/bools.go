package parts

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/parquet"
)

// bools are a bit each, here as there.
type bools struct {
	bits    []byte
	n       int
	no, yes bool // whether the row group has any
}

func (v *bools) take(a arrow.Array, from, to, room int) int {
	to = min(to, from+8*max(1, room))
	n := to - from
	bits := a.(*array.Boolean).Data().Buffers()[1].Bytes()
	at := a.Data().Offset() + from
	v.bits = grow(v.bits, int(bitutil.BytesForBits(int64(v.n+n)))-len(v.bits))
	if a.NullN() == 0 {
		bitutil.CopyBitmap(bits, at, n, v.bits, v.n)
		v.n += n
		return to
	}
	valid, kept := a.NullBitmapBytes(), v.n
	for i := at; i < at+n; i++ {
		mask := byte(1) << (kept & 7)
		bit := bits[i>>3] >> (i & 7) & 1
		v.bits[kept>>3] = v.bits[kept>>3]&^mask | bit<<(kept&7)
		kept += int(valid[i>>3] >> (i & 7) & 1)
	}
	v.n = kept
	v.bits = v.bits[:bitutil.BytesForBits(int64(kept))]
	return to
}

func (v *bools) size() int { return v.n / 8 }

func (v *bools) encode(dst []byte) ([]byte, parquet.Encoding) {
	if used := v.n % 8; used != 0 {
		v.bits[len(v.bits)-1] &= 1<<used - 1
	}
	trues := bitutil.CountSetBits(v.bits, 0, v.n)
	v.yes, v.no = v.yes || trues > 0, v.no || trues < v.n
	dst = append(dst, v.bits...)
	v.bits, v.n = v.bits[:0], 0
	return dst, parquet.Encodings.Plain
}

func (v *bools) dictionary() ([]byte, int) { return nil, 0 }

func (v *bools) bounds() (bounds, bool) {
	b := bounds{min: []byte{1}, max: []byte{0}}
	if v.no {
		b.min = []byte{0}
	}
	if v.yes {
		b.max = []byte{1}
	}
	return b, v.no || v.yes
}

func (v *bools) reset() { v.no, v.yes = false, false }

func (v *bools) retire() { *v = bools{} }
