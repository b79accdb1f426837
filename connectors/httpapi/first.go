package httpapi

import (
	"hash/maphash"
	"strings"

	"headwater/connectors/records"
)

var seed = maphash.MakeSeed()

// firstOf notes what a first page is like.
func firstOf(a *answer, pg page) *first {
	f := &first{signs: a.signs, fields: map[string]bool{}, keys: map[string]bool{}, hashes: map[uint64]bool{}}
	for key := range a.top() {
		f.fields[strings.Clone(key)] = true
	}
	for raw := range pg.elements() {
		if len(f.hashes) == 0 {
			f.keys = keysOf(raw)
		}
		f.hashes[maphash.Bytes(seed, raw)] = true
	}
	f.uniform = pg.records > 1 && len(f.hashes) == 1
	f.distinct = len(f.hashes) == pg.records
	return f
}

func keysOf(record []byte) map[string]bool {
	keys := map[string]bool{}
	for key := range records.Fields(record) {
		keys[string(key)] = true
	}
	return keys
}

// repeats returns how many records of a page were on the first.
func (f *first) repeats(pg page) int {
	n := 0
	for raw := range pg.elements() {
		if f.hashes[maphash.Bytes(seed, raw)] {
			n++
		}
	}
	return n
}

// again reports whether a page is the first page once more: most of its records were on
// it. If all records of a page are equal they prove nothing.
func (f *first) again(pg page) bool {
	if pg.records == 0 || pg.single {
		return false
	}
	// Of a page whose first, middle and last records are new, most are.
	some := false
	for _, n := range []int{0, pg.records / 2, pg.records - 1} {
		some = some || f.hashes[maphash.Bytes(seed, pg.body.index.Record(n))]
	}
	return some && f.repeats(pg)*2 > pg.records
}

// alike reports whether the records of a page have the fields of those of the first.
func (f *first) alike(pg page) bool {
	for raw := range pg.elements() {
		same := 0
		keys := keysOf(raw)
		for key := range keys {
			if f.keys[key] {
				same++
			}
		}
		return same*2 >= min(len(keys), len(f.keys))
	}
	return true
}
