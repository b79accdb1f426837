package datafiles

import (
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// reuse hands out buffers that were freed before, so that reading a file batch
// by batch leaves no garbage. What was read is valid until it is released. It is
// not safe for concurrent use.
type reuse struct {
	memory.GoAllocator
	free map[int][][]byte // by the power of two that is their capacity
}

func newReuse() *reuse { return &reuse{free: map[int][][]byte{}} }

// smallestReused is the size from which on a buffer is worth keeping.
const smallestReused = 1 << 10

func (r *reuse) Allocate(size int) []byte {
	if size < smallestReused {
		return r.GoAllocator.Allocate(size)
	}
	class := bits.Len(uint(size - 1))
	if free := r.free[class]; len(free) > 0 {
		r.free[class] = free[:len(free)-1]
		b := free[len(free)-1][:size]
		clear(b)
		return b
	}
	return r.GoAllocator.Allocate(1 << class)[:size]
}

func (r *reuse) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	grown := r.Allocate(size)
	copy(grown, b)
	r.Free(b)
	return grown
}

func (r *reuse) Free(b []byte) {
	if class := bits.Len(uint(cap(b) - 1)); cap(b) >= smallestReused && cap(b) == 1<<class {
		r.free[class] = append(r.free[class], b)
	}
}
