package file

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headwater/connectors/driver"
)

// decodeAll reads a CSV text in blocks of a size.
func decodeAll(t *testing.T, text string, size int) ([][]string, error) {
	f := &csvFile{dialect: dialect{comma: ',', quote: '"'}, limits: driver.Limits{MaxRowBytes: math.MaxInt64}}
	s := newSplitter(strings.NewReader(text), '"', driver.Limits{BatchBytes: 1, MaxRowBytes: 1 << 30})
	s.size = size
	var rows [][]string
	for {
		block, err := s.next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		d := decoder{comma: f.comma, quote: f.quote}
		for rest := block; len(rest) > 0; {
			n, err := d.next(rest)
			if err != nil {
				return rows, err
			}
			if n <= 0 || n > len(rest) {
				t.Fatalf("%q: a record of %d bytes", rest, n)
			}
			rest = rest[n:]
			if len(d.cells) == 0 {
				continue
			}
			var row []string
			for _, c := range d.cells {
				row = append(row, string(c.text))
			}
			rows = append(rows, row)
		}
		s.recycle(block)
	}
}

// FuzzCSV compares with the standard library, which alone turns \r\n in a
// quoted field into \n.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,2\n", "\"a\nb\",c\r\n\"\"\"\",\"\"\r\n", "a\"b\n", "\"a\"b\n", "\"open\n", "\n\n\r\nx\n", ",,\n,\n", "x\r", "x\r\r\n", "\"\r\n\"\r\n", "\"a\"\r", "a\rb\n", "\"\"",
		"\"a\"\n\"b\"\n\"c,\"\"d\"\"\"\nx", "é,\xff\n", "\r", "\r\r", "a,\r\n", "\"x\"\r\r\n",
	} {
		f.Add(s, 1)
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		r := csv.NewReader(strings.NewReader(text))
		r.FieldsPerRecord = -1
		want, wantErr := r.ReadAll()
		got, err := decodeAll(t, text, max(1, min(size, 1<<16)))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: error %v, the library %v", text, err, wantErr)
		}
		if err != nil {
			if !errors.Is(err, errBareQuote) && !errors.Is(err, errOpenQuote) && !errors.Is(err, errAfterEnd) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		for _, row := range got {
			for i := range row {
				row[i] = strings.ReplaceAll(row[i], "\r\n", "\n")
			}
		}
		if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q in blocks of %d:\n got %q\nwant %q", text, size, got, want)
		}
	})
}

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
		src, err := Driver{}.Open(t.Context(), driver.Config{
			Settings: fmt.Appendf(nil, `{"path":%q}`, name), Files: oneFile{name, content}, Limits: driver.Limits{MaxRowBytes: 1 << 20},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		typed := func(err error) {
			var typed *driver.Error
			if !errors.As(err, &typed) {
				t.Fatalf("%q: %v is not typed", content, err)
			}
		}
		tables, err := src.Discover(t.Context())
		if err != nil {
			typed(err)
			return
		}
		var rows int64
		for batch, err := range src.Read(t.Context(), tables[0], driver.Cursor{}) {
			if err != nil {
				typed(err)
				return
			}
			rows += batch.Record.NumRows()
			batch.Record.Release()
		}
		if rows != tables[0].RowEstimate && name != "f.parquet" {
			t.Fatalf("%q: %d rows, but %d were discovered", content, rows, tables[0].RowEstimate)
		}
	})
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
		src, err := Driver{}.Open(t.Context(), driver.Config{Settings: []byte(`{"path":"f.parquet"}`), Files: oneFile{"f.parquet", content}, Limits: driver.Limits{BatchRows: 2}})
		if err != nil {
			t.Fatal(err)
		}
		tables, err := src.Discover(t.Context())
		if err == nil {
			for batch, failed := range src.Read(t.Context(), tables[0], driver.Cursor{}) {
				if err = failed; err == nil {
					batch.Record.Release()
				}
			}
		}
		var typed *driver.Error
		if err != nil && !errors.As(err, &typed) {
			t.Fatalf("%v is not typed", err)
		}
	})
}

