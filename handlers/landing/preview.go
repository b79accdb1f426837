package landing

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/event"
	"headwater/connectors/driver"
)

// Bounds of a preview, whatever is asked for.
const (
	previewRows  = 1000
	previewBytes = 8 << 20
)

// current returns a table as it is now, or ErrNoTable.
func (l *Lake) current(ctx context.Context, a event.Address, namespace, name string) (loaded, error) {
	at, err := l.catalog.load(ctx, identifierOf(a, namespace, name))
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return loaded{}, fmt.Errorf("%w: %s", ErrNoTable, driver.Table{Namespace: namespace, Name: name})
	}
	return at, err
}

// Count returns how many rows readers of the table see now. It returns
// ErrNoTable for a table that was never landed.
func (l *Lake) Count(ctx context.Context, a event.Address, namespace, name string) (int64, error) {
	at, err := l.within(ctx).current(ctx, a, namespace, name)
	if err != nil {
		return 0, err
	}
	s := at.meta.CurrentSnapshot()
	if s == nil {
		return 0, nil
	}
	return totalRecords(s)
}

// Place is where a table lies at this moment.
type Place struct {
	Location string // its folder, as a URL
	Metadata string // the file of its folder that is the table now, as a URL
}

// Place returns where a table lies, or ErrNoTable for one that was never landed.
// It opens no file.
func (l *Lake) Place(ctx context.Context, a event.Address, namespace, name string) (Place, error) {
	p, _, err := l.catalog.pointerOf(ctx, identifierOf(a, namespace, name))
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return Place{}, fmt.Errorf("%w: %s", ErrNoTable, driver.Table{Namespace: namespace, Name: name})
	}
	return Place{p.folder(), p.Location}, err
}

// Shown is some rows of a table as one snapshot has it.
type Shown struct {
	SnapshotID int64 // 0 before the first
	Total      int64 // rows that the snapshot has
	Columns    []Column
	Rows       [][]any
}

// Preview is Show without what it says of the snapshot.
func (l *Lake) Preview(ctx context.Context, a event.Address, namespace, name string, limit int) ([]Column, [][]any, error) {
	shown, err := l.Show(ctx, a, namespace, name, limit)
	return shown.Columns, shown.Rows, err
}

// Show returns up to limit rows, at most 1,000 and about 8 MiB, of what
// readers of the table see now, in no particular order. A value is nil, a bool,
// a float64, an int64, a []byte, or text: the exact digits of a decimal, ISO
// 8601 for dates and times, NaN and Infinity by name. It returns ErrNoTable for
// a table that was never landed.
func (l *Lake) Show(ctx context.Context, a event.Address, namespace, name string, limit int) (shown Shown, err error) {
	l = l.within(ctx)
	at, err := l.current(ctx, a, namespace, name)
	if err != nil {
		return Shown{}, err
	}
	if s := at.meta.CurrentSnapshot(); s != nil {
		if shown.Total, err = totalRecords(s); err != nil {
			return Shown{}, err
		}
		shown.SnapshotID = s.SnapshotID
	}
	shown.Columns, shown.Rows, err = l.rows(ctx, at, name, limit)
	return shown, err
}

// rows returns the columns of a table and some of its rows.
func (l *Lake) rows(ctx context.Context, at loaded, name string, limit int) ([]Column, [][]any, error) {
	schema := at.meta.CurrentSchema()
	columns := make([]Column, schema.NumFields())
	for i, f := range schema.Fields() {
		columns[i] = Column{Name: f.Name, Type: typeName(f.Type)}
	}
	rows := [][]any{}
	limit = min(limit, previewRows)
	if at.meta.CurrentSnapshot() == nil || limit <= 0 {
		return columns, rows, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	scan := l.catalog.open(at, l.files).Scan(table.WithLimit(int64(limit)), table.WithMaxConcurrency(1), table.WithArrowBatchSize(max(limit, 64)))
	_, batches, err := scan.ToArrowRecords(ctx)
	if err != nil {
		return nil, nil, storage("read "+name, err)
	}
	size := 0
	for batch, err := range batches {
		if err != nil {
			return nil, nil, storage("read "+name, err)
		}
		full := false
		for r := 0; r < int(batch.NumRows()) && !full; r++ {
			row := make([]any, batch.NumCols())
			for c, column := range batch.Columns() {
				row[c] = valueAt(column, r)
				size += sizeOf(row[c])
			}
			rows = append(rows, row)
			full = len(rows) >= limit || size >= previewBytes
		}
		batch.Release()
		if full {
			break
		}
	}
	return columns, rows, nil
}

func typeName(t iceberg.Type) string {
	if d, ok := driverType(t); ok {
		return d.String()
	}
	return t.String()
}

// valueAt returns one value as Preview documents it, copied out of the batch.
func valueAt(column arrow.Array, row int) any {
	if column.IsNull(row) {
		return nil
	}
	switch a := column.(type) {
	case *array.Boolean:
		return a.Value(row)
	case *array.Int32:
		return int64(a.Value(row))
	case *array.Int64:
		return a.Value(row)
	case *array.Float32:
		return number(float64(a.Value(row)), 32)
	case *array.Float64:
		return number(a.Value(row), 64)
	case *array.Binary:
		return append([]byte{}, a.Value(row)...)
	case *array.LargeBinary:
		return append([]byte{}, a.Value(row)...)
	case *array.Decimal128:
		return a.Value(row).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Date32:
		return a.Value(row).ToTime().Format("2006-01-02")
	case *array.Time64:
		return a.Value(row).ToTime(a.DataType().(*arrow.Time64Type).Unit).Format("15:04:05.999999")
	case *array.Timestamp:
		at := a.Value(row).ToTime(a.DataType().(*arrow.TimestampType).Unit).UTC()
		if a.DataType().(*arrow.TimestampType).TimeZone == "" {
			return at.Format("2006-01-02T15:04:05.999999")
		}
		return at.Format("2006-01-02T15:04:05.999999Z")
	case *extensions.UUIDArray:
		return a.Value(row).String()
	}
	return string([]byte(column.ValueStr(row)))
}

// number returns a float that JSON can hold, or its name.
func number(f float64, bits int) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case bits == 32:
		// The shortest text of a float32 is not that of the same float64.
		short, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'g', -1, 32), 64)
		return short
	}
	return f
}

func sizeOf(value any) int {
	switch v := value.(type) {
	case string:
		return len(v) + 16
	case []byte:
		return len(v) + 24
	}
	return 16
}
