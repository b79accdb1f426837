package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headwater/connectors/driver"
	"headwater/connectors/file"
)

// BenchmarkRead reads a file of each format: the same rows, and for Parquet
// nested ones beside.
func BenchmarkRead(b *testing.B) {
	const rows = 100_000
	dir := b.TempDir()
	var csv, json strings.Builder
	csv.WriteString("id,name,price,at\n")
	for i := range rows {
		fmt.Fprintf(&csv, "%d,name %d,%d.%d5,2024-02-%02d 10:00:00\n", i, i%1000, i%777, i%10, 1+i%28)
		fmt.Fprintf(&json, `{"id":%d,"name":"name %d","price":%d.%d5,"tags":["a",%d],"deep":{"x":1.5}}`+"\n", i, i%1000, i%777, i%10, i)
	}
	os.WriteFile(filepath.Join(dir, "flat.csv"), []byte(csv.String()), 0o600)
	os.WriteFile(filepath.Join(dir, "nested.ndjson"), []byte(json.String()), 0o600)
	nested := arrow.NewSchema([]arrow.Field{
		{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
		{Name: "deep", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true}), Nullable: true},
	}, nil)
	flat := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "price", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "amount", Type: &arrow.Decimal128Type{Precision: 15, Scale: 2}, Nullable: true}, {Name: "at", Type: &arrow.TimestampType{Unit: arrow.Millisecond}, Nullable: true},
	}, nil)
	for name, schema := range map[string]*arrow.Schema{"nested": nested, "flat": flat} {
		var text strings.Builder
		for i := range rows {
			if name == "nested" {
				fmt.Fprintf(&text, `{"tags":["a","tag %d"],"deep":{"x":%d.5}}`, i, i)
			} else {
				fmt.Fprintf(&text, `{"id":%d,"name":"name %d","price":%d.5,"n":%d,"amount":"%d.25","at":%d}`, i, i%1000, i, i, i, int64(i)*1000)
			}
		}
		record, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(text.String()), array.WithMultipleDocs())
		if err != nil {
			b.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, name+".parquet"))
		if err != nil {
			b.Fatal(err)
		}
		w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.DefaultWriterProps())
		if err == nil {
			err = w.Write(record)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
		record.Release()
	}
	for _, name := range []string{"flat.csv", "nested.ndjson", "flat.parquet", "nested.parquet"} {
		b.Run(name, func(b *testing.B) {
			src, err := file.Driver{}.Open(b.Context(), driver.Config{Settings: []byte(`{"path":"` + name + `"}`), Files: os.DirFS(dir)})
			if err != nil {
				b.Fatal(err)
			}
			tables, err := src.Discover(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				n := int64(0)
				for batch, err := range src.Read(b.Context(), tables[0], driver.Cursor{}) {
					if err != nil {
						b.Fatal(err)
					}
					n += batch.Record.NumRows()
					batch.Record.Release()
				}
				if n != rows {
					b.Fatalf("%d rows", n)
				}
			}
		})
	}
}
