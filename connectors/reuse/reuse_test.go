package reuse

import (
	"testing"
	"unsafe"
)

// Every size has a class whose buffers hold it with at most a quarter left over, and
// what Take returns is known again by GiveUp.
func TestClasses(t *testing.T) {
	last := -1
	for size := 1; size <= most; size++ {
		class, all := classOf(size)
		if all < size || size > least && 4*all > 5*size+4*least/4 || class < last || class > last+1 || class >= len(spare) {
			t.Fatalf("%d bytes: class %d behind %d, %d bytes", size, class, last, all)
		}
		if again, whole := classOf(all); again != class || whole != all {
			t.Fatalf("%d bytes: a buffer of class %d with %d bytes is taken for class %d with %d", size, class, all, again, whole)
		}
		last = class
	}
	if last != len(spare)-1 {
		t.Errorf("classes up to %d of %d", last, len(spare))
	}
}

func TestTakeAndGiveUp(t *testing.T) {
	for range 100 { // with the race detector a pool forgets some of what it gets
		a := Take[int64](1000)
		a[999] = 7
		GiveUp(a)
		b := Take[byte](8000)
		if unsafe.Pointer(unsafe.SliceData(a)) == unsafe.Pointer(unsafe.SliceData(b)) {
			if len(b) != 8000 || cap(b) != cap(a)*8 {
				t.Errorf("%d of %d bytes where %d numbers of %d were", len(b), cap(b), len(a), cap(a))
			}
			return
		}
		GiveUp(b)
	}
	t.Error("what was given up is never taken again")
}

// What Take did not make stays with whoever has it, as do parts of what it made.
func TestGiveUpOfOthers(t *testing.T) {
	for name, s := range map[string][]byte{
		"none": nil, "small": make([]byte, 10), "between classes": make([]byte, 1000, 1111), "large": make([]byte, most+1),
		"a part": Take[byte](4096)[100:],
	} {
		GiveUp(s)
		for range 20 {
			if b := Take[byte](max(cap(s), 1)); len(s) > 0 && unsafe.SliceData(b) == unsafe.SliceData(s) {
				t.Errorf("%s: was given out", name)
			}
		}
	}
}

func TestRoom(t *testing.T) {
	s := Take[uint32](3)[:0]
	for i := range uint32(1_000_000) {
		s = append(Room(s, 1), i)
	}
	for i, n := range s {
		if uint32(i) != n {
			t.Fatalf("%d at %d", n, i)
		}
	}
}
