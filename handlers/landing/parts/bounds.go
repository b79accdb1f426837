package parts

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// extremes are the smallest and the largest of texts, in the order of their
// bytes. Most values lie between, and their first eight bytes tell.
type extremes struct {
	least, most       []byte
	leastKey, mostKey uint64
	any               bool
}

func (e *extremes) add(v []byte) {
	key := keyOf(v)
	if e.any && key > e.leastKey && key < e.mostKey {
		return
	}
	if !e.any || key < e.leastKey || key == e.leastKey && bytes.Compare(v, e.least) < 0 {
		e.least, e.leastKey = append(e.least[:0], v[:min(len(v), keptSize)]...), key
	}
	if !e.any || key > e.mostKey || key == e.mostKey && bytes.Compare(v, e.most) > 0 {
		e.most, e.mostKey = append(e.most[:0], atMost(v)...), key
	}
	e.any = true
}

func keyOf(v []byte) uint64 {
	if len(v) >= 8 {
		return binary.BigEndian.Uint64(v)
	}
	var key uint64
	for i, b := range v {
		key |= uint64(b) << (56 - 8*i)
	}
	return key
}

// boundSize is how long a bound is at most: longer ones are cut, so that a
// footer's size does not depend on the values'.
const boundSize = 256

// keptSize is how much is kept of an extreme: enough to cut a bound from.
const keptSize = boundSize + utf8.UTFMax

// atMost returns what is kept of the largest value: all of it where no shorter
// bound may lie above it.
func atMost(v []byte) []byte {
	const high = 0x8f // every byte of the last character is at least this
	if len(v) > keptSize && slices.ContainsFunc(v[:boundSize-utf8.UTFMax], func(b byte) bool { return b < high }) {
		return v[:keptSize]
	}
	return v
}

// bounds returns copies of the extremes, cut if they are long.
func (e *extremes) bounds(text bool) (bounds, bool) {
	if !e.any {
		return bounds{}, false
	}
	// An empty value is a bound, and nil is none. What is cut is copied after the
	// cut: bounds stay until the file ends, and values may be long.
	var b bounds
	least, most := e.least, e.most
	if len(least) > boundSize {
		least, b.minCut = prefix(least, text), true
	}
	if len(most) > boundSize {
		// What no shorter bound lies above stays whole.
		if above, ok := next(append([]byte{}, prefix(most, text)...), text); ok {
			most, b.maxCut = above, true
		}
	}
	b.min, b.max = append([]byte{}, least...), append([]byte{}, most...)
	return b, true
}

// prefix returns the first boundSize bytes, or less where a character of a text
// would be cut.
func prefix(v []byte, text bool) []byte {
	n := boundSize
	for text && n > boundSize-utf8.UTFMax && !utf8.RuneStart(v[n]) {
		n--
	}
	return v[:n:n]
}

// next returns the shortest value above everything that begins with v, which it
// changes. A text stays one.
func next(v []byte, text bool) ([]byte, bool) {
	for len(v) > 0 {
		if !text {
			if last := len(v) - 1; v[last] < 0xff {
				v[last]++
				return v, true
			}
			v = v[:len(v)-1]
			continue
		}
		r, n := utf8.DecodeLastRune(v)
		if r == utf8.RuneError && n <= 1 {
			return nil, false // is no text
		}
		v = v[:len(v)-n]
		if r++; r == 0xd800 {
			r = 0xe000 // no characters between
		}
		if r <= utf8.MaxRune {
			return utf8.AppendRune(v, r), true
		}
	}
	return nil, false
}
