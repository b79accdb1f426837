package projections

import "hash/maphash"

const (
	// writtenBits is the size of a written set, 4 MiB. With three million keys
	// it is still right about 98 of 100 that are not in it.
	writtenBits   = 1 << 25
	writtenProbes = 4
)

// written remembers, inexactly, which keys a store that began empty has written
// (a Bloom filter): of most that it has not, it knows so. Folding history asks
// for a new sync and a new operation all the time, and to look for what is not
// there is the dearest look of all. A nil set knows nothing. It changes how
// often Pebble is asked, never an answer.
type written struct {
	seed maphash.Seed
	bits []uint64
}

func newWritten() *written {
	return &written{seed: maphash.MakeSeed(), bits: make([]uint64, writtenBits/64)}
}

func (w *written) add(key string) {
	if w == nil {
		return
	}
	h := maphash.String(w.seed, key)
	for range writtenProbes {
		w.bits[h%writtenBits/64] |= 1 << (h % 64)
		h = h>>25 | h<<39
	}
}

// never reports that the key was not written. False says nothing.
func (w *written) never(key []byte) bool {
	if w == nil {
		return false
	}
	h := maphash.Bytes(w.seed, key)
	for range writtenProbes {
		if w.bits[h%writtenBits/64]&(1<<(h%64)) == 0 {
			return true
		}
		h = h>>25 | h<<39
	}
	return false
}
