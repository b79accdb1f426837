package csv

import (
	"bytes"
	stdcsv "encoding/csv"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"headwater/connectors/driver"
)

// decodeAll reads a CSV text in blocks of a size.
func decodeAll(t *testing.T, text string, size int) ([][]string, error) {
	f := &File{dialect: dialect{comma: ',', quote: '"'}, limits: driver.Limits{MaxRowBytes: math.MaxInt64}}
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
		r := stdcsv.NewReader(strings.NewReader(text))
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
		anew, err := io.ReadAll(&looseReader{writing: w, r: odd(text), name: "f", max: 1 << 20})
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

// odd reads a text in pieces of one byte and more.
func odd(text string) io.Reader { return iotest.HalfReader(strings.NewReader(text)) }

// What is read on from a splitter is every byte behind the blocks that were given
// back to it, of which one was taken by nobody; and the error that ended it.
func TestRestOfASplitter(t *testing.T) {
	text := strings.Repeat("1,\"a\nb\"\n22,x\n", 1000)
	for _, broken := range []error{nil, errors.New("broken")} {
		var r io.Reader = odd(text)
		if broken != nil {
			r = io.MultiReader(r, failing{broken})
		}
		s := newSplitter(r, '"', driver.Limits{BatchBytes: 1, MaxRowBytes: 1 << 20})
		s.size, s.keep = 1000, true
		var blocks [][]byte
		for range 4 {
			b, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			blocks = append(blocks, b)
		}
		s.unread = blocks[3]
		got, err := io.ReadAll(s.rest(blocks[1:3]))
		if want := text[len(blocks[0]):]; string(got) != want || !errors.Is(err, broken) {
			t.Errorf("%d bytes, want %d (%v, want %v)", len(got), len(want), err, broken)
		}
	}
}

// When a consumer stops, what was read and not taken is kept.
func TestStoppedReadingLosesNothing(t *testing.T) {
	text := strings.Repeat("1,abc\n", 100_000)
	s := newSplitter(strings.NewReader(text), '"', driver.Limits{BatchBytes: 1, MaxRowBytes: 1 << 20})
	s.size, s.keep = 1000, true
	seen, before := 0, 0
	var taken [][]byte
	stop := errors.New("stop")
	err := inOrder(t.Context(), s, func(b block) block { return b }, func(b block) error {
		if seen++; seen == 10 {
			taken = append(taken, b.data)
			return stop
		}
		before += len(b.data)
		return nil
	}, func(b block) { taken = append(taken, b.data) })
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s.rest(taken))
	if want := len(text) - before; err != nil || len(got) != want || !strings.HasSuffix(text, string(got)) {
		t.Errorf("%d bytes, want %d (%v)", len(got), want, err)
	}
}
