package parquet

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/parquet"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// flat is a column of single values.
type flat struct {
	*columnReader
	to driver.Type
	b  *records.Builder // of one column; nil where the values have Arrow's layout
}

// newFlat returns a reader of a leaf's values as a column of the type.
func newFlat(in *columnReader, to driver.Type) *flat {
	f := &flat{columnReader: in, to: to}
	if !f.asTheyAre() {
		f.b = records.NewBuilder(driver.Table{Columns: []driver.Column{{Type: to, Nullable: true}}}, driver.Limits{})
	}
	return f
}

func (f *flat) release() {
	if f.b != nil {
		f.b.Release()
	}
	f.columnReader.release()
}

// asTheyAre reports whether the values lie as those of the column do.
func (f *flat) asTheyAre() bool {
	t := f.leaf.value
	if f.to != t.driverType() {
		return false
	}
	switch t.means {
	case isBoolean, isDate:
		return true
	case isBytes, isText:
		return t.physical == parquet.Types.ByteArray
	case isInteger:
		return t.bits == 32 && !t.unsigned && t.physical == parquet.Types.Int32 || t.bits == 64 && !t.unsigned
	case isFloat:
		return t.bits != 16
	case isMoment:
		return t.physical == parquet.Types.Int64 && t.unit == arrow.Microsecond
	}
	return false
}

// isPlainText reports whether a leaf's values are read into arrays of text.
func isPlainText(l *leaf, to driver.Type) bool {
	return l.value.means == isText && to.Kind == driver.String && l.value.physical == parquet.Types.ByteArray
}

// array returns what was loaded. The caller releases it. An error comes with the
// row that has it.
func (f *flat) array(int) (arrow.Array, int, error) {
	if f.b == nil {
		a := f.arrow(f.to.Arrow())
		if s, ok := a.(*array.String); ok {
			for i := range s.Len() {
				if !s.IsNull(i) && !utf8.ValidString(s.Value(i)) {
					a.Release()
					return nil, i, errNoText
				}
			}
		}
		return a, 0, nil
	}
	v := f.values()
	defer v.release()
	put := f.putter(&v)
	for i := range v.n {
		if !v.there(i) {
			f.b.Null(0)
		} else if err := put(i); err != nil {
			f.b.Array(0).Release()
			return nil, i, err
		}
	}
	return f.b.Array(0), 0, nil
}

// putter returns the function that appends one value.
func (f *flat) putter(v *values) func(i int) error {
	t := &f.leaf.value
	if f.to == t.driverType() {
		switch to := f.b.Field(0).(type) {
		case *array.Int32Builder:
			return func(i int) error {
				n, err := t.integer(v, i)
				to.Append(int32(n))
				return err
			}
		case *array.Int64Builder:
			return func(i int) error {
				n, err := t.integer(v, i)
				to.Append(n)
				return err
			}
		case *array.Float32Builder:
			return func(i int) error {
				x, _ := t.float(v, i)
				to.Append(float32(x))
				return nil
			}
		case *array.Decimal128Builder:
			return t.decimals(v, to)
		case *array.Time64Builder:
			return func(i int) error {
				n, per := v.whole(i), perSecond(t.unit)
				if n < 0 || n >= 86400*per {
					return errNoClock
				}
				us, ok := micros(n, per)
				to.Append(arrow.Time64(us))
				return fits(ok)
			}
		case *array.TimestampBuilder:
			return func(i int) error {
				us, ok := t.micros(v, i)
				to.Append(arrow.Timestamp(us))
				return fits(ok)
			}
		case *array.BinaryBuilder:
			return func(i int) error { to.Append(v.bytes.Value(i)); return nil }
		case *extensions.UUIDBuilder:
			return func(i int) error { to.Append([16]byte(v.bytes.Value(i))); return nil }
		}
	}
	switch to := f.b.Field(0).(type) {
	case *array.BinaryBuilder:
		if v.bytes != nil {
			return func(i int) error { to.Append(v.bytes.Value(i)); return nil }
		}
	case *array.Float64Builder:
		if t.means == isFloat { // the same number, and not the one that its text is short for
			return func(i int) error {
				x, _ := t.float(v, i)
				to.Append(x)
				return nil
			}
		}
	}
	var text []byte
	return func(i int) (err error) {
		if text, err = t.text(text[:0], v, i, f.to.Kind == driver.JSON); err != nil {
			return err
		}
		if f.to.Kind == driver.String && !utf8.Valid(text) {
			return errNoText
		}
		return f.b.Text(0, text)
	}
}

// fits is nil for a value that its column holds.
func fits(ok bool) error {
	if ok {
		return nil
	}
	return records.ErrMisfit
}

// decimals returns the function that appends a decimal of at most 38 digits, or
// an unsigned integer as one.
func (t *valueType) decimals(v *values, to *array.Decimal128Builder) func(i int) error {
	precision := t.driverType().Precision
	return func(i int) error {
		var n decimal128.Num
		switch {
		case t.means == isInteger:
			n = decimal128.FromU64(uint64(v.whole(i)))
		case v.bytes == nil:
			n = decimal128.FromI64(v.whole(i))
		default:
			var ok bool
			if n, ok = decimalOf(v.bytes.Value(i)); !ok {
				return errNoValue
			}
		}
		to.Append(n)
		if !n.FitsInPrecision(precision) {
			return errNoValue
		}
		return nil
	}
}

// decimalOf reads a number of two's complement, highest byte first.
func decimalOf(raw []byte) (decimal128.Num, bool) {
	if len(raw) == 0 { // as some write 0
		return decimal128.Num{}, true
	}
	fill := byte(int8(raw[0]) >> 7)
	for len(raw) > 16 {
		if raw[0] != fill || int8(raw[1])>>7 != int8(fill) {
			return decimal128.Num{}, false
		}
		raw = raw[1:]
	}
	var whole [16]byte
	for i := range whole {
		whole[i] = fill
	}
	copy(whole[16-len(raw):], raw)
	return decimal128.New(int64(binary.BigEndian.Uint64(whole[:])), binary.BigEndian.Uint64(whole[8:])), true
}

// micros converts a count of which so many make a second to microseconds, without
// loss.
func micros(n, per int64) (int64, bool) {
	switch {
	case per > 1e6:
		return n / (per / 1e6), n%(per/1e6) == 0
	case per == 1e6:
		return n, true
	}
	us := n * (1e6 / per)
	return us, us/(1e6/per) == n
}

// micros returns a moment as microseconds since 1970, without loss.
func (t *valueType) micros(v *values, i int) (int64, bool) {
	if v.i96 == nil {
		return micros(v.i64[i], perSecond(t.unit))
	}
	seconds, nanos := t.moment(v, i)
	negative := seconds < 0
	if negative { // towards zero, so that the product is the smaller one
		seconds, nanos = seconds+1, nanos-1e9
	}
	magnitude := seconds
	if negative {
		magnitude = -seconds
	}
	high, low := bits.Mul64(uint64(magnitude), 1e6)
	if high != 0 || low > 1<<63-1_000_001 || nanos%1000 != 0 {
		return 0, false
	}
	return seconds*1e6 + nanos/1000, true
}
