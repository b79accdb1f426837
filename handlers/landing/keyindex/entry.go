package keyindex

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// Key is the key of a row, as whoever made it compares keys: all of its bytes.
type Key [16]byte

// entry is a key and a place: the number of a row among those of a run, or that of a
// key among those that are looked for.
type entry struct {
	hi, lo uint64
	place  uint32
}

// entryOf spreads a key evenly. No two keys give the same, so nothing is ever taken
// for another: each step can be undone. Of a narrow key the second half is not kept.
func entryOf(k Key, narrow bool, place uint32) entry {
	a, b := binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
	if narrow {
		return entry{spread(a), 0, place}
	}
	return entry{spread(a ^ spread(b+0x9e3779b97f4a7c15)), b, place}
}

func spread(h uint64) uint64 {
	h = (h ^ h>>32) * 0xff51afd7ed558ccd
	h = (h ^ h>>29) * 0xc4ceb9fe1a85ec53
	return h ^ h>>32
}

func compare(a, b entry) int {
	if a.hi != b.hi {
		return cmp.Compare(a.hi, b.hi)
	}
	return cmp.Compare(a.lo, b.lo)
}

// sortEntries orders entries by their keys, with other as room of the same length,
// and returns which of the two holds them. Keys are spread, so that counting by their
// first bits leaves little to compare.
func sortEntries(entries, other []entry) []entry {
	if len(entries) < 64 {
		slices.SortFunc(entries, compare)
		return entries
	}
	width := bits.Len(uint(len(entries) / 4))
	ends := make([]uint32, 1<<width+1)
	for i := range entries {
		ends[entries[i].hi>>(64-width)+1]++
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	other = other[:len(entries)]
	for i := range entries {
		at := entries[i].hi >> (64 - width)
		other[ends[at]] = entries[i]
		ends[at]++
	}
	from := uint32(0)
	for _, to := range ends[:1<<width] {
		if bucket := other[from:to]; len(bucket) > 1 {
			sortFew(bucket)
		}
		from = to
	}
	return other
}

func sortFew(entries []entry) {
	if len(entries) > 32 {
		slices.SortFunc(entries, compare)
		return
	}
	for i := 1; i < len(entries); i++ {
		e, at := entries[i], i
		for at > 0 && compare(e, entries[at-1]) < 0 {
			entries[at] = entries[at-1]
			at--
		}
		entries[at] = e
	}
}
