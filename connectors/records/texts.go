package records

import (
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// texts is a column of text in the making. Arrow's own builder does the same,
// but asks for room three times a value; text is most of what files hold.
type texts struct {
	data    []byte
	offsets []int32 // where each value ends, after a 0
	present []byte  // a bit a value, nil while none is NULL
	nulls   int
}

// valid appends text, or returns false when it is not UTF-8.
func (t *texts) valid(v []byte) bool {
	if !utf8.Valid(v) {
		return false
	}
	t.append(v)
	return true
}

func (t *texts) append(v []byte) {
	t.data = append(t.data, v...)
	n := t.end()
	if t.present != nil {
		t.mark(n, 1)
	}
}

// end closes a value and returns how many came before it.
func (t *texts) end() int {
	if len(t.offsets) == 0 {
		t.offsets = append(t.offsets, 0)
	}
	t.offsets = append(t.offsets, int32(len(t.data)))
	return len(t.offsets) - 2
}

func (t *texts) null() {
	n := t.end()
	if t.present == nil {
		t.present = make([]byte, n/8+1, max(cap(t.offsets)/8, n/8+1))
		for i := range t.present {
			t.present[i] = 0xff
		}
		t.present[n/8] &= 1<<(n%8) - 1
	}
	t.mark(n, 0)
	t.nulls++
}

// mark sets the bit of value n, whose byte is clear from there on.
func (t *texts) mark(n int, bit byte) {
	if n/8 == len(t.present) {
		t.present = append(t.present, 0)
	}
	t.present[n/8] |= bit << (n % 8)
}

// array returns the values and begins anew, with room for as many. The caller
// releases it.
func (t *texts) array() arrow.Array {
	if len(t.offsets) == 0 {
		t.offsets = append(t.offsets, 0)
	}
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(t.offsets)), memory.NewBufferBytes(t.data)}
	if t.present != nil {
		buffers[0] = memory.NewBufferBytes(t.present)
	}
	data := array.NewData(arrow.BinaryTypes.String, len(t.offsets)-1, buffers, nil, t.nulls, 0)
	defer data.Release()
	*t = texts{data: make([]byte, 0, len(t.data)+len(t.data)/16), offsets: make([]int32, 0, len(t.offsets)+len(t.offsets)/16)}
	return array.NewStringData(data)
}
