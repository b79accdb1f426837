package datafiles

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// About 4 MiB of rows are decoded at a time, however long they are, and also where a
// column of one value is next to nothing in the file.
func TestLongRowsAreDecodedFewAtATime(t *testing.T) {
	for name, made := range map[string]struct {
		columns, rows, text int
		least, most         int64
	}{
		"short":              {2, 20_000, 0, PieceRows, PieceRows},
		"a thousand columns": {1000, 2000, 0, 256, 600},
		"a MiB each":         {1, 20, 1 << 20, 3, 4},
		"more than all":      {1, 2, 6 << 20, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var fields []arrow.Field
			for i := range made.columns {
				fields = append(fields, arrow.Field{Name: fmt.Sprint("c", i), Type: arrow.PrimitiveTypes.Int64})
				if made.text > 0 {
					fields[i].Type = arrow.BinaryTypes.Binary
				}
			}
			b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
			leaves := make([]int, made.columns)
			for i := range fields {
				leaves[i] = i
				for range made.rows {
					if made.text == 0 {
						b.Field(i).(*array.Int64Builder).Append(7)
						continue
					}
					text := make([]byte, made.text)
					_, _ = rand.Read(text)
					b.Field(i).(*array.BinaryBuilder).Append(text)
				}
			}
			var out bytes.Buffer
			rec := b.NewRecordBatch()
			w, err := pqarrow.NewFileWriter(rec.Schema(), &out, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
			if err == nil {
				err = w.Write(rec)
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if n := batchOf(r.MetaData().RowGroup(0), leaves, PieceRows); n < made.least || n > made.most {
				t.Errorf("%d rows at a time", n)
			}
		})
	}
}
