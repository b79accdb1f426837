package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
)

// deltaPacked encodes DELTA_BINARY_PACKED, every number in 64 bits.
func deltaPacked(values []int64) []byte {
	out := binary.AppendUvarint(nil, 128)
	out = binary.AppendUvarint(out, 4)
	out = binary.AppendUvarint(out, uint64(len(values)))
	if len(values) == 0 {
		return binary.AppendUvarint(out, 0)
	}
	out = binary.AppendVarint(out, values[0])
	for at := 1; at < len(values); at += 128 {
		out = append(binary.AppendVarint(out, -3), 64, 64, 64, 64)
		for part := at; part < at+128 && part < len(values); part += 32 {
			for i := part; i < part+32; i++ {
				delta := int64(0)
				if i < len(values) {
					delta = values[i] - values[i-1] + 3
				}
				out = binary.LittleEndian.AppendUint64(out, uint64(delta))
			}
		}
	}
	return out
}

// deltaBytes encodes DELTA_BYTE_ARRAY.
func deltaBytes(values [][]byte) []byte {
	var common, own []int64
	var rest []byte
	for i, v := range values {
		n := 0
		for i > 0 && n < len(v) && v[n] == values[i-1][n] {
			n++
		}
		common, own, rest = append(common, int64(n)), append(own, int64(len(v)-n)), append(rest, v[n:]...)
	}
	return append(append(deltaPacked(common), deltaPacked(own)...), rest...)
}

func TestDeltaByteArrays(t *testing.T) {
	for _, n := range []int{0, 1, 2, 33, 129, 1000} {
		values := make([][]byte, n)
		for i := range values {
			values[i] = []byte{1, byte(i / 100), byte(rand.UintN(3)), byte(i)}
		}
		raw := deltaBytes(values)
		got, ok := appendDelta([]byte("x"), raw, 4, n)
		if want := append([]byte("x"), bytes.Join(values, nil)...); !ok || !bytes.Equal(got, want) {
			t.Errorf("%d values: %d bytes, %v", n, len(got), ok)
		}
		if n > 0 {
			if _, ok := appendDelta(nil, raw, 5, n); ok {
				t.Errorf("%d values are of another width", n)
			}
			if _, ok := appendDelta(nil, raw, 4, n-1); ok {
				t.Errorf("%d values are more than the page has", n)
			}
			if _, ok := appendDelta(nil, raw[:len(raw)-1], 4, n); ok {
				t.Errorf("%d values are cut off", n)
			}
		}
	}
}

// pages yields one page.
type pages struct {
	pqfile.PageReader
	page pqfile.Page
	done bool
}

func (p *pages) Next() bool        { next := !p.done; p.done = true; return next }
func (p *pages) Page() pqfile.Page { return p.page }
func (p *pages) Err() error        { return nil }

// TestDeltaPages leaves the levels of a page as they are and its values decoded.
func TestDeltaPages(t *testing.T) {
	values := [][]byte{[]byte("ab"), []byte("ac")}
	levels := []byte{2, 0, 0, 0, 4, 1}
	encoded, delta, rle := deltaBytes(values), parquet.Encodings.DeltaByteArray, parquet.Encodings.RLE
	l := &leaf{def: 1, value: valueType{length: 2}}
	for name, page := range map[string]pqfile.Page{
		"first version":  pqfile.NewDataPageV1(memory.NewBufferBytes(append(slices.Clone(levels), encoded...)), 2, delta, rle, rle, 0),
		"second version": pqfile.NewDataPageV2(memory.NewBufferBytes(append(slices.Clone(levels), encoded...)), 2, 0, 2, delta, 6, 0, 0, false),
	} {
		p := &deltaPages{PageReader: &pages{page: page}, leaf: l}
		if !p.Next() || p.Err() != nil || string(p.Page().Data()) != string(levels)+"abac" || parquet.Encoding(p.Page().Encoding()) != parquet.Encodings.Plain || p.Next() {
			t.Errorf("%s: %v, %v", name, p.page, p.Err())
		}
	}
	plain := pqfile.NewDataPageV1(memory.NewBufferBytes([]byte("abac")), 2, parquet.Encodings.Plain, rle, rle, 0)
	if p := (&deltaPages{PageReader: &pages{page: plain}, leaf: l}); !p.Next() || p.Page() != pqfile.Page(plain) {
		t.Error("a plain page was changed")
	}
	cut := pqfile.NewDataPageV1(memory.NewBufferBytes(levels[:3]), 2, delta, rle, rle, 0)
	if p := (&deltaPages{PageReader: &pages{page: cut}, leaf: l}); p.Next() || p.Err() == nil {
		t.Error("a page that is cut off was read")
	}
}

func FuzzDeltaByteArrays(f *testing.F) {
	f.Add(deltaBytes([][]byte{{1, 2}, {1, 3}, {1, 3}}), 2)
	f.Add(deltaPacked(nil), 2)
	f.Fuzz(func(t *testing.T, raw []byte, width int) {
		width = 1 + int(uint(width)%64)
		if out, ok := appendDelta(nil, raw, width, 1000); ok && len(out)%width != 0 {
			t.Fatalf("%d bytes of values of %d", len(out), width)
		}
	})
}

