package fold

import (
	"hash/maphash"
	"sync/atomic"

	"headwater/projections/layout"
)

const (
	// filterBits is the size of a Filter, 4 MiB. With three million keys
	// it is still right about 98 of 100 that are not in it.
	filterBits   = 1 << 25
	filterProbes = 4
)

// Filter remembers, inexactly, which keys of cells a store holds (a Bloom
// filter): of most that it does not, it knows so. Folding history asks for a new
// sync and a new operation all the time, as a worker and a caller do that wait
// for one, and to look for what is not there is the dearest look of all. A nil
// set knows nothing. It changes how often Pebble is asked, never an answer: a key
// is added before it is committed. It is safe for concurrent use.
type Filter struct {
	seed maphash.Seed
	bits []uint64
}

// NewFilter returns one that holds nothing.
func NewFilter() *Filter {
	return &Filter{seed: maphash.MakeSeed(), bits: make([]uint64, filterBits/64)}
}

func (w *Filter) add(key string) {
	if w != nil {
		w.mark(maphash.String(w.seed, key))
	}
}

// Found adds a key that a store was opened with, if cells have such.
func (w *Filter) Found(key []byte) {
	if w == nil {
		return
	}
	switch key[0] {
	case layout.KeyTime, layout.KeySource, layout.KeyName, layout.KeyScope, layout.KeyLanded, layout.KeySync, layout.KeyOperation, layout.KeyTarget, layout.KeyToken:
		w.mark(maphash.Bytes(w.seed, key))
	}
}

func (w *Filter) mark(h uint64) {
	for range filterProbes {
		if word := &w.bits[h%filterBits/64]; atomic.LoadUint64(word)&(1<<(h%64)) == 0 {
			atomic.OrUint64(word, 1<<(h%64))
		}
		h = h>>25 | h<<39
	}
}

// Never reports that the key was not written. False says nothing.
func (w *Filter) Never(key []byte) bool {
	if w == nil {
		return false
	}
	h := maphash.Bytes(w.seed, key)
	for range filterProbes {
		if atomic.LoadUint64(&w.bits[h%filterBits/64])&(1<<(h%64)) == 0 {
			return true
		}
		h = h>>25 | h<<39
	}
	return false
}
