package records

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

// Noted returns a batch without rows that says something.
func Noted(t driver.Table, notes ...string) driver.Batch {
	schema := driver.ArrowSchema(t)
	columns := make([]arrow.Array, len(t.Columns))
	for i, f := range schema.Fields() {
		columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, 0)
		defer columns[i].Release()
	}
	return driver.Batch{Record: array.NewRecordBatch(schema, columns, 0), Notes: notes}
}