func TestSplitterKeepsEveryByte(t *testing.T) {
	text := strings.Repeat("1,\"a\nb\"\"c\"\r\n22,x\n\n", 1000) + "3,end"
	for _, size := range []int{1, 5, 64, 4096, 1 << 20} {
		s := newSplitter(odd(text), '"', driver.Limits{BatchBytes: 1, MaxRowBytes: 1 << 20})
		s.size = size
		var all bytes.Buffer
		for {
			block, err := s.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all.Write(block)
			s.recycle(block)
		}
		if all.String() != text {
			t.Errorf("blocks of %d bytes: %d bytes, want %d", size, all.Len(), len(text))
		}
	}
}

// FuzzLoose writes a text anew in whatever way it was written, and compares what
// the decoder makes of that with the cells that were read.
func FuzzLoose(f *testing.F) {
	for _, s := range []string{"a;b\n1;\"x\\\"y\"\n", "a, \"b\" ,c\r1,2\r\n", "# x\n\"a\"\"b\"\n\n", "5\" pipe,\"\x1e\x1f\n\"\n", "\"open\n", "a||b\r\r\n|"} {
		f.Add(s, ",", false, true)
		f.Add(s, "||", true, false)
		f.Add(s, ";", true, true)
	}
	f.Fuzz(func(t *testing.T, text, delimiter string, cr, escape bool) {
		if len(delimiter) == 0 || len(delimiter) > 16 || strings.ContainsAny(delimiter, "\n\r\x00\"\\") {
			return
		}
		w := writing{delimiter: delimiter, quote: '"', cr: cr, comment: "#"}
		if escape {
			w.escape = '\\'
		}
		var want [][]string
		whole := w
		for rest := []byte(text); len(rest) > 0; {
			n, err := whole.next(rest, true)
			if err != nil {
				want = nil
				break
			}
			if n <= 0 {
				t.Fatalf("%q: a record of %d bytes", rest, n)
			}
			rest = rest[n:]
			var row []string
			for _, c := range whole.cells {
				row = append(row, string(c.text))
			}
			if row != nil {
				want = append(want, row)
			}
		}
		anew, err := io.ReadAll(&looseReader{writing: w, r: odd(text), path: "f", max: 1 << 20})
		if err != nil {
			var typed *driver.Error
			if !errors.As(err, &typed) || want != nil {
				t.Fatalf("%q: %v, want %q", text, err, want)
			}
			return
		}
		var got [][]string
		d := decoder{comma: plainComma, quote: plainQuote}
		for len(anew) > 0 {
			n, err := d.next(anew)
			if err != nil {
				t.Fatalf("%q became %q: %v", text, anew, err)
			}
			anew = anew[n:]
			var row []string
			for _, c := range d.cells {
				row = append(row, string(c.text))
			}
			if row != nil {
				got = append(got, row)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q:\n got %q\nwant %q", text, got, want)
		}
	})
}

// FuzzEncodings decodes any bytes, in pieces, as every encoding: what comes is
// text or a typed error.
func FuzzEncodings(f *testing.F) {
	names := slices.Sorted(maps.Keys(tables))
	names = append(names, "utf-16le", "utf-16be")
	for i := range names {
		f.Add([]byte("a\x81\xff\x00\xd8\x3d\xde\x00"), i)
	}
	f.Fuzz(func(t *testing.T, content []byte, which int) {
		name := names[uint(which)%uint(len(names))]
		d, err := encodingOf(name)
		if err != nil {
			t.Fatal(err)
		}
		tr := &transcoder{r: odd(string(content)), path: "f", name: name, decode: d.utf16Text}
		if d.table != nil {
			tr.decode = (&tableText{decoder: d.table.NewDecoder()}).text
		}
		text, err := io.ReadAll(tr)
		var typed *driver.Error
		if err != nil && !errors.As(err, &typed) {
			t.Fatalf("%s: %q: %v", name, content, err)
		}
		if !utf8.Valid(text) || d.table != nil && bytes.Contains(text, []byte("\uFFFD")) {
			t.Fatalf("%s: %q became %q", name, content, text)
		}
	})
}
