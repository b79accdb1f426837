package parts

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
)

func TestWhatDoesNotConformIsRefused(t *testing.T) {
	field := arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true}
	s, rec := columnOf(field, 10, func(b array.Builder, i int) {
		if i == 7 {
			b.AppendNull()
		} else {
			b.(*array.Int64Builder).Append(int64(i))
		}
	})
	defer rec.Release()
	layout := func(change func(*arrow.Field)) Layout {
		f := field
		change(&f)
		return Layout{arrow.NewSchema([]arrow.Field{f}, nil)}
	}
	if err := (Layout{s}).conforms(rec, 1); err != nil {
		t.Error(err)
	}
	err := layout(func(f *arrow.Field) { f.Nullable = false }).conforms(rec, 101)
	if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), `row 108: column "a"`) {
		t.Errorf("a NULL where none can be: %v", err)
	}
	if err := layout(func(f *arrow.Field) { f.Name = "b" }).conforms(rec, 1); err == nil {
		t.Error("another column conforms")
	}
	if err := (Layout{wideSchema()}).conforms(rec, 1); err == nil {
		t.Error("a batch of one column conforms to 16")
	}
	for _, narrower := range []arrow.DataType{arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64} {
		if err := layout(func(f *arrow.Field) { f.Type = narrower }).conforms(rec, 1); err == nil {
			t.Errorf("int64 conforms to %s", narrower)
		}
	}
	scaled := func(scale int32) arrow.DataType { return &arrow.Decimal128Type{Precision: 10, Scale: scale} }
	if widens(scaled(2), scaled(3)) {
		t.Error("another scale is no widening")
	}
}

// A load that changes will follow fills the columns that these need: a row that is
// read is not deleted, and no change is known of it.
func TestColumnsBehindThoseOfABatchAreFilled(t *testing.T) {
	_, rec := columnOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64}, 3, func(b array.Builder, i int) { b.(*array.Int64Builder).Append(int64(i)) })
	l := Layout{arrow.NewSchema([]arrow.Field{
		{Name: "a", Type: arrow.PrimitiveTypes.Int64},
		{Name: LogColumns[0].Name, Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: DeletedColumn.Name, Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	}, nil)}
	full := l.fill(rec)
	defer full.Release()
	if err := l.conforms(full, 1); err != nil {
		t.Fatal(err)
	}
	for row := range 3 {
		if deleted := full.Column(2).(*array.Boolean); full.Column(1).IsValid(row) || deleted.IsNull(row) || deleted.Value(row) {
			t.Errorf("row %d is %v", row, full)
		}
	}
}

// What is kept is said by a bit for each column, whichever they are.
func TestKeptMarks(t *testing.T) {
	for _, columns := range [][]int{nil, {0}, {7, 8}, {0, 300}} {
		mark := KeptMark(columns)
		for c := range 310 {
			if Keeps(mark, c) != slices.Contains(columns, c) {
				t.Errorf("%v: column %d is kept: %v", columns, c, Keeps(mark, c))
			}
		}
	}
}
