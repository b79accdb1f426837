package parquet

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
)

// What a damaged file shows by its levels and counts.
var (
	errShort  = errors.New("a column has fewer values than its row group has rows")
	errLong   = errors.New("a column has more values than its row group has rows")
	errUneven = errors.New("the columns of a field do not belong together")
)

// columnReader reads the values of one leaf, over all row groups.
type columnReader struct {
	file   *File
	leaf   *leaf
	reader pqfile.RecordReader
	group  int   // the next row group
	left   int64 // rows of the present one
	opened bool
}

// newColumnReader returns a reader that makes text of a type of its own where
// the values become a column of text as they are.
func newColumnReader(file *File, l *leaf, asText bool) *columnReader {
	var binary arrow.DataType = arrow.BinaryTypes.Binary
	if asText {
		binary = arrow.BinaryTypes.String
	}
	// A place for each level makes the place of a value that of its levels.
	info := pqfile.LevelInfo{NullSlotUsage: 1, DefLevel: l.def, RepLevel: l.rep}
	return &columnReader{file: file, leaf: l, reader: pqfile.NewRecordReader(l.descr, info, binary, memory.DefaultAllocator, file.BufferPool())}
}

// load reads the values of the next rows, of which there are that many.
func (c *columnReader) load(rows int64) error {
	c.reader.Reset()
	if err := c.reader.Reserve(rows); err != nil {
		return err
	}
	for rows > 0 {
		if c.left == 0 {
			if err := c.next(); err != nil {
				return err
			}
			continue
		}
		n, err := c.reader.ReadRecords(min(rows, c.left))
		if err != nil {
			return err
		}
		if n <= 0 {
			return errShort
		}
		rows -= n
		if c.left -= n; c.left == 0 {
			if more, err := c.reader.ReadRecords(1); err != nil || more > 0 {
				return errors.Join(err, errLong)
			}
		}
	}
	return nil
}

// next opens the column in the next row group.
func (c *columnReader) next() error {
	if c.group == c.file.NumRowGroups() {
		return errShort
	}
	group := c.file.RowGroup(c.group)
	c.group++
	if c.left = group.NumRows(); c.left == 0 {
		return nil
	}
	chunk, err := group.MetaData().ColumnChunk(c.leaf.column)
	if err != nil {
		return err
	}
	start := chunk.DataPageOffset()
	if at := chunk.DictionaryPageOffset(); chunk.HasDictionaryPage() && at > 0 && at < start {
		start = at
	}
	if err := checkPages(c.file.source, start, chunk.TotalCompressedSize()); err != nil {
		return err
	}
	pages, err := group.GetColumnPageReader(c.leaf.column)
	if err != nil {
		return err
	}
	c.opened = true
	if c.leaf.value.physical == parquet.Types.FixedLenByteArray {
		pages = &deltaPages{PageReader: pages, leaf: c.leaf}
	}
	return c.reader.(pqfile.RecordReaderWithError).SetPageReaderWithError(pages)
}

// release gives the buffers back, of which there are none that the library could
// release before it has seen a page.
func (c *columnReader) release() {
	if c.opened {
		c.reader.Release()
	}
}

// values are what a columnReader loaded: a place for each level.
type values struct {
	def, rep []int16 // nil where there are no such levels
	n        int
	top      int16 // the definition level of a value
	bits     []byte
	i32      []int32
	i64      []int64
	i96      []parquet.Int96
	f32      []float32
	f64      []float64
	bytes    interface{ Value(int) []byte }
	release  func()
}

// values returns what was loaded, valid until the next load. The caller calls
// its release.
func (c *columnReader) values() values {
	v := values{n: c.reader.ValuesWritten(), top: c.leaf.def, release: func() {}}
	if c.leaf.def > 0 {
		v.def = c.reader.DefLevels()[:c.reader.LevelsPos()]
		v.n = len(v.def)
	}
	if c.leaf.rep > 0 {
		v.rep = c.reader.RepLevels()[:c.reader.LevelsPos()]
	}
	switch c.leaf.value.physical {
	case parquet.Types.Boolean:
		bits := c.reader.(pqfile.BooleanRecordReader).ReleaseValueBitmap()
		v.bits, v.release = bits.Bytes(), bits.Release
	case parquet.Types.Int32:
		v.i32 = arrow.Int32Traits.CastFromBytes(c.reader.Values())
	case parquet.Types.Int64:
		v.i64 = arrow.Int64Traits.CastFromBytes(c.reader.Values())
	case parquet.Types.Int96:
		v.i96 = parquet.Int96Traits.CastFromBytes(c.reader.Values())
	case parquet.Types.Float:
		v.f32 = arrow.Float32Traits.CastFromBytes(c.reader.Values())
	case parquet.Types.Double:
		v.f64 = arrow.Float64Traits.CastFromBytes(c.reader.Values())
	default:
		chunk := c.reader.(pqfile.BinaryRecordReader).GetBuilderChunks()[0]
		v.n = chunk.Len()
		v.bytes, v.release = chunk.(interface{ Value(int) []byte }), chunk.Release
	}
	return v
}

// there reports whether place i holds a value.
func (v *values) there(i int) bool { return v.def == nil || v.def[i] == v.top }

func (v *values) bit(i int) bool { return bitutil.BitIsSet(v.bits, i) }

// whole returns the integer at place i.
func (v *values) whole(i int) int64 {
	if v.i32 != nil {
		return int64(v.i32[i])
	}
	return v.i64[i]
}

// arrow returns what was loaded as an array of the type, whose layout the values
// have, without a look at them. The caller releases it.
func (c *columnReader) arrow(t arrow.DataType) arrow.Array {
	if binary, ok := c.reader.(pqfile.BinaryRecordReader); ok {
		chunk := binary.GetBuilderChunks()[0]
		defer chunk.Release()
		return array.MakeFromData(chunk.Data())
	}
	n, nulls := c.reader.ValuesWritten(), int(c.reader.NullCount())
	buffers := []*memory.Buffer{c.reader.ReleaseValidBits(), nil}
	if boolean, ok := c.reader.(pqfile.BooleanRecordReader); ok {
		buffers[1] = boolean.ReleaseValueBitmap()
	} else {
		buffers[1] = c.reader.ReleaseValues()
	}
	data := array.NewData(t, n, buffers, nil, nulls, 0)
	defer data.Release()
	for _, b := range buffers {
		if b != nil {
			b.Release()
		}
	}
	return array.MakeFromData(data)
}
