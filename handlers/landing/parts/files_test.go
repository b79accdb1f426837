package parts

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// column builds a batch of one column.
func columnOf(field arrow.Field, rows int, value func(array.Builder, int)) (*arrow.Schema, arrow.RecordBatch) {
	s := arrow.NewSchema([]arrow.Field{field}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	for i := range rows {
		value(b.Field(0), i)
	}
	return s, b.NewRecordBatch()
}

// chunks are the column chunks of a file of one column.
func chunks(t *testing.T, f *bytes.Buffer) []*metadata.ColumnChunkMetaData {
	t.Helper()
	r, err := pqfile.NewParquetReader(bytes.NewReader(f.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var all []*metadata.ColumnChunkMetaData
	for g := range r.NumRowGroups() {
		c, err := r.MetaData().RowGroup(g).ColumnChunk(0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// A column that stops repeating loses its dictionary where that is full, and
// has none in later row groups. A chunk says which encodings it has.
func TestDictionaryIsGivenUp(t *testing.T) {
	limit := usual
	limit.entries, limit.page, limit.groupEncoded = 100, 4<<10, 8<<10
	for name, c := range map[string]struct {
		typ   arrow.DataType
		value func(array.Builder, int)
		after parquet.Encoding
	}{
		"text":    {arrow.BinaryTypes.String, func(b array.Builder, i int) { b.(*array.StringBuilder).Append(fmt.Sprintf("%x", i*i*7919)) }, parquet.Encodings.Plain},
		"int64":   {arrow.PrimitiveTypes.Int64, func(b array.Builder, i int) { b.(*array.Int64Builder).Append(int64(i * i * 7919)) }, parquet.Encodings.DeltaBinaryPacked},
		"decimal": {&arrow.Decimal128Type{Precision: 30}, func(b array.Builder, i int) { appendValue(b, int64(i*i+3)) }, parquet.Encodings.Plain},
	} {
		t.Run(name, func(t *testing.T) {
			field := arrow.Field{Name: "a", Type: c.typ, Nullable: true}
			s, few := columnOf(field, 5000, func(b array.Builder, i int) { c.value(b, i%50) })
			_, many := columnOf(field, 20_000, func(b array.Builder, i int) {
				if i == 150 { // soon after the dictionary is full, and never again
					appendValue(b, 1)
				} else {
					c.value(b, i)
				}
			})
			want := cells(1, few, many)
			made, files := encode(t, s, limit, 1<<30, few, many)
			if got := read(t, s, made, files); !slices.Equal(got[0], want[0]) {
				t.Error("what was read differs")
			}
			all := chunks(t, files[0])
			first, last := all[0], all[len(all)-1]
			if len(all) < 2 || !first.HasDictionaryPage() || last.HasDictionaryPage() {
				t.Fatalf("%d groups, dictionaries: first %v, last %v", len(all), first.HasDictionaryPage(), last.HasDictionaryPage())
			}
			if e := first.Encodings(); !slices.Contains(e, parquet.Encodings.RLEDict) || !slices.Contains(e, c.after) {
				t.Errorf("the first group has %v", e)
			}
			if e := last.Encodings(); !slices.Equal(e, []parquet.Encoding{parquet.Encodings.RLE, c.after}) {
				t.Errorf("the last group has %v", e)
			}
		})
	}
}

// Values that were chosen to share a slot cost the dictionary, not the time.
func TestCollidingValues(t *testing.T) {
	d := newIntDict[int64](usual)
	inverse := uint64(mix)
	for range 5 { // Newton's iteration modulo 2^64
		inverse *= 2 - mix*inverse
	}
	for i := range uint64(usual.entries) {
		if _, ok := d.place(int64(i * inverse)); !ok {
			if i > 2*probes {
				t.Errorf("%d values share a slot", i)
			}
			return
		}
	}
	t.Error("all had room")
}

// A value larger than a page, and than a row group, is one.
func TestLargeValues(t *testing.T) {
	s, rec := columnOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}, 12, func(b array.Builder, i int) {
		if i%3 == 2 {
			b.AppendNull()
		} else {
			b.(*array.StringBuilder).Append(strings.Repeat(string(rune('a'+i)), i<<18))
		}
	})
	want := cells(1, rec)
	made, files := encode(t, s, usual, 1<<30, rec)
	if got := read(t, s, made, files); !slices.Equal(got[0], want[0]) {
		t.Error("what was read differs")
	}
}

// Of ten thousand columns memory, files and footers stay bounded.
func TestVeryManyColumns(t *testing.T) {
	const columns, rows, batches = 10_000, 50, 5
	fields := make([]arrow.Field, columns)
	for i := range fields {
		fields[i] = arrow.Field{Name: fmt.Sprint("column ", i), Type: arrow.PrimitiveTypes.Int64, Nullable: true}
		if i%2 == 1 {
			fields[i].Type = arrow.BinaryTypes.String
		}
	}
	s := arrow.NewSchema(fields, nil)
	batch := func(n int) arrow.RecordBatch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, s)
		defer b.Release()
		for i := range fields {
			for r := range rows {
				if i%2 == 1 {
					b.Field(i).(*array.StringBuilder).Append(fmt.Sprint("value ", n*rows+r))
				} else {
					b.Field(i).(*array.Int64Builder).Append(int64(n*rows+r) * 0x123456789abcdef)
				}
			}
		}
		return b.NewRecordBatch()
	}
	var d discard
	p, err := newPress()
	if err != nil {
		t.Fatal(err)
	}
	rec := batch(0)
	f, err := create(&d, Layout{s}, "x", rec, p, usual)
	if err != nil {
		t.Fatal(err)
	}
	rec.Release()
	before := heap()
	var most uint64
	for n := range batches {
		rec := batch(n)
		if err := f.write(rec); err != nil {
			t.Fatal(err)
		}
		rec.Release()
		if n%5 == 4 {
			rec = nil
			most = max(most, heap())
		}
	}
	t.Logf("%d MiB are held", (int64(most)-int64(before))>>20)
	if grown := int64(most) - int64(before); grown > 100<<20 {
		t.Errorf("%d MiB are held", grown>>20)
	}
	groups := f.groups
	part, err := f.close()
	if err != nil {
		t.Fatal(err)
	}
	if groups > usual.chunks/columns || len(part.Footer) > 16<<20 {
		t.Errorf("%d groups, a footer of %d bytes", groups, len(part.Footer))
	}
}

// heap is how many bytes are in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An empty batch makes no file.
func TestNoRows(t *testing.T) {
	s, rec := columnOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int32}, 0, nil)
	if made, _ := encode(t, s, usual, 0, rec); len(made) != 0 {
		t.Errorf("made %v", made)
	}
}

