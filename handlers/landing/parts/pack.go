package parts

import (
	"encoding/binary"
	"math/bits"
)

// pack appends the lowest width bits of each value, padded with zeroes to whole
// groups of eight values.
func pack(dst []byte, values []uint32, width uint) []byte {
	size := (len(values) + 7) / 8 * int(width)
	start := len(dst)
	dst = grow(dst, size+8)
	out, at := dst[start:], 0
	var word uint64
	var used uint
	for _, v := range values {
		word |= uint64(v) << used
		used += width
		if used >= 64 {
			binary.LittleEndian.PutUint64(out[at:], word)
			at += 8
			used -= 64
			word = uint64(v) >> (width - used)
		}
	}
	for at < size {
		binary.LittleEndian.PutUint64(out[at:], word)
		at += 8
		word = 0
	}
	return dst[:start+size]
}

// indices appends positions in a dictionary of n entries, as a data page holds
// them.
func indices(dst []byte, at []uint32, n int) []byte {
	width := uint(max(1, bits.Len(uint(n-1))))
	dst = append(dst, byte(width))
	if n == 1 { // one run of it
		return append(binary.AppendUvarint(dst, uint64(len(at))<<1), 0)
	}
	dst = binary.AppendUvarint(dst, uint64((len(at)+7)/8)<<1|1)
	return pack(dst, at, width)
}
