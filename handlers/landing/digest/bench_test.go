package digest

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// What summing up costs a row of sixteen columns.
func BenchmarkAdd(b *testing.B) {
	const rows = 8192
	spec := Spec{Key: []string{"c0"}}
	var columns []arrow.Array
	for c := range 16 {
		spec.Columns = append(spec.Columns, fmt.Sprintf("c%d", c))
		ints, texts := array.NewInt64Builder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
		for i := range rows {
			ints.Append(int64(i * c))
			if i%16 == c {
				texts.AppendNull()
			} else {
				texts.Append(fmt.Sprintf("text %d of %d", i, c))
			}
		}
		if c%4 == 3 {
			columns = append(columns, texts.NewArray())
		} else {
			columns = append(columns, ints.NewArray())
		}
	}
	s := New(spec, nil)
	for b.Loop() {
		if err := s.Add(columns, rows, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}
