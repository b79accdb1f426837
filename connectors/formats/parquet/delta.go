package parquet

import (
	"encoding/binary"
	"errors"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
)

// deltaPages are the pages of a column of fixed-length bytes, with those that
// are in the encoding DELTA_BYTE_ARRAY in PLAIN instead: the library reads the
// former for bytes of any length alone.
type deltaPages struct {
	pqfile.PageReader
	leaf *leaf
	page pqfile.Page
	err  error
}

func (p *deltaPages) Next() bool {
	if p.err != nil || !p.PageReader.Next() {
		return false
	}
	p.page, p.err = p.plain(p.PageReader.Page())
	return p.err == nil
}

func (p *deltaPages) Page() pqfile.Page { return p.page }

func (p *deltaPages) Err() error { return errors.Join(p.err, p.PageReader.Err()) }

var errDelta = errors.New("a page of DELTA_BYTE_ARRAY is not valid")

// plain returns a page as it is, or decoded.
func (p *deltaPages) plain(page pqfile.Page) (pqfile.Page, error) {
	data, ok := page.(pqfile.DataPage)
	if !ok || parquet.Encoding(page.Encoding()) != parquet.Encodings.DeltaByteArray {
		return page, nil
	}
	raw := page.Data()
	levels := 0
	switch v := data.(type) {
	case *pqfile.DataPageV2:
		levels = int(v.RepetitionLevelByteLen()) + int(v.DefinitionLevelByteLen())
	case *pqfile.DataPageV1:
		for _, l := range []struct {
			most     int16
			encoding parquet.Encoding
		}{{p.leaf.rep, parquet.Encoding(v.RepetitionLevelEncoding())}, {p.leaf.def, parquet.Encoding(v.DefinitionLevelEncoding())}} {
			if l.most == 0 {
				continue
			}
			if l.encoding != parquet.Encodings.RLE || levels < 0 || levels+4 > len(raw) {
				return nil, errDelta
			}
			levels += 4 + int(int32(binary.LittleEndian.Uint32(raw[levels:])))
		}
	}
	if levels < 0 || levels > len(raw) {
		return nil, errDelta
	}
	out := append([]byte(nil), raw[:levels]...)
	out, ok = appendDelta(out, raw[levels:], p.leaf.value.length, int(page.NumValues()))
	if !ok {
		return nil, errDelta
	}
	buffer := memory.NewBufferBytes(out)
	if v, ok := data.(*pqfile.DataPageV2); ok {
		return pqfile.NewDataPageV2(buffer, v.NumValues(), v.NumNulls(), v.NumRows(), parquet.Encodings.Plain, v.DefinitionLevelByteLen(), v.RepetitionLevelByteLen(), int32(len(out)), false), nil
	}
	v := data.(*pqfile.DataPageV1)
	return pqfile.NewDataPageV1(buffer, v.NumValues(), parquet.Encodings.Plain, parquet.Encoding(v.DefinitionLevelEncoding()), parquet.Encoding(v.RepetitionLevelEncoding()), int32(len(out))), nil
}

// appendDelta decodes DELTA_BYTE_ARRAY: how many bytes each value has in common
// with the one before it, how many it has of its own, and these. It returns false
// for values that are not of the width, or more than most.
func appendDelta(dst, raw []byte, width, most int) ([]byte, bool) {
	common, raw, ok := deltas(raw, most)
	if !ok {
		return dst, false
	}
	own, raw, ok := deltas(raw, most)
	if !ok || len(own) != len(common) {
		return dst, false
	}
	last := make([]byte, width)
	for i := range common {
		n, m := common[i], own[i]
		if n < 0 || m < 0 || n+m != int64(width) || m > int64(len(raw)) || i == 0 && n != 0 {
			return dst, false
		}
		copy(last[n:], raw[:m])
		raw = raw[m:]
		dst = append(dst, last...)
	}
	return dst, true
}

// deltas decodes DELTA_BINARY_PACKED and returns what follows it.
func deltas(raw []byte, most int) (values []int64, rest []byte, ok bool) {
	number := func() uint64 {
		n, size := binary.Uvarint(raw)
		if size <= 0 {
			raw, ok = nil, false
			return 0
		}
		raw = raw[size:]
		return n
	}
	ok = true
	block, parts, count := number(), number(), number()
	first := number()
	if !ok || parts == 0 || parts > 512 || block == 0 || block > 1<<20 || block%(parts*8) != 0 || count > uint64(most) {
		return nil, nil, false
	}
	if count == 0 {
		return nil, raw, true
	}
	value := int64(first>>1) ^ -int64(first&1)
	values = append(make([]int64, 0, count), value)
	for each := int(block / parts); uint64(len(values)) < count; {
		least := number()
		if !ok || uint64(len(raw)) < parts {
			return nil, nil, false
		}
		widths := raw[:parts]
		raw = raw[parts:]
		for _, width := range widths {
			if uint64(len(values)) == count {
				break
			}
			size := each * int(width) / 8
			if width > 64 || size > len(raw) {
				return nil, nil, false
			}
			for i := 0; i < each && uint64(len(values)) < count; i++ {
				value += (int64(least>>1) ^ -int64(least&1)) + int64(bitsAt(raw, i*int(width), int(width)))
				values = append(values, value)
			}
			raw = raw[size:]
		}
	}
	return values, raw, true
}

// bitsAt returns a number of so many bits, the lowest first.
func bitsAt(raw []byte, at, width int) (n uint64) {
	for i := range width {
		n |= uint64(raw[(at+i)/8]>>((at+i)%8)&1) << i
	}
	return n
}
