package driver

import (
	"cmp"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// Layouts of cursor values: fixed width, so that text order is time order for
// the years 0001 to 9999.
const (
	cursorDate        = "2006-01-02"
	cursorTimestamp   = "2006-01-02T15:04:05.000000"
	cursorTimestampTZ = "2006-01-02T15:04:05.000000Z"
)

// FormatCursor returns the text form of one value of an ordered column:
// decimal digits, ISO 8601 in UTC with microseconds, a UUID, or the text
// itself. It panics on a column that is not Ordered.
func FormatCursor(column arrow.Array, row int) string {
	switch a := column.(type) {
	case *array.Int32:
		return strconv.FormatInt(int64(a.Value(row)), 10)
	case *array.Int64:
		return strconv.FormatInt(a.Value(row), 10)
	case *array.Decimal128:
		return a.Value(row).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Date32:
		return a.Value(row).ToTime().Format(cursorDate)
	case *array.Timestamp:
		at := time.UnixMicro(int64(a.Value(row))).UTC()
		if a.DataType().(*arrow.TimestampType).TimeZone == "" {
			return at.Format(cursorTimestamp)
		}
		return at.Format(cursorTimestampTZ)
	case *array.String:
		return strings.Clone(a.Value(row))
	case *extensions.UUIDArray:
		return a.Value(row).String()
	}
	panic(fmt.Sprintf("a column of %s is no cursor", column.DataType()))
}

// CompareCursors orders two values in the form of FormatCursor. Text is ordered
// by its bytes.
func CompareCursors(t Type, a, b string) (int, error) {
	switch t.Kind {
	case Int32, Int64, Decimal:
		x, ok := new(big.Rat).SetString(a)
		y, ok2 := new(big.Rat).SetString(b)
		if !ok || !ok2 {
			return 0, E(ErrInvalidConfig, nil, "cursor values of a %s column must be numbers", t)
		}
		return x.Cmp(y), nil
	}
	return cmp.Compare(a, b), nil
}
