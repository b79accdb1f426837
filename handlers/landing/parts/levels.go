package parts

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

// levels are which rows of the open page hold a value. Parquet's definition
// levels of a flat column are Arrow's validity bits, in the same order.
type levels struct {
	bits  []byte
	rows  int
	nulls int
}

// add appends rows [from, to) of a column.
func (l *levels) add(a arrow.Array, from, to int) {
	n := to - from
	l.bits = grow(l.bits, int(bitutil.BytesForBits(int64(l.rows+n)))-len(l.bits))
	if a.NullN() == 0 {
		bitutil.SetBitsTo(l.bits, int64(l.rows), int64(n), true)
	} else {
		bitutil.CopyBitmap(a.NullBitmapBytes(), a.Data().Offset()+from, n, l.bits, l.rows)
		l.nulls += n - bitutil.CountSetBits(l.bits, l.rows, n)
	}
	l.rows += n
}

// encode appends the levels as a data page holds them, before its values.
func (l *levels) encode(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0) // the length
	switch l.nulls {
	case 0:
		dst = append(binary.AppendUvarint(dst, uint64(l.rows)<<1), 1)
	case l.rows:
		dst = append(binary.AppendUvarint(dst, uint64(l.rows)<<1), 0)
	default:
		// One run of bit-packed levels: whole groups of eight, and a bitmap is
		// whole bytes.
		dst = binary.AppendUvarint(dst, uint64(len(l.bits))<<1|1)
		if used := l.rows % 8; used != 0 {
			l.bits[len(l.bits)-1] &= 1<<used - 1
		}
		dst = append(dst, l.bits...)
	}
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

func (l *levels) reset() { *l = levels{bits: l.bits[:0]} }

// grow returns s with n more elements, whose values are of no meaning.
func grow[T any](s []T, n int) []T {
	if n <= cap(s)-len(s) {
		return s[:len(s)+n]
	}
	bigger := make([]T, len(s)+n, max(len(s)+n, 2*cap(s)))
	copy(bigger, s)
	return bigger
}

// squeeze moves the values that are valid to the front of a slice that holds
// rows of a column from row from on, and returns how many there are.
func squeeze[T any](values []T, a arrow.Array, from int) int {
	if a.NullN() == 0 {
		return len(values)
	}
	bits, at, kept := a.NullBitmapBytes(), a.Data().Offset()+from, 0
	for i := range values {
		// No branch: whether a row is NULL cannot be predicted.
		values[kept] = values[i]
		kept += int(bits[(at+i)>>3] >> ((at + i) & 7) & 1)
	}
	return kept
}
