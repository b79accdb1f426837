package landing

import (
	"errors"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/kvcatalog"
)

// The comparisons that iceberg-go can hand to its evaluator are carried out: it
// finds them by the definitions in handlers/landing/substrait, which are those alone.
// One that has no definition is an error, as what the evaluator does not know is.
func TestFiltersOfTheTableLibrary(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 10)
	commit(t, w, nil, true)
	tbl, err := l.Catalog().LoadTable(t.Context(), kvcatalog.IdentifierOf(home, "public", "orders"))
	if err != nil {
		t.Fatal(err)
	}
	id, note := iceberg.Reference("id"), iceberg.Reference("note")
	for name, test := range map[string]struct {
		filter iceberg.BooleanExpression
		want   []int64
	}{
		"equal":          {iceberg.EqualTo(id, int64(3)), []int64{3}},
		"not equal":      {iceberg.NotEqualTo(id, int64(3)), append(span(0, 3), span(4, 10)...)},
		"less":           {iceberg.LessThan(id, int64(3)), span(0, 3)},
		"less or equal":  {iceberg.LessThanEqual(id, int64(3)), span(0, 4)},
		"greater":        {iceberg.GreaterThan(id, int64(7)), span(8, 10)},
		"at least":       {iceberg.GreaterThanEqual(id, int64(7)), span(7, 10)},
		"in":             {iceberg.IsIn(id, int64(2), 4), []int64{2, 4}},
		"not in":         {iceberg.NotIn(id, span(1, 10)...), []int64{0}},
		"null":           {iceberg.IsNull(note), []int64{}},
		"not null":       {iceberg.NotNull(note), span(0, 10)},
		"and, or, not":   {iceberg.NewOr(iceberg.NewAnd(iceberg.GreaterThan(id, int64(1)), iceberg.LessThan(id, int64(4))), iceberg.NewNot(iceberg.LessThan(id, int64(9)))), []int64{2, 3, 9}},
		"text, as it is": {iceberg.EqualTo(note, "order 8"), []int64{8}},
	} {
		_, batches, err := tbl.Scan(table.WithRowFilter(test.filter)).ToArrowRecords(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := []int64{}
		for rec, err := range batches {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			got = append(got, rec.Column(rec.Schema().FieldIndices("id")[0]).(*array.Int64).Int64Values()...)
		}
		if slices.Sort(got); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	_, batches, err := tbl.Scan(table.WithRowFilter(iceberg.StartsWith(note, "order 5"))).ToArrowRecords(t.Context())
	for _, failed := range batches {
		err = errors.Join(err, failed)
	}
	if err == nil {
		t.Error("a filter that cannot be carried out was passed over")
	}
}
