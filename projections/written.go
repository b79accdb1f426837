package projections

import (
	"hash/maphash"
	"sync/atomic"

	"headwater/projections/layout"
)

const (
	// writtenBits is the size of a written set, 4 MiB. With three million keys
	// it is still right about 98 of 100 that are not in it.
	writtenBits   = 1 << 25
	writtenProbes = 4
)

// written remembers, inexactly, which keys of cells a store holds (a Bloom
// filter): of most that it does not, it knows so. Folding history asks for a new
// sync and a new operation all the time, as a worker and a caller do that wait
// for one, and to look for what is not there is the dearest look of all. A nil
// set knows nothing. It changes how often Pebble is asked, never an answer: a key
// is added before it is committed. It is safe for concurrent use.
type written struct {
	seed maphash.Seed
	bits []uint64
}

func newWritten() *written {
	return &written{seed: maphash.MakeSeed(), bits: make([]uint64, writtenBits/64)}
}

func (w *written) add(key string) {
	if w != nil {
		w.mark(maphash.String(w.seed, key))
	}
}

// found adds a key that a store was opened with, if cells have such.
func (w *written) found(key []byte) {
	if w == nil {
		return
	}
	switch key[0] {
	case layout.KeyTime, layout.KeySource, layout.KeyName, layout.KeyScope, layout.KeyLanded, layout.KeySync, layout.KeyOperation, layout.KeyTarget:
		w.mark(maphash.Bytes(w.seed, key))
	}
}

func (w *written) mark(h uint64) {
	for range writtenProbes {
		if word := &w.bits[h%writtenBits/64]; atomic.LoadUint64(word)&(1<<(h%64)) == 0 {
			atomic.OrUint64(word, 1<<(h%64))
		}
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
		if atomic.LoadUint64(&w.bits[h%writtenBits/64])&(1<<(h%64)) == 0 {
			return true
		}
		h = h>>25 | h<<39
	}
	return false
}