// TestChecksums finds a page whose bytes are others than were written, where the
// pages say what theirs sum up to.
func TestChecksums(t *testing.T) {
	page := func(body string, sum uint32, summed bool) []byte {
		head := []byte{0x15, 0, 0x15}
		head = append(binary.AppendVarint(head, int64(len(body))), 0x15)
		head = binary.AppendVarint(head, int64(len(body)))
		if summed {
			head = binary.AppendVarint(append(head, 0x15), int64(int32(sum)))
		}
		return append(append(head, 0), body...)
	}
	right := func(body string) []byte { return page(body, crc32.ChecksumIEEE([]byte(body)), true) }
	long := strings.Repeat("x", 100_000)
	for name, c := range map[string]struct {
		pages [][]byte
		want  error
	}{
		"right": {[][]byte{right("one"), right(long), right("")}, nil}, "none": {[][]byte{page("one", 0, false), page(long, 0, false)}, nil},
		"wrong": {[][]byte{page("one", 1, true)}, errChecksum}, "wrong behind a long one": {[][]byte{right(long), page("two", 1, true)}, errChecksum},
		"cut off": {[][]byte{right(long)[:50_000]}, nil}, "no page": {[][]byte{{0xff, 0xff}}, nil}, "nothing": {nil, nil},
	} {
		all := append([]byte("before"), bytes.Join(c.pages, nil)...)
		if err := checkPages(bytes.NewReader(all), 6, int64(len(all)-6)); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestCodecsOfOld reads LZ4 as Hadoop and others write it, and no bytes as none.
func TestCodecsOfOld(t *testing.T) {
	text := bytes.Repeat([]byte("some text, "), 100)
	raw, err := compress.GetCodec(compress.Codecs.Lz4Raw)
	if err != nil {
		t.Fatal(err)
	}
	var framed []byte
	for _, part := range [][]byte{text[:500], text[500:]} {
		packed := raw.Encode(make([]byte, raw.CompressBound(int64(len(part)))), part)
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(part)))
		framed = append(binary.BigEndian.AppendUint32(framed, uint32(len(packed))), packed...)
	}
	old, err := compress.GetCodec(compress.Codecs.Lz4)
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string][]byte{"framed": framed, "alone": raw.Encode(make([]byte, raw.CompressBound(int64(len(text)))), text)} {
		if got, err := compress.Decode(old, make([]byte, len(text)), src); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for _, c := range []compress.Compression{compress.Codecs.Snappy, compress.Codecs.Gzip} {
		codec, err := compress.GetCodec(c)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := compress.Decode(codec, nil, nil); err != nil || len(got) != 0 {
			t.Errorf("%s of nothing: %q, %v", c, got, err)
		}
		if got, err := compress.Decode(codec, make([]byte, len(text)), codec.Encode(nil, text)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, %v", c, len(got), err)
		}
	}
}

// FuzzFooter takes unknown types out of any bytes, and Parquet files of any
// footer end in an error or not at all.
func FuzzFooter(f *testing.F) {
	f.Add([]byte{0x15, 2, 0x19, 0x1c, 0x48, 1, 'c', 0x6c, 0x9c, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, changed := withoutUnknownTypes(raw)
		if len(out) > len(raw) || changed == (len(out) == len(raw)) {
			t.Fatalf("%d bytes of %d, changed %v", len(out), len(raw), changed)
		}
		file := append(append([]byte("PAR1"), raw...), binary.LittleEndian.AppendUint32(nil, uint32(len(raw)))...)
		in := &input.Input{}
		err := guard(in, func() error {
			_, err := newFile(bytes.NewReader(append(file, "PAR1"...)))
			return err
		})
		var typed *driver.Error
		if err != nil && !errors.As(err, &typed) {
			t.Fatalf("%v is not typed", err)
		}
	})
}

// A stream of Parquet is held in memory, up to a limit, and what helps beyond it
// is said.
func TestStreamsAreHeldUpToALimit(t *testing.T) {
	content := "PAR1" + strings.Repeat("x", 100)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte(content))
	w.Close()
	for name, c := range map[string]struct {
		bytes string
		most  int64
		want  string
	}{
		"all of it":             {content, 104, ""},
		"too much":              {content, 103, "cannot be read at random, as Parquet has to be"},
		"too much, compressed":  {packed.String(), 103, "decompress it"},
		"all of one compressed": {packed.String(), 104, ""},
	} {
		in, err := input.Open(t.Context(), input.Source{Name: "x.parquet", Bytes: strings.NewReader(c.bytes), Size: -1}, input.Settings{}, driver.Limits{}.WithDefaults())
		if err != nil {
			t.Fatal(err)
		}
		data, err := held(in, c.most)
		if c.want == "" && (err != nil || string(data) != content) || c.want != "" && (!errors.Is(err, driver.ErrLimit) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %d bytes, %v, want %q", name, len(data), err, c.want)
		}
	}
}
