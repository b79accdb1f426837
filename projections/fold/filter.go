package fold

import (
	"hash/maphash"
	"sync/atomic"

	"headwater/projections/layout"
)

const (
	// filterBits is the size of a Filter: 4 MiB. With three million keys it
	// still recognizes about 98 of 100 keys that it does not hold.
	filterBits   = 1 << 25
	filterProbes = 4
)

// Filter is a Bloom filter of the keys that a store holds: it often knows that a
// key is missing. Folding asks for new syncs and operations all the time, as do
// workers and callers that wait for one, and looking up a missing key is the
// most expensive look-up. A nil Filter knows nothing. The filter affects only
// how often Pebble is asked, never an answer, because a key is added before it
// is committed. It is safe for concurrent use.
type Filter struct {
	seed maphash.Seed
	bits []uint64
}

// NewFilter returns an empty Filter.
func NewFilter() *Filter {
	return &Filter{seed: maphash.MakeSeed(), bits: make([]uint64, filterBits/64)}
}

func (w *Filter) add(key string) {
	if w != nil {
		w.mark(maphash.String(w.seed, key))
	}
}

// Found adds a key of a store that is being opened, if its prefix is cached in
// cells.
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

// Never returns true if the key was certainly not written. False means nothing.
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
