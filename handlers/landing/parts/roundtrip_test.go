package parts

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"
)

// shelf keeps files in memory.
type shelf struct{ files []*bytes.Buffer }

type shelved struct{ *bytes.Buffer }

func (shelved) Close() error { return nil }

func (s *shelf) Create(string) (io.WriteCloser, error) {
	b := &bytes.Buffer{}
	s.files = append(s.files, b)
	return shelved{b}, nil
}

// tiny are sizes at which a few hundred rows meet every limit.
var tiny = sizes{groupEncoded: 2 << 10, groupRaw: 16 << 10, page: 256, pages: 4 << 10, pageLeast: 64, piece: 50, chunks: 64, entries: 20, entriesBytes: 400}

type tester interface {
	Helper()
	Context() context.Context
	Fatalf(string, ...any)
}

// encode returns the files that batches become. It releases the batches.
func encode(t tester, s *arrow.Schema, limit sizes, size int64, batches ...arrow.RecordBatch) ([]Part, []*bytes.Buffer) {
	t.Helper()
	var files shelf
	e := start(Config{Files: &files, Layout: Layout{s}, Name: func() string { return fmt.Sprint(len(files.files)) }, Size: size, Log: slog.Default()}, limit)
	for _, rec := range batches {
		if err := e.Put(t.Context(), rec); err != nil {
			break // Finish says the same
		}
	}
	made, err := e.Finish()
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	if len(made) != len(files.files) {
		t.Fatalf("%d parts in %d files", len(made), len(files.files))
	}
	return made, files.files
}

// cell is a value as it compares, whatever type it was widened to.
func cell(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Int32:
		return int64(a.Value(i))
	case *array.Float32:
		return math.Float64bits(float64(a.Value(i)))
	case *array.Float64:
		return math.Float64bits(a.Value(i))
	case *array.Decimal128:
		return a.Value(i).BigInt().String()
	case *array.Binary:
		return string(a.Value(i))
	case *extensions.UUIDArray:
		return string(a.Storage().(*array.FixedSizeBinary).Value(i))
	case *array.FixedSizeBinary:
		return string(a.Value(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Boolean:
		return a.Value(i)
	case *array.String:
		return a.Value(i)
	case *array.Date32:
		return a.Value(i)
	case *array.Time64:
		return a.Value(i)
	case *array.Timestamp:
		return a.Value(i)
	}
	panic(fmt.Sprintf("no cell of %s", a.DataType()))
}

// cells are all values of batches, by column.
func cells(columns int, batches ...arrow.RecordBatch) [][]any {
	all := make([][]any, columns)
	for _, rec := range batches {
		for c, a := range rec.Columns() {
			for i := range a.Len() {
				all[c] = append(all[c], cell(a, i))
			}
		}
	}
	return all
}

// read returns what arrow-go finds in files, and checks what their footers say
// about them.
func read(t tester, s *arrow.Schema, made []Part, files []*bytes.Buffer) [][]any {
	t.Helper()
	all := make([][]any, s.NumFields())
	var columns []int
	for c := range all {
		columns = append(columns, c)
	}
	for n, f := range files {
		r, err := pqfile.NewParquetReader(bytes.NewReader(f.Bytes()))
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		footer, err := made[n].Metadata()
		if err != nil || !footer.Equals(r.MetaData()) {
			t.Fatalf("the part's footer is not the file's (%v)", err)
		}
		if made[n].Size != int64(f.Len()) || made[n].Rows != r.NumRows() {
			t.Fatalf("part %+v of a file of %d bytes, %d rows", made[n], f.Len(), r.NumRows())
		}
		fr, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		for g := range r.NumRowGroups() {
			tbl, err := fr.RowGroup(g).ReadTable(t.Context(), columns)
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			for c := range s.NumFields() {
				var column []any
				for _, chunk := range tbl.Column(c).Data().Chunks() {
					for i := range chunk.Len() {
						column = append(column, cell(chunk, i))
					}
				}
				meta, err := r.MetaData().RowGroup(g).ColumnChunk(c)
				if err != nil {
					t.Fatalf("chunk: %v", err)
				}
				if err := checkBounds(meta, s.Field(c).Type, column); err != nil {
					t.Fatalf("statistics of group %d, column %d %s: %v", g, c, s.Field(c), err)
				}
				all[c] = append(all[c], column...)
			}
			tbl.Release()
		}
	}
	return all
}

// Whatever is put in is read again, and the footers say the truth about it.
func TestWhatIsPutIsReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table, source []arrow.Field
		spread := []int64{}
		for i := range rapid.IntRange(1, 4).Draw(t, "columns") {
			k := rapid.SampledFrom(kinds).Draw(t, "kind")
			nullable := rapid.Bool().Draw(t, "nullable")
			table = append(table, arrow.Field{Name: fmt.Sprint(i), Type: k.table, Nullable: nullable})
			source = append(source, arrow.Field{Name: fmt.Sprint(i), Type: k.source, Nullable: nullable})
			spread = append(spread, rapid.SampledFrom([]int64{0, 1, 4, 30, 1 << 20}).Draw(t, "spread"))
		}
		schema := arrow.NewSchema(table, nil)
		var batches []arrow.RecordBatch
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(source, nil))
			rows := rapid.SampledFrom([]int{0, 1, 7, 64, 300}).Draw(t, "rows")
			seed := rapid.Uint64().Draw(t, "seed")
			for c, f := range source {
				nulls := uint64(0)
				if f.Nullable {
					nulls = rapid.SampledFrom([]uint64{0, 1, 5, 10}).Draw(t, "nulls of ten")
				}
				for range rows {
					seed = seed*6364136223846793005 + 1442695040888963407
					if seed>>33%10 < nulls {
						b.Field(c).AppendNull()
					} else {
						appendValue(b.Field(c), int64(seed>>40)%(spread[c]+1))
					}
				}
			}
			rec := b.NewRecordBatch()
			b.Release()
			from := rapid.IntRange(0, rows).Draw(t, "from")
			to := rapid.IntRange(from, rows).Draw(t, "to")
			batches = append(batches, rec.NewSlice(int64(from), int64(to)))
			rec.Release()
		}
		want := cells(len(table), batches...)
		made, files := encode(t, schema, tiny, rapid.SampledFrom([]int64{1, 4 << 10, 1 << 20}).Draw(t, "size"), batches...)
		got := read(t, schema, made, files)
		for c := range want {
			if !slices.Equal(got[c], want[c]) {
				t.Fatalf("column %d of %s: %d values %v, want %d values %v", c, table[c].Type, len(got[c]), got[c], len(want[c]), want[c])
			}
		}
	})
}
