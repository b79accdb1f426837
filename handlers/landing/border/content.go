package border

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"
)

// content makes the hashes of rows of one record batch after another.
type content struct{ buf []byte }

// of returns the hash of a row.
func (c *content) of(rec arrow.RecordBatch, row int) hash {
	c.buf = c.buf[:0]
	for i := range int(rec.NumCols()) {
		column := rec.Column(i)
		if column.IsNull(row) {
			c.buf = append(c.buf, 0)
			continue
		}
		c.buf = appendValue(append(c.buf, 1), column, row)
	}
	sum := xxh3.Hash128(c.buf).Bytes()
	return hash(sum[:len(hash{})])
}

// appendValue appends a value in a form that differs for values that differ.
func appendValue(buf []byte, column arrow.Array, row int) []byte {
	number := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(buf, n) }
	switch a := column.(type) {
	case *array.Boolean:
		if a.Value(row) {
			return append(buf, 1)
		}
		return append(buf, 0)
	case *array.Int32:
		return number(uint64(int64(a.Value(row))))
	case *array.Int64:
		return number(uint64(a.Value(row)))
	case *array.Float32:
		return number(uint64(math.Float32bits(a.Value(row))))
	case *array.Float64:
		return number(math.Float64bits(a.Value(row)))
	case *array.Date32:
		return number(uint64(int64(a.Value(row))))
	case *array.Time64:
		return number(uint64(a.Value(row)))
	case *array.Timestamp:
		return number(uint64(a.Value(row)))
	case *array.Decimal128:
		v := a.Value(row)
		return binary.LittleEndian.AppendUint64(number(v.LowBits()), uint64(v.HighBits()))
	case *array.String:
		v := a.Value(row)
		return append(binary.AppendUvarint(buf, uint64(len(v))), v...)
	case *array.Binary:
		v := a.Value(row)
		return append(binary.AppendUvarint(buf, uint64(len(v))), v...)
	case *array.FixedSizeBinary:
		return append(buf, a.Value(row)...)
	case array.ExtensionArray:
		return appendValue(buf, a.Storage(), row)
	}
	v := column.ValueStr(row)
	return append(binary.AppendUvarint(buf, uint64(len(v))), v...)
}
