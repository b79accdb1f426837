package records

import (
	"errors"

	"headwater/connectors/driver"
)

// ErrMisfit reports a value that its column's type cannot hold unchanged. It
// names no value: values do not belong into messages.
var ErrMisfit = errors.New("value does not fit the column's type")

// Misfit is the error of a value that its column cannot hold, an ErrBadData.
type Misfit struct {
	Column string
	err    *driver.Error
}

func (m *Misfit) Error() string { return m.err.Error() }

// Unwrap returns the *driver.Error.
func (m *Misfit) Unwrap() error { return m.err }

// As takes columns into account as if records of their types had been seen, one
// of each.
func (s *Shape) As(columns []driver.Column) {
	if s.index == nil {
		s.index = map[string]int{}
	}
	for _, c := range columns {
		if _, known := s.index[c.Name]; known || c.SourceType == unsampled {
			continue
		}
		s.index[c.Name] = len(s.names)
		s.names = append(s.names, c.Name)
		s.fields = append(s.fields, fieldAs(c))
	}
}

// fieldAs returns a field that has the type of a column.
func fieldAs(c driver.Column) field {
	var f field
	switch c.Type.Kind {
	case driver.Boolean:
		f.value([]byte("true"))
	case driver.Int32, driver.Int64:
		f.value([]byte("1"))
	case driver.Float32, driver.Float64:
		f.value([]byte("1.5"))
	case driver.Decimal:
		f.value([]byte("1"))
		f.sniff.cannot |= notInt64 | notFloat64
		f.sniff.integer, f.sniff.scale = int(c.Type.Precision-c.Type.Scale), int(c.Type.Scale)
	case driver.Date:
		f.value([]byte(`"2000-01-01"`))
	case driver.Timestamp:
		f.value([]byte(`"2000-01-01T00:00:00"`))
	case driver.TimestampTZ:
		f.value([]byte(`"2000-01-01T00:00:00Z"`))
	case driver.JSON:
		if c.SourceType != driver.Unseen {
			f.value([]byte("{}"))
		}
	default:
		f.value([]byte(`"a"`))
	}
	return f
}
