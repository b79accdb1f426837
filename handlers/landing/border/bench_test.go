package border

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

// What following two million rows costs, by how many share a cursor value.
func BenchmarkTrack(b *testing.B) {
	const rows, size = 2_000_000, 65_536
	for _, alike := range []int{1, 3000, 1 << 20} {
		b.Run(fmt.Sprintf("%d alike", alike), func(b *testing.B) {
			of := table(driver.TimestampTZ)
			var batches []arrow.RecordBatch
			for from := 0; from < rows; from += size {
				made := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(of))
				for i := from; i < from+size; i++ {
					made.Field(0).(*array.Int64Builder).Append(int64(i))
					made.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(int64(i/alike) * 1_000_000))
				}
				batches = append(batches, made.NewRecordBatch())
			}
			for b.Loop() {
				k, err := Track(of, "at", nil, nil, noon)
				if err != nil {
					b.Fatal(err)
				}
				for _, rec := range batches {
					k.See(rec)
				}
				k.Border()
			}
		})
	}
}
