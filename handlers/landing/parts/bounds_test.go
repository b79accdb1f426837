package parts

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// checkBounds compares a chunk's statistics with what its values say.
func checkBounds(meta *metadata.ColumnChunkMetaData, typ arrow.DataType, column []any) error {
	stats, err := meta.Statistics()
	if err != nil || stats == nil {
		return fmt.Errorf("none (%v)", err)
	}
	var nulls int64
	var values []any
	for _, v := range column {
		if v == nil {
			nulls++
			continue
		}
		if bits, ok := v.(uint64); ok && math.IsNaN(math.Float64frombits(bits)) {
			continue
		}
		values = append(values, v)
	}
	if !stats.HasNullCount() || stats.NullCount() != nulls {
		return fmt.Errorf("%d NULLs, want %d", stats.NullCount(), nulls)
	}
	if meta.NumValues() != int64(len(column)) {
		return fmt.Errorf("%d values, want %d", meta.NumValues(), len(column))
	}
	if stats.HasMinMax() != (len(values) > 0) {
		return fmt.Errorf("bounds %v of %d values", stats.HasMinMax(), len(values))
	}
	if len(values) == 0 {
		return nil
	}
	least, most := slices.MinFunc(values, order(typ)), slices.MaxFunc(values, order(typ))
	low, high := stats.EncodeMin(), stats.EncodeMax()
	switch s := stats.(type) {
	case *metadata.ByteArrayStatistics:
		if len(least.(string)) <= boundSize && string(s.Min()) != least || string(s.Min()) > least.(string) || len(s.Min()) > boundSize {
			return fmt.Errorf("minimum %q, want %q", s.Min(), least)
		}
		if len(most.(string)) <= boundSize && string(s.Max()) != most || string(s.Max()) < most.(string) {
			return fmt.Errorf("maximum %q, want %q", s.Max(), most)
		}
		return nil
	case *metadata.Int32Statistics:
		if fmt.Sprint(s.Min()) != digits(least) || fmt.Sprint(s.Max()) != digits(most) {
			return fmt.Errorf("%d to %d, want %v to %v", s.Min(), s.Max(), digits(least), digits(most))
		}
	case *metadata.Int64Statistics:
		if fmt.Sprint(s.Min()) != digits(least) || fmt.Sprint(s.Max()) != digits(most) {
			return fmt.Errorf("%d to %d, want %v to %v", s.Min(), s.Max(), digits(least), digits(most))
		}
	case *metadata.Float32Statistics:
		return checkFloats(float64(s.Min()), float64(s.Max()), least, most)
	case *metadata.Float64Statistics:
		return checkFloats(s.Min(), s.Max(), least, most)
	case *metadata.BooleanStatistics:
		if s.Min() != least || s.Max() != most {
			return fmt.Errorf("%v to %v", s.Min(), s.Max())
		}
	case *metadata.FixedLenByteArrayStatistics:
		if typ.ID() == arrow.DECIMAL128 {
			if bigEndian(low) != least || bigEndian(high) != most {
				return fmt.Errorf("%s to %s, want %s to %s", bigEndian(low), bigEndian(high), least, most)
			}
			return nil
		}
		if string(low) != least || string(high) != most {
			return fmt.Errorf("%x to %x, want %x to %x", low, high, least, most)
		}
	default:
		return fmt.Errorf("unknown statistics %T", stats)
	}
	return nil
}

func checkFloats(low, high float64, least, most any) error {
	a, b := math.Float64frombits(least.(uint64)), math.Float64frombits(most.(uint64))
	if low != a || high != b || low == 0 && !math.Signbit(low) || high == 0 && math.Signbit(high) {
		return fmt.Errorf("%v to %v, want %v to %v", low, high, a, b)
	}
	return nil
}

// digits are those of an integer, a date or a time.
func digits(v any) string {
	switch v := v.(type) {
	case arrow.Date32:
		return fmt.Sprint(int32(v))
	case arrow.Time64:
		return fmt.Sprint(int64(v))
	case arrow.Timestamp:
		return fmt.Sprint(int64(v))
	}
	return fmt.Sprint(v)
}

func bigEndian(b []byte) string {
	var fill byte
	if b[0]&0x80 != 0 {
		fill = 0xff
	}
	whole := append(bytes.Repeat([]byte{fill}, 16-len(b)), b...)
	var high, low uint64
	for i := range 8 {
		high, low = high<<8|uint64(whole[i]), low<<8|uint64(whole[8+i])
	}
	return decimal128.New(int64(high), low).BigInt().String()
}

// order is how the values of a type compare.
func order(typ arrow.DataType) func(a, b any) int {
	return func(a, b any) int {
		switch a := a.(type) {
		case uint64:
			x, y := math.Float64frombits(a), math.Float64frombits(b.(uint64))
			return sign(x < y, x > y)
		case bool:
			return sign(!a && b.(bool), a && !b.(bool))
		case string:
			if typ.ID() == arrow.DECIMAL128 {
				x, err := decimal128.FromString(a, 38, 0)
				y, err2 := decimal128.FromString(b.(string), 38, 0)
				if err != nil || err2 != nil {
					panic("no decimal")
				}
				return x.Cmp(y)
			}
			return strings.Compare(a, b.(string))
		case int64:
			return sign(a < b.(int64), a > b.(int64))
		case arrow.Date32:
			return sign(a < b.(arrow.Date32), a > b.(arrow.Date32))
		case arrow.Time64:
			return sign(a < b.(arrow.Time64), a > b.(arrow.Time64))
		case arrow.Timestamp:
			return sign(a < b.(arrow.Timestamp), a > b.(arrow.Timestamp))
		}
		panic(fmt.Sprintf("no order of %T", a))
	}
}

func sign(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}
