package parts

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Sizes of DELTA_BINARY_PACKED, in values.
const (
	deltaBlock = 128
	deltaMini  = 32
)

// delta appends integers as DELTA_BINARY_PACKED: differences to the value
// before, less the smallest of a block, in as few bits as they need.
func delta[T int32 | int64](dst []byte, values []T) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaBlock/deltaMini)
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	if len(values) == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(values[0]))
	last := values[0]
	values = values[1:]
	var block [deltaBlock]T
	mask := ^uint64(0) >> (64 - 8*unsafe.Sizeof(last))
	for len(values) > 0 {
		n := min(deltaBlock, len(values))
		least := values[0] - last // wraps around, as it does when read
		for i, v := range values[:n] {
			block[i] = v - last
			least = min(least, block[i])
			last = v
		}
		values = values[n:]
		dst = binary.AppendVarint(dst, int64(least))
		widths := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		for i := n; i < deltaBlock; i++ {
			block[i] = least
		}
		for m := 0; m*deltaMini < n; m++ {
			mini := block[m*deltaMini : (m+1)*deltaMini]
			var all uint64
			for _, d := range mini {
				all |= uint64(d-least) & mask
			}
			width := uint(bits.Len64(all))
			if width == 0 {
				continue
			}
			dst[widths+m] = byte(width)
			start := len(dst)
			dst = grow(dst, 4*int(width)+8)
			out, at := dst[start:], 0
			var word uint64
			var used uint
			for _, d := range mini {
				v := uint64(d-least) & mask
				word |= v << used
				used += width
				if used >= 64 {
					binary.LittleEndian.PutUint64(out[at:], word)
					at += 8
					used -= 64
					word = v >> (width - used)
				}
			}
			binary.LittleEndian.PutUint64(out[at:], word)
			dst = dst[:start+4*int(width)]
		}
	}
	return dst
}
