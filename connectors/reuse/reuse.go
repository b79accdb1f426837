// Package reuse keeps buffers that nobody needs any more for whoever needs one next:
// what a record batch held its values in, or an encoder its pages. Such buffers are most
// of what a read allocates, come by the thousand in a second, and are as good as new.
package reuse

import (
	"math/bits"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Sizes come in four steps from one power of two to the next.
const (
	least = 1 << 10
	most  = 2 << 20 // larger ones are rare, and worth a collection each
	steps = 4
)

// spare are the buffers of each class, as a pointer to the first of their bytes.
var spare [steps*11 + 1]Pool

// Element is what buffers consist of.
type Element interface {
	~uint8 | ~int32 | ~uint32 | ~int64 | ~uint64 | ~float32 | ~float64
}

// classOf returns the class of buffers of so many bytes, and how many they have.
func classOf(bytes int) (class, all int) {
	if bytes <= least {
		return 0, least
	}
	shift := bits.Len(uint(bytes-1)) - 3
	quarters := (bytes-1)>>shift + 1
	return steps*(shift-8) + quarters - steps, quarters << shift
}

// Take returns n elements, whose values are of no meaning. It is the caller's until
// GiveUp, and need not be given up. It is safe for concurrent use, as is GiveUp.
func Take[T Element](n int) []T {
	var one T
	size := int(unsafe.Sizeof(one))
	if n > most/size {
		return make([]T, n)
	}
	class, all := classOf(n * size)
	first, ok := spare[class].Get().(*byte)
	if !ok {
		first = unsafe.SliceData(make([]byte, all))
	}
	return unsafe.Slice((*T)(unsafe.Pointer(first)), all/size)[:n]
}

// GiveUp gives s up to others, with all of its capacity: nobody may look at it any
// more. Whatever Take did not make is left to the garbage collector.
func GiveUp[T Element](s []T) {
	var one T
	bytes := cap(s) * int(unsafe.Sizeof(one))
	if bytes < least || bytes > most {
		return
	}
	if class, all := classOf(bytes); all == bytes {
		spare[class].Put((*byte)(unsafe.Pointer(unsafe.SliceData(s))))
	}
}

// Room returns s with room for n more elements behind its last one. Where it had none,
// s is given up.
func Room[T Element](s []T, n int) []T {
	if n <= cap(s)-len(s) {
		return s
	}
	to := Take[T](max(len(s)+n, cap(s)+cap(s)/2))[:len(s)]
	copy(to, s)
	GiveUp(s)
	return to
}

// Drop forgets all buffers that lie there.
func Drop() {
	for i := range spare {
		spare[i].Drop()
	}
}

// Buffer returns an Arrow buffer of b, which is given up when nobody holds the buffer
// any more.
func Buffer(b []byte) *memory.Buffer { return memory.NewBufferWithAllocator(b, held{}) }

// held is the Allocator of such buffers; it allocates nothing.
type held struct{}

func (held) Allocate(int) []byte { panic("a buffer to be used again does not grow") }

func (held) Reallocate(int, []byte) []byte { panic("a buffer to be used again does not grow") }

func (held) Free(b []byte) { GiveUp(b) }
