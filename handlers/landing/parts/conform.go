package parts

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

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
