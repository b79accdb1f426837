package parts

import (
	"encoding/binary"
	"math/bits"

	"headwater/connectors/reuse"
)

// mix spreads the bits of what it is multiplied with.
const mix = 0x9e3779b97f4a7c15

// probes is how many slots are looked at for a value. Tables are at most half
// full, so only values that were chosen to collide need more: they cost the
// dictionary, not the time.
const probes = 128

// intDict numbers the integers that it has seen.
type intDict[T int32 | int64] struct {
	most    int // entries
	entries []T
	slots   []uint32 // places in entries, plus one
	shift   uint     // leaves a hash as many bits as there are slots
}

func newIntDict[T int32 | int64](limit sizes) *intDict[T] {
	d := &intDict[T]{most: limit.entries}
	d.resize(8)
	return d
}

func (d *intDict[T]) resize(log uint) {
	reuse.GiveUp(d.slots)
	d.slots, d.shift = reuse.Take[uint32](1<<log), 64-log
	clear(d.slots)
	for i, n := range d.entries {
		s := d.slot(n)
		for d.slots[s] != 0 {
			s = (s + 1) & (len(d.slots) - 1)
		}
		d.slots[s] = uint32(i + 1)
	}
}

func (d *intDict[T]) slot(n T) int { return int(uint64(n) * mix >> (d.shift & 63)) }

// place returns where a value is in the dictionary, or false where it is not
// and the dictionary is full.
func (d *intDict[T]) place(n T) (uint32, bool) {
	s := d.slot(n)
	for range probes {
		at := d.slots[s]
		if at == 0 {
			return d.insert(n, s)
		}
		if d.entries[at-1] == n {
			return at - 1, true
		}
		s = (s + 1) & (len(d.slots) - 1)
	}
	return 0, false
}

func (d *intDict[T]) insert(n T, slot int) (uint32, bool) {
	if len(d.entries) >= d.most {
		return 0, false
	}
	d.entries = append(reuse.Room(d.entries, 1), n)
	d.slots[slot] = uint32(len(d.entries))
	if 2*len(d.entries) > len(d.slots) {
		d.resize(uint(bits.Len(uint(len(d.slots)))))
	}
	return uint32(len(d.entries) - 1), true
}

func (d *intDict[T]) giveUp() {
	reuse.GiveUp(d.entries)
	reuse.GiveUp(d.slots)
}

func (d *intDict[T]) reset() {
	d.entries = d.entries[:0]
	clear(d.slots)
}

// byteDict numbers the values that it has seen.
type byteDict struct {
	limit  sizes
	data   []byte   // the entries as PLAIN has them
	ends   []uint32 // of each entry in data
	before int      // bytes of an entry before its value
	slots  []uint64 // a hash's upper half, and a place in ends plus one
}

// newByteDict returns a dictionary of values with their length in front, if
// before is 4, or without anything, if it is 0.
func newByteDict(before int, limit sizes) *byteDict {
	d := &byteDict{limit: limit, before: before, slots: reuse.Take[uint64](256)}
	clear(d.slots)
	return d
}

func (d *byteDict) len() int { return len(d.ends) }

// entry returns an entry as PLAIN has it.
func (d *byteDict) entry(i int) []byte {
	if i == 0 {
		return d.data[:d.ends[0]]
	}
	return d.data[d.ends[i-1]:d.ends[i]]
}

func (d *byteDict) value(i int) []byte { return d.entry(i)[d.before:] }

// place returns where a value is in the dictionary, or false where it is not
// and the dictionary is full.
func (d *byteDict) place(v []byte) (uint32, bool) {
	hash := hashOf(v)
	mask := len(d.slots) - 1
	s := int(hash) & mask
	for range probes {
		slot := d.slots[s]
		if slot == 0 {
			return d.insert(v, hash, s)
		}
		if slot>>32 == hash>>32 && string(d.value(int(uint32(slot)-1))) == string(v) {
			return uint32(slot) - 1, true
		}
		s = (s + 1) & mask
	}
	return 0, false
}

// hashOf mixes the ends of a value: two loads, whatever its length.
func hashOf(v []byte) uint64 {
	var a, b uint64
	switch n := len(v); {
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(v), binary.LittleEndian.Uint64(v[n-8:])
		if n > 16 {
			a ^= binary.LittleEndian.Uint64(v[n/2-4:]) * mix
		}
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(v)), uint64(binary.LittleEndian.Uint32(v[n-4:]))
	case n > 0:
		a, b = uint64(v[0])|uint64(v[n/2])<<8, uint64(v[n-1])
	}
	high, low := bits.Mul64(a^mix, b^uint64(len(v))^0xe7037ed1a0b428db)
	return high ^ low
}

func (d *byteDict) insert(v []byte, hash uint64, slot int) (uint32, bool) {
	if len(d.ends) >= d.limit.entries || len(d.data)+d.before+len(v) > d.limit.entriesBytes {
		return 0, false
	}
	d.data = reuse.Room(d.data, d.before+len(v))
	if d.before == 4 {
		d.data = binary.LittleEndian.AppendUint32(d.data, uint32(len(v)))
	}
	d.data = append(d.data, v...)
	d.ends = append(reuse.Room(d.ends, 1), uint32(len(d.data)))
	d.slots[slot] = hash>>32<<32 | uint64(len(d.ends))
	if 2*len(d.ends) > len(d.slots) {
		d.resize(1 << bits.Len(uint(len(d.slots))))
	}
	return uint32(len(d.ends) - 1), true
}

func (d *byteDict) resize(n int) {
	reuse.GiveUp(d.slots)
	d.slots = reuse.Take[uint64](n)
	clear(d.slots)
	for i := range d.ends {
		hash := hashOf(d.value(i))
		s := int(hash) & (n - 1)
		for d.slots[s] != 0 {
			s = (s + 1) & (n - 1)
		}
		d.slots[s] = hash>>32<<32 | uint64(i+1)
	}
}

func (d *byteDict) giveUp() {
	reuse.GiveUp(d.data)
	reuse.GiveUp(d.ends)
	reuse.GiveUp(d.slots)
}

func (d *byteDict) reset() {
	d.data, d.ends = d.data[:0], d.ends[:0]
	clear(d.slots)
}
