package parts

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// values are the values of a column's open page, and what is known of those of
// its row group. NULLs are not among them.
type values interface {
	// take appends what rows from from on hold, up to row to and to about room
	// bytes, but at least one row. It returns the row that it stopped at.
	take(a arrow.Array, from, to, room int) int
	// size is about how many bytes the open page has before compression.
	size() int
	// encode appends the open page's values to dst, and empties it.
	encode(dst []byte) ([]byte, parquet.Encoding)
	// dictionary returns what the dictionary page of the row group holds, and
	// how many entries that is: none when no page refers to them.
	dictionary() ([]byte, int)
	// bounds returns the smallest and the largest value of the row group as
	// Parquet's statistics hold them, and whether they are exactly that.
	bounds() (b bounds, ok bool)
	// reset begins another row group.
	reset()
	// retire gives all buffers up to other columns. Nothing else is called behind it.
	retire()
}

// bounds are the ends of a column chunk's values.
type bounds struct {
	min, max       []byte
	minCut, maxCut bool // shortened: no value, but beyond all of them
}

// column encodes one column of a file.
type column struct {
	values
	descr    *schema.Column
	nullable bool
	levels   levels // of the open page
	pageSize int
	pages    []page // of the row group
	rows     int64  // of the row group, in pages
	nulls    int64
}

// add encodes rows [from, to) of a batch's column.
func (c *column) add(p *press, a arrow.Array, from, to int) {
	for from < to {
		end := to
		if a.NullN() < a.Len() {
			end = c.take(a, from, to, c.pageSize-c.size())
		}
		if c.nullable {
			c.levels.add(a, from, end)
		} else {
			c.levels.rows += end - from
		}
		from = end
		if c.size()+c.levels.rows/8 >= c.pageSize {
			c.endPage(p)
		}
	}
}

func (c *column) endPage(p *press) {
	if c.levels.rows == 0 {
		return
	}
	raw := p.raw[:0]
	if c.nullable {
		raw = c.levels.encode(raw)
	}
	raw, encoding := c.encode(raw)
	p.raw = raw
	c.pages = append(c.pages, page{data: p.compress(raw), rows: c.levels.rows, size: len(raw), encoding: encoding})
	c.rows += int64(c.levels.rows)
	c.nulls += int64(c.levels.nulls)
	c.levels.reset()
}

// endGroup writes the column's chunk, and begins another.
func (c *column) endGroup(w pqfile.PageWriter, out *counter, meta *metadata.ColumnChunkMetaDataBuilder) error {
	start := out.Tell()
	chunk := metadata.ChunkMetaInfo{NumValues: c.rows, IndexPageOffset: -1, DataPageOffset: start}
	used := metadata.EncodingStats{DictEncodingStats: map[parquet.Encoding]int32{}, DataEncodingStats: map[parquet.Encoding]int32{}}
	encodings := []parquet.Encoding{parquet.Encodings.RLE} // of the levels
	entries, n := c.dictionary()
	if n > 0 {
		before := out.Tell()
		d := pqfile.NewDictionaryPage(memory.NewBufferBytes(entries), int32(n), parquet.Encodings.Plain)
		_, err := w.WriteDictionaryPage(d)
		d.Release()
		if err != nil {
			return err
		}
		chunk.DictPageOffset, chunk.DataPageOffset = before, out.Tell()
		// The header's size is a guess, of no use to readers.
		chunk.UncompressedSize = int64(len(entries)) + pageHeader
		used.DictEncodingStats[parquet.Encodings.Plain]++
		encodings = append(encodings, parquet.Encodings.Plain)
	}
	for _, p := range c.pages {
		d := pqfile.NewDataPageV1(memory.NewBufferBytes(p.data), int32(p.rows), p.encoding, parquet.Encodings.RLE, parquet.Encodings.RLE, int32(p.size))
		written, err := w.WriteDataPage(d)
		d.Release()
		if err != nil {
			return err
		}
		chunk.UncompressedSize += written - int64(len(p.data)) + int64(p.size)
		used.DataEncodingStats[p.encoding]++
		if !slices.Contains(encodings, p.encoding) {
			encodings = append(encodings, p.encoding)
		}
	}
	chunk.CompressedSize = out.Tell() - start
	c.describe(meta)
	if err := meta.Finish(chunk, n > 0, false, used); err != nil {
		return err
	}
	setEncodings(&meta.Contents().MetaData.Encodings, encodings)
	clear(c.pages)
	c.pages, c.rows, c.nulls = c.pages[:0], 0, 0
	c.values.reset()
	return nil
}

// pageHeader is about the size of a page's header.
const pageHeader = 16

// setEncodings says which encodings a chunk has. The builder knows of one a
// column, and the type of the list has no name outside of its module.
func setEncodings[E ~int64](list *[]E, encodings []parquet.Encoding) {
	*list = (*list)[:0]
	for _, e := range encodings {
		*list = append(*list, E(e))
	}
}

// describe sets the chunk's statistics.
func (c *column) describe(meta *metadata.ColumnChunkMetaDataBuilder) {
	var s metadata.EncodedStatistics
	s.SetNullCount(c.nulls)
	s.Signed = c.descr.SortOrder() == schema.SortSIGNED
	b, ok := c.bounds()
	if ok {
		s.SetMin(b.min).SetMax(b.max)
	}
	meta.SetStats(s)
	if stats := meta.Contents().MetaData.Statistics; ok && (b.minCut || b.maxCut) {
		minExact, maxExact := !b.minCut, !b.maxCut
		stats.IsMinValueExact, stats.IsMaxValueExact = &minExact, &maxExact
	}
}

// newColumn returns how a field is encoded: with a dictionary at first if the
// sample of the column repeats.
func newColumn(columns int, field arrow.Field, descr *schema.Column, limit sizes, sample arrow.Array) (*column, error) {
	c := &column{descr: descr, nullable: field.Nullable, pageSize: limit.pageSize(columns)}
	if !repeats(sample) {
		limit.entries = 0
	}
	switch descr.PhysicalType() {
	case parquet.Types.Boolean:
		c.values = &bools{}
	case parquet.Types.Int32:
		c.values = newInts[int32](limit)
	case parquet.Types.Int64:
		c.values = newInts[int64](limit)
	case parquet.Types.Float:
		c.values = &floats[float32]{}
	case parquet.Types.Double:
		c.values = &floats[float64]{}
	case parquet.Types.ByteArray:
		c.values = newTexts(field.Type.ID() == arrow.STRING, limit)
	case parquet.Types.FixedLenByteArray:
		if field.Type.ID() == arrow.DECIMAL128 {
			c.values = newFixed(descr.TypeLength(), true, limit)
		} else {
			c.values = newFixed(descr.TypeLength(), false, limit)
		}
	}
	if c.values == nil {
		return nil, fmt.Errorf("column %q: no column of %s can be written", field.Name, field.Type)
	}
	return c, nil
}
