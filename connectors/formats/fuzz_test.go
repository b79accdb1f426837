package formats_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

// FuzzFormats feeds any bytes to every format: what comes is rows or a typed
// error.
func FuzzFormats(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"), 0)
	f.Add([]byte("'a';'b'\n'1';'2'\n"), 0)
	f.Add([]byte(`[{"a":1},{"a":"x","b":{}}]`), 1)
	f.Add([]byte("{\"a\":1}\n{\"b\":[2]}"), 2)
	f.Add([]byte(`{"x":{"y":[{"a":"\ud83d\ude00"}]}}`), 1)
	f.Add([]byte("PAR1PAR1"), 3)
	f.Add([]byte("'' "), 0)
	f.Fuzz(func(t *testing.T, content []byte, format int) {
		name := []string{"f.csv", "f.json", "f.ndjson", "f.parquet"}[uint(format)%4]
		d := formatstest.Decode(t, name, string(content), `{}`, driver.Limits{MaxRowBytes: 1 << 20})
		typed(t, content, d.Err)
		if d.Err == nil && int64(len(d.Rows)) != d.Table.RowEstimate && name != "f.parquet" {
			t.Fatalf("%q: %d rows, but %d were discovered", content, len(d.Rows), d.Table.RowEstimate)
		}
	})
}

func typed(t *testing.T, content []byte, err error) {
	t.Helper()
	var typed *driver.Error
	if err != nil && !errors.As(err, &typed) {
		t.Fatalf("%q: %v is not typed", content, err)
	}
}

// FuzzParquet reads damaged files: rows or a typed error.
func FuzzParquet(f *testing.F) {
	for _, nested := range []bool{false, true} {
		schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
		rows := `[{"n":1,"s":"x"},{"n":null,"s":"x"},{"n":3,"s":null}]`
		if nested {
			schema = arrow.NewSchema([]arrow.Field{{Name: "l", Type: arrow.ListOf(arrow.StructOf(arrow.Field{Name: "a", Type: &arrow.Decimal128Type{Precision: 20, Scale: 2}, Nullable: true})), Nullable: true}}, nil)
			rows = `[{"l":[{"a":"1.10"},null]},{"l":[]},{"l":null}]`
		}
		record, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
		if err != nil {
			f.Fatal(err)
		}
		var out bytes.Buffer
		w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(parquet.WithStats(false)), pqarrow.DefaultWriterProps())
		if err != nil {
			f.Fatal(err)
		}
		if err := errors.Join(w.Write(record), w.Close()); err != nil {
			f.Fatal(err)
		}
		for at := 0; at < out.Len(); at += 9 {
			f.Add(out.Bytes(), at, byte(0x55))
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, at int, mask byte) {
		if len(content) > 0 {
			content = bytes.Clone(content)
			content[uint(at)%uint(len(content))] ^= mask
		}
		d := formatstest.Decode(t, "f.parquet", string(content), `{}`, driver.Limits{BatchRows: 2})
		typed(t, nil, d.Err)
	})
}
