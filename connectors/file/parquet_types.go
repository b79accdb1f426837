package file

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// typeOf maps a type of Parquet, as Arrow names it. Lists, structs and maps
// become JSON; decimals of more than 38 digits, intervals, durations and what
// is new become text; nanoseconds must be whole microseconds.
func typeOf(t arrow.DataType) driver.Type {
	switch t := t.(type) {
	case *extensions.UUIDType:
		return driver.Of(driver.UUID)
	case *extensions.JSONType:
		return driver.Of(driver.JSON)
	case arrow.ExtensionType:
		return typeOf(t.StorageType())
	case *arrow.Decimal128Type:
		if t.Scale >= 0 && t.Scale <= t.Precision {
			return driver.DecimalOf(t.Precision, t.Scale)
		}
	case *arrow.TimestampType:
		if t.TimeZone != "" {
			return driver.Of(driver.TimestampTZ)
		}
		return driver.Of(driver.Timestamp)
	}
	switch t.ID() {
	case arrow.BOOL:
		return driver.Of(driver.Boolean)
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.UINT8, arrow.UINT16:
		return driver.Of(driver.Int32)
	case arrow.INT64, arrow.UINT32:
		return driver.Of(driver.Int64)
	case arrow.UINT64:
		return driver.DecimalOf(20, 0)
	case arrow.FLOAT16, arrow.FLOAT32:
		return driver.Of(driver.Float32)
	case arrow.FLOAT64:
		return driver.Of(driver.Float64)
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.FIXED_SIZE_BINARY:
		return driver.Of(driver.Bytes)
	case arrow.DATE32, arrow.DATE64:
		return driver.Of(driver.Date)
	case arrow.TIME32, arrow.TIME64:
		return driver.Of(driver.Time)
	case arrow.LIST, arrow.LARGE_LIST, arrow.FIXED_SIZE_LIST, arrow.STRUCT, arrow.MAP:
		return driver.Of(driver.JSON)
	}
	return driver.Of(driver.String)
}

// convertArray returns a as an array of the wanted type, which the caller
// releases, or nil and the first row whose value the type cannot hold.
func convertArray(a arrow.Array, t driver.Type, want arrow.DataType) (arrow.Array, int) {
	if arrow.TypeEqual(a.DataType(), want) {
		if s, ok := a.(*array.String); ok {
			for i := range s.Len() {
				if !s.IsNull(i) && !utf8.ValidString(s.Value(i)) {
					return nil, i
				}
			}
		}
		a.Retain()
		return a, 0
	}
	if x, ok := a.(array.ExtensionArray); ok && t.Kind != driver.UUID {
		return convertArray(x.Storage(), t, want)
	}
	b := records.NewBuilder(driver.Table{Columns: []driver.Column{{Type: t, Nullable: true}}}, driver.Limits{})
	defer b.Release()
	put := putter(a, b, t)
	for i := range a.Len() {
		if a.IsNull(i) {
			b.Null(0)
		} else if !put(i) {
			return nil, i
		}
	}
	return b.Array(0), 0
}

// putter returns the function that appends one value, or returns false.
func putter(a arrow.Array, b *records.Builder, t driver.Type) func(i int) bool {
	always := func(f func(i int)) func(int) bool {
		return func(i int) bool { f(i); return true }
	}
	switch to := b.Field(0).(type) {
	case *array.Int32Builder:
		switch a := a.(type) {
		case *array.Int8:
			return always(func(i int) { to.Append(int32(a.Value(i))) })
		case *array.Int16:
			return always(func(i int) { to.Append(int32(a.Value(i))) })
		case *array.Uint8:
			return always(func(i int) { to.Append(int32(a.Value(i))) })
		case *array.Uint16:
			return always(func(i int) { to.Append(int32(a.Value(i))) })
		}
	case *array.Int64Builder:
		if a, ok := a.(*array.Uint32); ok {
			return always(func(i int) { to.Append(int64(a.Value(i))) })
		}
	case *array.Float32Builder:
		if a, ok := a.(*array.Float16); ok {
			return always(func(i int) { to.Append(a.Value(i).Float32()) })
		}
	case *array.Decimal128Builder:
		if a, ok := a.(*array.Uint64); ok && t.Scale == 0 && t.Precision >= 20 {
			return always(func(i int) { to.Append(decimal128.FromU64(a.Value(i))) })
		}
	case *array.Date32Builder:
		if a, ok := a.(*array.Date64); ok {
			return func(i int) bool {
				ms := int64(a.Value(i))
				if ms%86_400_000 != 0 {
					return false
				}
				to.Append(arrow.Date32(ms / 86_400_000))
				return true
			}
		}
	case *array.Time64Builder:
		switch a := a.(type) {
		case *array.Time32:
			unit := a.DataType().(*arrow.Time32Type).Unit
			return func(i int) bool {
				us, ok := micros(int64(a.Value(i)), unit)
				if ok {
					to.Append(arrow.Time64(us))
				}
				return ok
			}
		case *array.Time64:
			unit := a.DataType().(*arrow.Time64Type).Unit
			return func(i int) bool {
				us, ok := micros(int64(a.Value(i)), unit)
				if ok {
					to.Append(arrow.Time64(us))
				}
				return ok
			}
		}
	case *array.TimestampBuilder:
		if a, ok := a.(*array.Timestamp); ok {
			from := a.DataType().(*arrow.TimestampType)
			if (from.TimeZone != "") == (t.Kind == driver.TimestampTZ) {
				return func(i int) bool {
					us, ok := micros(int64(a.Value(i)), from.Unit)
					if ok {
						to.Append(arrow.Timestamp(us))
					}
					return ok
				}
			}
		}
	case *array.BinaryBuilder:
		switch a := a.(type) {
		case *array.LargeBinary:
			return always(func(i int) { to.Append(a.Value(i)) })
		case *array.FixedSizeBinary:
			return always(func(i int) { to.Append(a.Value(i)) })
		case *array.String:
			return always(func(i int) { to.AppendString(a.Value(i)) })
		}
	}
	if t.Kind == driver.JSON {
		if _, nested := a.DataType().(arrow.NestedType); nested {
			return func(i int) bool {
				raw, ok := marshal(a, i)
				return ok && b.Text(0, raw) == nil
			}
		}
	}
	return func(i int) bool { return b.Text(0, valueText(a, i)) == nil }
}

// micros converts a count of units to microseconds without loss.
func micros(n int64, unit arrow.TimeUnit) (int64, bool) {
	switch unit {
	case arrow.Nanosecond:
		return n / 1000, n%1000 == 0
	case arrow.Microsecond:
		return n, true
	case arrow.Millisecond:
		return n * 1000, n*1000/1000 == n
	}
	return n * 1_000_000, n*1_000_000/1_000_000 == n
}

// marshal returns a nested value as JSON; bytes in it are base64.
func marshal(a arrow.Array, i int) ([]byte, bool) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(a.GetOneForMarshal(i)); err != nil {
		return nil, false
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), true
}

// valueText returns the text form of a value.
func valueText(a arrow.Array, i int) []byte {
	switch a := a.(type) {
	case *array.Dictionary:
		return valueText(a.Dictionary(), a.GetValueIndex(i))
	case *array.LargeString:
		return []byte(a.Value(i))
	case *array.String:
		return []byte(a.Value(i))
	case *array.Binary:
		return a.Value(i)
	}
	return []byte(a.ValueStr(i))
}
