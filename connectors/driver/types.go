package driver

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// Kind is the closed set of column types that every connector maps to.
type Kind uint8

// The kinds. Sources that hold more (unsigned 64-bit, numerics of more than 38
// digits or of no fixed scale, intervals, arrays, geometry) map to Decimal,
// JSON or String, losslessly, as the connector documents.
const (
	String      Kind = iota // UTF-8
	Boolean                 //
	Int32                   // also 8- and 16-bit integers
	Int64                   //
	Float32                 //
	Float64                 //
	Decimal                 // exact, precision 1 to 38, scale 0 to precision
	Bytes                   //
	Date                    // days
	Time                    // microseconds since midnight
	Timestamp               // microseconds, no zone
	TimestampTZ             // microseconds UTC
	UUID                    // 16 bytes
	JSON                    // UTF-8 text as the source wrote it
)

var kindNames = [...]string{"string", "boolean", "int32", "int64", "float32", "float64", "decimal", "bytes", "date", "time", "timestamp", "timestamptz", "uuid", "json"}

// Type is a column's type.
type Type struct {
	Kind      Kind
	Precision int32 // of Decimal
	Scale     int32 // of Decimal
}

// Of returns the type of a kind that needs no parameters.
func Of(k Kind) Type { return Type{Kind: k} }

// DecimalOf returns an exact decimal type.
func DecimalOf(precision, scale int32) Type { return Type{Decimal, precision, scale} }

// String returns the name used in schemas and events: "int64",
// "decimal(15,2)".
func (t Type) String() string {
	if t.Kind == Decimal {
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	}
	return kindNames[t.Kind]
}

// ParseType reverses String.
func ParseType(s string) (Type, error) {
	for k, name := range kindNames {
		if name == s && Kind(k) != Decimal {
			return Of(Kind(k)), nil
		}
	}
	var t Type
	if _, err := fmt.Sscanf(s, "decimal(%d,%d)", &t.Precision, &t.Scale); err == nil && strings.HasSuffix(s, ")") {
		t.Kind = Decimal
		if t.Precision >= 1 && t.Precision <= 38 && t.Scale >= 0 && t.Scale <= t.Precision {
			return t, nil
		}
	}
	return Type{}, fmt.Errorf("unknown column type %q", s)
}

// Ordered reports whether values of the type have an order that a cursor can
// follow.
func (t Type) Ordered() bool {
	switch t.Kind {
	case Int32, Int64, Decimal, Date, Timestamp, TimestampTZ, String, UUID:
		return true
	}
	return false
}

// Ordered reports whether a cursor can follow the column.
func (c Column) Ordered() bool { return c.Type.Ordered() && !c.Unordered }

// Arrow returns the Arrow type that columns of this type are read into.
func (t Type) Arrow() arrow.DataType {
	switch t.Kind {
	case Boolean:
		return arrow.FixedWidthTypes.Boolean
	case Int32:
		return arrow.PrimitiveTypes.Int32
	case Int64:
		return arrow.PrimitiveTypes.Int64
	case Float32:
		return arrow.PrimitiveTypes.Float32
	case Float64:
		return arrow.PrimitiveTypes.Float64
	case Decimal:
		return &arrow.Decimal128Type{Precision: t.Precision, Scale: t.Scale}
	case Bytes:
		return arrow.BinaryTypes.Binary
	case Date:
		return arrow.FixedWidthTypes.Date32
	case Time:
		return arrow.FixedWidthTypes.Time64us
	case Timestamp:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case TimestampTZ:
		return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	case UUID:
		return extensions.NewUUIDType()
	default: // String, JSON
		return arrow.BinaryTypes.String
	}
}

// Width returns how many bytes a value takes in a record batch, whatever it is, about.
// The bytes of text, JSON and Bytes come on top.
func (t Type) Width() int {
	if fixed, ok := t.Arrow().(arrow.FixedWidthDataType); ok {
		return (fixed.BitWidth() + 7) / 8
	}
	return 4 // where it ends
}

// RowWidth returns what all columns of a row take, as Width has it. A row of many
// columns takes that even if the source sends a byte for each.
func (t Table) RowWidth() (bytes int64) {
	for _, c := range t.Columns {
		bytes += int64(c.Type.Width())
	}
	return bytes
}

// ArrowSchema returns the schema of the record batches that a Read of t yields.
func ArrowSchema(t Table) *arrow.Schema {
	fields := make([]arrow.Field, len(t.Columns))
	for i, c := range t.Columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type.Arrow(), Nullable: c.Nullable}
	}
	return arrow.NewSchema(fields, nil)
}
