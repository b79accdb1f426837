package drivertest

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
)

// Text returns one value in the form that Expected.Rows are written in: Null,
// "true", shortest decimal digits for floating point, lower-case hex for bytes,
// "15:04:05.000000" for times of day, and driver.FormatCursor's form for the
// rest.
func Text(column arrow.Array, row int) string {
	if column.IsNull(row) {
		return Null
	}
	switch a := column.(type) {
	case *array.Boolean:
		return strconv.FormatBool(a.Value(row))
	case *array.Float32:
		return strconv.FormatFloat(float64(a.Value(row)), 'g', -1, 32)
	case *array.Float64:
		return strconv.FormatFloat(a.Value(row), 'g', -1, 64)
	case *array.Binary:
		return hex.EncodeToString(a.Value(row))
	case *array.Time64:
		return time.UnixMicro(int64(a.Value(row))).UTC().Format("15:04:05.000000")
	}
	return driver.FormatCursor(column, row)
}
