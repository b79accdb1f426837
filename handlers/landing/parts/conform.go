package parts

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headwater/connectors/driver"
)

// conforms checks that a batch is one of the source that the layout is for. A
// NULL where none can be is a driver.ErrBadData that names the row, counted from
// the batch's first, which is number row.
func (l Layout) conforms(rec arrow.RecordBatch, row int64) error {
	if int(rec.NumCols()) != l.Schema.NumFields() {
		return fmt.Errorf("a batch of %d columns where %d were announced", rec.NumCols(), l.Schema.NumFields())
	}
	for i, column := range rec.Columns() {
		field := l.Schema.Field(i)
		if rec.ColumnName(i) != field.Name {
			return fmt.Errorf("column %q where %q was announced", rec.ColumnName(i), field.Name)
		}
		if !field.Nullable && column.NullN() > 0 {
			at := 0
			for column.IsValid(at) {
				at++
			}
			return driver.E(driver.ErrBadData, nil, "row %d: column %q was discovered as not null and holds NULL", row+int64(at), field.Name)
		}
		if !widens(column.DataType(), field.Type) {
			return fmt.Errorf("column %q: a column of %s where %s was announced", field.Name, column.DataType(), field.Type)
		}
	}
	return nil
}

// fill adds the layout's columns that a batch lacks at its end, which it takes over.
func (l Layout) fill(rec arrow.RecordBatch) arrow.RecordBatch {
	have, want := int(rec.NumCols()), l.Schema.NumFields()
	if have >= want {
		return rec
	}
	defer rec.Release()
	fields, columns := rec.Schema().Fields(), slices.Clone(rec.Columns())
	for i := have; i < want; i++ {
		field := l.Schema.Field(i)
		var c arrow.Array
		if field.Name == DeletedColumn.Name {
			c = falses(int(rec.NumRows()))
		} else {
			c = array.MakeArrayOfNull(memory.DefaultAllocator, field.Type, int(rec.NumRows()))
		}
		defer c.Release()
		fields, columns = append(fields, field), append(columns, c)
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
}

func falses(rows int) arrow.Array {
	data := array.NewData(arrow.FixedWidthTypes.Boolean, rows, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, (rows+7)/8))}, nil, 0, 0)
	defer data.Release()
	return array.NewBooleanData(data)
}

// widens reports whether a column of the first type is written as the second:
// the same one, or a wider one where the table has seen wider values.
func widens(from, to arrow.DataType) bool {
	if arrow.TypeEqual(from, to) {
		return true
	}
	switch from := from.(type) {
	case *arrow.Int32Type:
		return to.ID() == arrow.INT64
	case *arrow.Float32Type:
		return to.ID() == arrow.FLOAT64
	case *arrow.Decimal128Type:
		to, ok := to.(*arrow.Decimal128Type)
		return ok && from.Scale == to.Scale && from.Precision <= to.Precision
	}
	return false
}
