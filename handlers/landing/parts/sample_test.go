package parts

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestDictionaryOnlyWhereValuesRepeat(t *testing.T) {
	few, many := array.NewStringBuilder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
	number := array.NewInt64Builder(memory.DefaultAllocator)
	dates := array.NewDate32Builder(memory.DefaultAllocator)
	for i := range 10_000 {
		few.Append([]string{"new", "paid", "sent"}[i%3])
		many.Append(fmt.Sprint(i))
		number.Append(int64(i))
		dates.Append(arrow.Date32(i / 500))
	}
	for name, c := range map[string]struct {
		column arrow.Array
		want   bool
	}{
		"three words":    {few.NewStringArray(), true},
		"all different":  {many.NewStringArray(), false},
		"serial numbers": {number.NewInt64Array(), false},
		"twenty days":    {dates.NewDate32Array(), true},
		"empty":          {few.NewStringArray(), false},
	} {
		if got := repeats(c.column); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
