package widetable

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// AddBatch counts the rows of a batch, whose columns may be in any order.
func (s *Sums) AddBatch(rec arrow.RecordBatch, buffer []byte) error {
	ids := make([][]byte, rec.NumRows())
	for i, c := range Columns {
		at := rec.Schema().FieldIndices(c.Name)
		if len(at) != 1 {
			return fmt.Errorf("%d columns named %s landed", len(at), c.Name)
		}
		column := rec.Column(at[0])
		for row := range ids {
			if column.IsNull(row) {
				continue
			}
			value, err := canonical(c.Kind, column, row)
			if err != nil {
				return fmt.Errorf("column %s: %w", c.Name, err)
			}
			if i == 0 {
				ids[row] = []byte(value)
				id, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					return fmt.Errorf("column id: %w", err)
				}
				s.Rows++
				s.IDs += id
				continue
			}
			s.add(i, ids[row], []byte(value), buffer)
		}
	}
	return nil
}

// canonical returns a value as the generator tells it, whatever type it landed
// with: sources without a type for dates or decimals have text or floats.
func canonical(k kind, column arrow.Array, row int) (string, error) {
	switch a := column.(type) {
	case *array.Int32:
		return canonicalInt(k, int64(a.Value(row))), nil
	case *array.Int64:
		return canonicalInt(k, a.Value(row)), nil
	case *array.Float64:
		if k == Money {
			return strconv.FormatFloat(a.Value(row), 'f', 2, 64), nil
		}
	case *array.Decimal128:
		if k != Money {
			break
		}
		digits := a.Value(row).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
		return padded(digits), nil
	case *array.Boolean:
		return strconv.FormatBool(a.Value(row)), nil
	case *array.Date32:
		return a.Value(row).ToTime().Format(time.DateOnly), nil
	case *array.Timestamp:
		return a.Value(row).ToTime(a.DataType().(*arrow.TimestampType).Unit).UTC().Format("2006-01-02 15:04:05.000000"), nil
	case *extensions.UUIDArray:
		return a.Value(row).String(), nil
	case *array.String:
		return canonicalText(k, a.Value(row)), nil
	case *array.LargeString:
		return canonicalText(k, a.Value(row)), nil
	}
	return "", fmt.Errorf("landed as %s, which is not compared", column.DataType())
}

func canonicalInt(k kind, n int64) string {
	switch k {
	case YesNo:
		return strconv.FormatBool(n != 0)
	case Money:
		return strconv.FormatInt(n, 10) + ".00"
	}
	return strconv.FormatInt(n, 10)
}

func canonicalText(k kind, s string) string {
	switch k {
	case Instant:
		return strings.TrimSuffix(strings.TrimSuffix(strings.Replace(s, "T", " ", 1), "+00"), "Z")
	case Money:
		return padded(s)
	case YesNo:
		return map[string]string{"1": "true", "0": "false"}[s]
	}
	return strings.TrimRight(s, " ")
}

// padded returns a decimal's digits with two behind the point.
func padded(digits string) string {
	_, behind, found := strings.Cut(digits, ".")
	if !found {
		return digits + ".00"
	}
	return digits + strings.Repeat("0", max(0, 2-len(behind)))
}
