// Package content makes bytes and hashes of rows: two rows have the same if all
// their values are the same, however wide the columns are that hold them.
package content

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"
)

// Hash stands for values of a row: their XXH3. Hashes of different values are
// taken to differ; whoever makes two that do not harms his own table alone.
type Hash [16]byte

// Appender appends the value of a row that is not NULL, in a form that differs
// for values that differ, and that no other value's form begins with. It is not
// safe for concurrent use.
type Appender func(buf []byte, row int) []byte

// Of returns how to append the values of a column. Numbers, and texts, have one
// form each, whatever their width. Zero of either sign is two values, NaN of any
// kind is one.
func Of(column arrow.Array) Appender {
	switch a := column.(type) {
	case *array.Boolean:
		return func(buf []byte, row int) []byte {
			if a.Value(row) {
				return append(buf, 1)
			}
			return append(buf, 0)
		}
	case *array.Int32:
		return whole(a.Int32Values())
	case *array.Int64:
		return whole(a.Int64Values())
	case *array.Date32:
		return whole(a.Date32Values())
	case *array.Time64:
		return whole(a.Time64Values())
	case *array.Timestamp:
		return whole(a.TimestampValues())
	case *array.Float32:
		return float(a.Float32Values())
	case *array.Float64:
		return float(a.Float64Values())
	case *array.Decimal128:
		values := a.Values()
		return func(buf []byte, row int) []byte {
			buf = binary.LittleEndian.AppendUint64(buf, values[row].LowBits())
			return binary.LittleEndian.AppendUint64(buf, uint64(values[row].HighBits()))
		}
	case *array.String:
		return text(a.Value)
	case *array.LargeString:
		return text(a.Value)
	case *array.Binary:
		return text(a.Value)
	case *array.LargeBinary:
		return text(a.Value)
	case *array.FixedSizeBinary:
		return func(buf []byte, row int) []byte { return append(buf, a.Value(row)...) }
	case array.ExtensionArray:
		return Of(a.Storage())
	}
	return text(column.ValueStr)
}

func whole[T ~int32 | ~int64](values []T) Appender {
	return func(buf []byte, row int) []byte {
		return binary.LittleEndian.AppendUint64(buf, uint64(int64(values[row])))
	}
}

func float[T ~float32 | ~float64](values []T) Appender {
	return func(buf []byte, row int) []byte {
		v := float64(values[row])
		if v != v {
			v = math.NaN()
		}
		return binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
	}
}

func text[T ~string | ~[]byte](value func(row int) T) Appender {
	return func(buf []byte, row int) []byte {
		v := value(row)
		return append(binary.AppendUvarint(buf, uint64(len(v))), v...)
	}
}

// Rows makes hashes of the rows of some columns, NULL among their values. It is
// not safe for concurrent use.
type Rows struct {
	columns []arrow.Array
	add     []Appender
	buf     []byte
}

// RowsOf returns the rows of columns, nil for one that holds NULL throughout.
func RowsOf(columns []arrow.Array) *Rows {
	r := &Rows{columns: columns, add: make([]Appender, len(columns))}
	for i, column := range columns {
		if column != nil {
			r.add[i] = Of(column)
		}
	}
	return r
}

// Hash returns the hash of a row.
func (r *Rows) Hash(row int) Hash {
	buf := r.buf[:0]
	for i, column := range r.columns {
		if column == nil || column.IsNull(row) {
			buf = append(buf, 0)
			continue
		}
		buf = r.add[i](append(buf, 1), row)
	}
	r.buf = buf
	return xxh3.Hash128(buf).Bytes()
}
