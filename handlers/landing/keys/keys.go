// Package keys makes what stands for the key of a row: rows have the same where
// their source takes their keys for equal.
package keys

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/handlers/landing/content"
)

// ErrBadKey means that rows cannot be told apart by their key: there is none,
// or one of its columns holds NULL.
var ErrBadKey = errors.New("no key to tell rows apart by")

// Key stands for the values of a row's key columns. Keys of fixed width that
// fit are the values themselves. Others are the first half of their SHA-256:
// no two different ones are known that share it, and none can be made up.
type Key [16]byte

// Column says how the values of a column of a key are compared.
type Column struct {
	Form  func(text string) string // as Canonical returns it, nil where equal bytes are equal
	Short bool                     // a decimal of at most 18 digits
}

// Width returns how many bytes of a key a column of a type takes at most, more than
// a Key has for one without a bound, and whether it is a short decimal.
func Width(t arrow.DataType) (width int, short bool) {
	switch t := t.(type) {
	case *arrow.StringType, *arrow.LargeStringType, *arrow.BinaryType, *arrow.LargeBinaryType:
		return len(Key{}) + 1, false
	case *arrow.FixedSizeBinaryType:
		return t.ByteWidth, false
	case *arrow.Decimal128Type:
		if t.Precision > 18 {
			return 16, false
		}
		return 8, true
	case arrow.ExtensionType:
		return Width(t.StorageType())
	}
	return 8, false
}

// Of returns how to make the keys of the rows of a batch. The int is the column
// that holds NULL in that row, -1 for none: then it has no key. A column may be nil:
// it holds NULL throughout. exact says that all columns fit into a Key; lacks is the
// column in which NULL is a value like others, -1 for none. What it returns is not
// safe for concurrent use.
func Of(of []Column, exact bool, lacks int, columns []arrow.Array) func(row int) (Key, int) {
	add := make([]content.Appender, len(columns))
	for i, column := range columns {
		if column == nil && i == lacks {
			continue
		}
		if column == nil {
			return func(int) (Key, int) { return Key{}, i }
		}
		if of[i].Form != nil {
			add[i] = inForm(column, of[i].Form)
		}
		if add[i] == nil {
			add[i] = appenderOf(column, of[i].Short)
		}
	}
	var buf []byte
	return func(row int) (made Key, null int) {
		buf = buf[:0]
		for i, column := range columns {
			if i == lacks {
				if column == nil || column.IsNull(row) {
					buf = append(buf, 0)
					continue
				}
				buf = append(buf, 1)
			}
			if column.IsNull(row) {
				return Key{}, i
			}
			buf = add[i](buf, row)
		}
		if exact {
			copy(made[:], buf)
			return made, -1
		}
		sum := sha256.Sum256(buf)
		copy(made[:], sum[:])
		return made, -1
	}
}

func appendText(buf, text []byte) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(text))), text...)
}

// appenderOf returns how to append the values of a key column, in a
// form that all values have which a source takes for equal.
func appenderOf(column arrow.Array, short bool) content.Appender {
	switch a := column.(type) {
	case *array.Float32:
		return unsigned(a.Float32Values(), content.Of(a))
	case *array.Float64:
		return unsigned(a.Float64Values(), content.Of(a))
	case *array.Decimal128:
		if short {
			return func(buf []byte, row int) []byte { return binary.LittleEndian.AppendUint64(buf, a.Value(row).LowBits()) }
		}
	}
	return content.Of(column)
}

// unsigned appends zero of either sign as one value.
func unsigned[T ~float32 | ~float64](values []T, add content.Appender) content.Appender {
	return func(buf []byte, row int) []byte {
		if values[row] == 0 {
			return binary.LittleEndian.AppendUint64(buf, 0)
		}
		return add(buf, row)
	}
}
