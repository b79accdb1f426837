package border

import (
	"cmp"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/google/uuid"

	"headwater/connectors/driver"
)

// point is one value of a cursor column, to be compared with others of it.
type point struct {
	whole   int64
	decimal decimal128.Num
	text    string
}

func (p point) compare(q point) int {
	if order := cmp.Compare(p.whole, q.whole); order != 0 {
		return order
	}
	if order := p.decimal.Cmp(q.decimal); order != 0 {
		return order
	}
	return cmp.Compare(p.text, q.text)
}

// pointOf reads a value in the form of driver.FormatCursor.
func pointOf(t driver.Type, value string) (p point, err error) {
	switch t.Kind {
	case driver.Int32, driver.Int64:
		p.whole, err = strconv.ParseInt(value, 10, 64)
	case driver.Decimal:
		p.decimal, err = decimal128.FromString(value, 38, t.Scale)
	case driver.Date:
		var at time.Time
		at, err = time.Parse("2006-01-02", value)
		p.whole = int64(arrow.Date32FromTime(at))
	case driver.Timestamp, driver.TimestampTZ:
		layout := "2006-01-02T15:04:05.999999"
		if t.Kind == driver.TimestampTZ {
			layout += "Z07:00"
		}
		var at time.Time
		at, err = time.Parse(layout, value)
		p.whole = at.UnixMicro()
	case driver.UUID:
		var id uuid.UUID
		id, err = uuid.Parse(value)
		p.text = string(id[:])
	default:
		p.text = value
	}
	if err != nil {
		return p, driver.E(driver.ErrInvalidConfig, nil, "the cursor's value is no %s, the type of its column: name the table in sync_options.reset", t)
	}
	return p, nil
}

// pointAt returns a row's value, which is not NULL. It is valid as long as the
// column is.
func pointAt(column arrow.Array, row int) point {
	switch a := column.(type) {
	case *array.Int32:
		return point{whole: int64(a.Value(row))}
	case *array.Int64:
		return point{whole: a.Value(row)}
	case *array.Date32:
		return point{whole: int64(a.Value(row))}
	case *array.Timestamp:
		return point{whole: int64(a.Value(row))}
	case *array.Decimal128:
		return point{decimal: a.Value(row)}
	case *array.String:
		return point{text: a.Value(row)}
	case *extensions.UUIDArray:
		v := a.Value(row)
		return point{text: string(v[:])}
	}
	panic("a column of " + column.DataType().String() + " is no cursor")
}

// extremes returns the rows that hold the least and the greatest value, -1 for
// both when all are NULL.
func extremes(column arrow.Array) (least, greatest int) {
	switch a := column.(type) {
	case *array.Int32:
		return among(a, a.Int32Values())
	case *array.Int64:
		return among(a, a.Int64Values())
	case *array.Date32:
		return among(a, a.Date32Values())
	case *array.Timestamp:
		return among(a, a.TimestampValues())
	}
	least, greatest = -1, -1
	var lo, hi point
	for row := range column.Len() {
		if column.IsNull(row) {
			continue
		}
		p := pointAt(column, row)
		if least < 0 || p.compare(lo) < 0 {
			least, lo = row, p
		}
		if greatest < 0 || p.compare(hi) > 0 {
			greatest, hi = row, p
		}
	}
	return least, greatest
}

func among[T cmp.Ordered](column arrow.Array, values []T) (least, greatest int) {
	least, greatest = -1, -1
	nulls := column.NullN() > 0
	for row, v := range values {
		if nulls && column.IsNull(row) {
			continue
		}
		if least < 0 || v < values[least] {
			least = row
		}
		if greatest < 0 || v > values[greatest] {
			greatest = row
		}
	}
	return least, greatest
}
