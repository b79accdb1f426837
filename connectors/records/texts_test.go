package records

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// TestTextsAreThoseOfArrowsBuilder compares the arrays, with NULLs early, late
// and never.
func TestTextsAreThoseOfArrowsBuilder(t *testing.T) {
	var own texts
	other := array.NewStringBuilder(memory.DefaultAllocator)
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 200 {
		n, nullFrom := r.IntN(70), r.IntN(140)
		for i := range n {
			if i >= nullFrom && r.IntN(3) == 0 {
				own.null()
				other.AppendNull()
				continue
			}
			v := []byte(strconv.Itoa(r.IntN(1_000_000)))[r.IntN(2):]
			if !own.valid(v) {
				t.Fatal("digits are no text")
			}
			other.BinaryBuilder.Append(v)
		}
		if own.valid([]byte("\xff")) {
			t.Fatal("a broken character was taken")
		}
		var a, b arrow.Array = own.array(), other.NewArray()
		if !array.Equal(a, b) || a.NullN() != b.NullN() {
			t.Fatalf("round %d: %v, want %v", round, a, b)
		}
		a.Release()
		b.Release()
	}
}
