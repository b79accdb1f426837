package reading

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/iceberg-go"

	"headwater/handlers/landing/tableschema"
)

func typeName(t iceberg.Type) string {
	if d, ok := tableschema.DriverType(t); ok {
		return d.String()
	}
	return t.String()
}

// valueAt returns one value, copied out of the batch: nil, a bool, a float64, an
// int64, a []byte, or text: the exact digits of a decimal, ISO 8601 for dates and
// times, NaN and Infinity by name, JSON as it landed. A list is a []any, a struct
// a map[string]any, a map a []any of such with key and value; only other tools
// write those.
func valueAt(column arrow.Array, row int) any {
	if column.IsNull(row) {
		return nil
	}
	switch a := column.(type) {
	case *array.Boolean:
		return a.Value(row)
	case *array.Int32:
		return int64(a.Value(row))
	case *array.Int64:
		return a.Value(row)
	case *array.Float32:
		return number(float64(a.Value(row)), 32)
	case *array.Float64:
		return number(a.Value(row), 64)
	case *array.Binary:
		return append([]byte{}, a.Value(row)...)
	case *array.LargeBinary:
		return append([]byte{}, a.Value(row)...)
	case *array.FixedSizeBinary:
		return append([]byte{}, a.Value(row)...)
	case *array.Decimal128:
		return a.Value(row).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Date32:
		return a.Value(row).ToTime().Format("2006-01-02")
	case *array.Time64:
		return a.Value(row).ToTime(a.DataType().(*arrow.Time64Type).Unit).Format("15:04:05.999999999")
	case *array.Timestamp:
		return instant(a.Value(row), a.DataType().(*arrow.TimestampType))
	case *extensions.UUIDArray:
		return a.Value(row).String()
	}
	if value, ok := nested(column, row); ok {
		return value
	}
	return string([]byte(column.ValueStr(row)))
}

// valueAs is valueAt of a column whose file may be older than the table's type.
func valueAs(t iceberg.Type, column arrow.Array, row int) any {
	if a, ok := column.(*array.Float32); ok && t.Equals(iceberg.PrimitiveTypes.Float64) && !a.IsNull(row) {
		return number(float64(a.Value(row)), 64)
	}
	return valueAt(column, row)
}

// nested returns the value of a column of lists, maps or structs.
func nested(column arrow.Array, row int) (value any, ok bool) {
	switch a := column.(type) {
	case *array.Map: // which is a list, too
		pairs := []any{}
		from, to := a.ValueOffsets(row)
		for i := from; i < to; i++ {
			pairs = append(pairs, map[string]any{"key": valueAt(a.Keys(), int(i)), "value": valueAt(a.Items(), int(i))})
		}
		return pairs, true
	case array.ListLike:
		list := []any{}
		from, to := a.ValueOffsets(row)
		for i := from; i < to; i++ {
			list = append(list, valueAt(a.ListValues(), int(i)))
		}
		return list, true
	case *array.Struct:
		fields := map[string]any{}
		for i, f := range a.DataType().(*arrow.StructType).Fields() {
			fields[f.Name] = valueAt(a.Field(i), row)
		}
		return fields, true
	}
	return nil, false
}

// instant returns a timestamp as ISO 8601, to the digit that it has.
func instant(v arrow.Timestamp, of *arrow.TimestampType) string {
	const form = "2006-01-02T15:04:05.999999999"
	at := v.ToTime(of.Unit).UTC()
	if of.TimeZone == "" {
		return at.Format(form)
	}
	return at.Format(form + "Z")
}

// number returns a float that JSON can hold, or its name.
func number(f float64, bits int) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case bits == 32:
		// The shortest text of a float32 is not that of the same float64.
		short, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'g', -1, 32), 64)
		return short
	}
	return f
}

// beginning returns the first bytes of a text or of bytes that a preview does not
// show whole, and how long those are; any other value as it is, and 0.
func beginning(value any) (short any, whole int) {
	switch v := value.(type) {
	case string:
		if len(v) > previewCell {
			end := previewCell
			for end > previewCell-utf8.UTFMax && !utf8.RuneStart(v[end]) {
				end--
			}
			return string([]byte(v[:end])), len(v)
		}
	case []byte:
		if len(v) > previewCell {
			return append([]byte{}, v[:previewCell]...), len(v)
		}
	}
	return value, 0
}

// sizeOf returns about how much a value takes in an answer.
func sizeOf(value any) int {
	size := 16
	switch v := value.(type) {
	case string:
		size += len(v)
	case []byte:
		size += len(v) + len(v)/3
	case []any:
		for _, one := range v {
			size += sizeOf(one)
		}
	case map[string]any:
		for name, one := range v {
			size += len(name) + sizeOf(one)
		}
	}
	return size
}

// Column is one column of a landed table.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // as driver.Type names it; JSON is a string
}