// What an encoder holds depends on neither rows nor their number in a batch.
func TestAnEncoderIsSmall(t *testing.T) {
	rec := wideBatch(rand.New(rand.NewPCG(1, 2)), 0, 1<<14)
	defer rec.Release()
	before := heap()
	p, err := newPress()
	if err != nil {
		t.Fatal(err)
	}
	var d discard
	f, err := create(&d, Layout{wideSchema()}, "x", rec, p, usual)
	if err != nil {
		t.Fatal(err)
	}
	var most uint64
	for range 40 {
		if err := f.write(rec); err != nil {
			t.Fatal(err)
		}
		most = max(most, heap())
	}
	if f.groups < 2 {
		t.Fatalf("%d row groups: nothing is shown", f.groups)
	}
	grown := int64(most) - int64(before)
	t.Logf("%.1f MiB are held", float64(grown)/(1<<20))
	if grown > 25<<20 {
		t.Errorf("%d MiB are held", grown>>20)
	}
	if _, err := f.close(); err != nil {
		t.Fatal(err)
	}
}

// A slab that was given up is of one press alone: whoever begins and ends meanwhile, the
// pages of a press at work keep their bytes.
func TestPressesShareNoSlab(t *testing.T) {
	type work struct {
		press       *press
		pages, want [][]byte
	}
	begin := func() *work {
		p, err := newPress()
		if err != nil {
			t.Fatal(err)
		}
		return &work{press: p}
	}
	at := []*work{begin(), begin(), begin()}
	for i := range 1000 {
		w := at[i%len(at)]
		page := w.press.compress(fmt.Appendf(nil, "page %d of %d", i, i%len(at)))
		w.pages, w.want = append(w.pages, page), append(w.want, slices.Clone(page))
		if !slices.EqualFunc(w.pages, w.want, slices.Equal) {
			t.Fatalf("page %d: one before it was overwritten", i)
		}
		if i%7 == 0 { // ends between the pages of the others
			w.press.retire()
			at[i%len(at)] = begin()
		}
	}
}

// Encoders hand what they have done with to the next ones, and no file has anything
// of another.
func TestEncodersReuse(t *testing.T) {
	s, _ := columnOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.String}, 0, nil)
	rows := func(of, n int) arrow.RecordBatch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, s)
		defer b.Release()
		for i := range n {
			text := fmt.Sprintf("%d of %d, %x", i, of, i*0x12345)
			if of%5 == 0 && i == 0 { // a page longer than what pages are gathered in
				random := make([]byte, 600<<10)
				_, _ = rand.NewChaCha8([32]byte{byte(of)}).Read(random) // it never fails
				text = hex.EncodeToString(random)
			}
			b.Field(0).(*array.StringBuilder).Append(text)
		}
		return b.NewRecordBatch()
	}
	for of := range 12 {
		t.Run(fmt.Sprint(of), func(t *testing.T) {
			t.Parallel()
			rec := rows(of, 30_000+of)
			want := cells(1, rec)
			made, files := encode(t, s, usual, 0, rec)
			if got := read(t, s, made, files); !slices.Equal(got[0], want[0]) {
				t.Error("what was read differs")
			}
		})
	}
}
