package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"

	"headwater/handlers/landing/landingtest"
)

// check reads what a sync landed and compares it with what was generated.
func (b *bench) check(ctx context.Context, l landed, want sums) error {
	b.say("comparing what landed with the source")
	var got sums
	buffer := make([]byte, 0, 256)
	for rec, err := range landingtest.Rows(ctx, l.Location, l.SnapshotID) {
		if err != nil {
			return err
		}
		if err := got.addBatch(rec, buffer); err != nil {
			return err
		}
	}
	return got.compare(want)
}

// addBatch counts the rows of a batch, whose columns may be in any order.
func (s *sums) addBatch(rec arrow.RecordBatch, buffer []byte) error {
	ids := make([][]byte, rec.NumRows())
	for i, c := range wide {
		at := rec.Schema().FieldIndices(c.name)
		if len(at) != 1 {
			return fmt.Errorf("%d columns named %s landed", len(at), c.name)
		}
		column := rec.Column(at[0])
		for row := range ids {
			if column.IsNull(row) {
				continue
			}
			value, err := canonical(c.kind, column, row)
			if err != nil {
				return fmt.Errorf("column %s: %w", c.name, err)
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
		if k == money {
			return strconv.FormatFloat(a.Value(row), 'f', 2, 64), nil
		}
	case *array.Decimal128:
		if k != money {
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
	case yesNo:
		return strconv.FormatBool(n != 0)
	case money:
		return strconv.FormatInt(n, 10) + ".00"
	}
	return strconv.FormatInt(n, 10)
}

func canonicalText(k kind, s string) string {
	switch k {
	case instant:
		return strings.TrimSuffix(strings.TrimSuffix(strings.Replace(s, "T", " ", 1), "+00"), "Z")
	case money:
		return padded(s)
	case yesNo:
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
