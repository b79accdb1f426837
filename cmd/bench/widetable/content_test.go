package widetable

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Every type that a source may have for a column is compared by its value, and
// one wrong value is found.
func TestContentIsCompared(t *testing.T) {
	const rows = 200
	for _, wrong := range []int{-1, 5, 8, 12, 14} {
		g, buffer := NewGenerator(), []byte(nil)
		var want Sums
		fields := make([]arrow.Field, len(Columns))
		for i, c := range Columns {
			fields[i] = arrow.Field{Name: c.Name, Type: arrow.BinaryTypes.String, Nullable: true}
			switch c.Kind {
			case Whole:
				fields[i].Type = arrow.PrimitiveTypes.Int64
			case Money:
				fields[i].Type = &arrow.Decimal128Type{Precision: 15, Scale: 2}
			case YesNo:
				fields[i].Type = arrow.FixedWidthTypes.Boolean
			}
		}
		build := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
		defer build.Release()
		for range rows {
			g.Next()
			want.AddRow(g, buffer)
			for i := range Columns {
				value, field := g.Values[i], build.Field(i)
				if i == wrong && g.ID == 77 {
					g.Null[i] = !g.Null[i] // a value for NULL, or NULL for a value
				}
				if g.Null[i] {
					field.AppendNull()
					continue
				}
				switch f := field.(type) {
				case *array.Decimal128Builder:
					n, err := decimal128.FromString(value, 15, 2)
					if err != nil {
						t.Fatal(err)
					}
					f.Append(n)
				default:
					if err := f.AppendValueFromString(value); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		rec := build.NewRecordBatch()
		defer rec.Release()
		var got Sums
		if err := got.AddBatch(rec, buffer); err != nil {
			t.Fatal(err)
		}
		err := got.Compare(want)
		if (err != nil) != (wrong >= 0) || wrong >= 0 && !strings.Contains(err.Error(), Columns[wrong].Name) {
			t.Errorf("column %d wrong: %v", wrong, err)
		}
	}
}

func TestCanonicalText(t *testing.T) {
	for _, c := range []struct {
		kind       kind
		text, want string
	}{
		{Instant, "2024-01-01T00:00:01.234567Z", "2024-01-01 00:00:01.234567"},
		{Instant, "2024-01-01 00:00:01.234567+00", "2024-01-01 00:00:01.234567"},
		{Money, "12", "12.00"}, {Money, "12.5", "12.50"}, {Money, "12.34", "12.34"},
		{YesNo, "1", "true"}, {Text, "AIR       ", "AIR"},
	} {
		if got := canonicalText(c.kind, c.text); got != c.want {
			t.Errorf("%q is %q, want %q", c.text, got, c.want)
		}
	}
}
