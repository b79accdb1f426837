package parquet

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"headwater/connectors/driver"
)

// meaning is what the values of a column of Parquet stand for.
type meaning uint8

const (
	isBytes meaning = iota
	isBoolean
	isInteger
	isFloat
	isDecimal
	isDate
	isClock
	isMoment
	isDuration
	isText
	isJSON
	isUUID
	isInterval
	isNothing // always NULL
)

// valueType is a physical type and what its values mean. An annotation that is
// unknown, or that cannot be on the physical type, is left out of account, as
// the format wants it.
type valueType struct {
	means            meaning
	physical         parquet.Type
	length           int // of a fixed length, in bytes
	bits             int // of an integer; 16 of a float of two bytes
	unsigned         bool
	precision, scale int32
	unit             arrow.TimeUnit
	utc              bool
}

func valueTypeOf(n *schema.PrimitiveNode) valueType {
	t := valueType{physical: n.PhysicalType(), length: n.TypeLength()}
	binary, fixed := t.physical == parquet.Types.ByteArray, t.physical == parquet.Types.FixedLenByteArray
	switch t.physical {
	case parquet.Types.Boolean:
		t.means = isBoolean
	case parquet.Types.Int32:
		t.means, t.bits = isInteger, 32
	case parquet.Types.Int64:
		t.means, t.bits = isInteger, 64
	case parquet.Types.Int96: // an instant, as those who write it mean it
		t.means, t.unit, t.utc = isMoment, arrow.Nanosecond, true
	case parquet.Types.Float, parquet.Types.Double:
		t.means = isFloat
	}
	whole := t.means == isInteger
	switch l := n.LogicalType().(type) {
	case schema.NullLogicalType:
		t.means = isNothing
	case schema.StringLogicalType, schema.EnumLogicalType:
		if binary || fixed {
			t.means = isText
		}
	case schema.JSONLogicalType:
		if binary {
			t.means = isJSON
		}
	case schema.UUIDLogicalType:
		if fixed && t.length == 16 {
			t.means = isUUID
		}
	case schema.IntervalLogicalType:
		if fixed && t.length == 12 {
			t.means = isInterval
		}
	case schema.Float16LogicalType:
		if fixed && t.length == 2 {
			t.means, t.bits = isFloat, 16
		}
	case schema.IntLogicalType:
		if whole && int(l.BitWidth()) <= t.bits {
			t.bits, t.unsigned = int(l.BitWidth()), !l.IsSigned()
		}
	case schema.DecimalLogicalType:
		if whole || binary || fixed {
			t.means, t.precision, t.scale = isDecimal, l.Precision(), l.Scale()
		}
	case schema.DateLogicalType:
		if t.bits == 32 {
			t.means = isDate
		}
	case schema.TimeLogicalType:
		if unit, ok := units[l.TimeUnit()]; ok && whole {
			t.means, t.unit, t.utc = isClock, unit, l.IsAdjustedToUTC()
		}
	case schema.TimestampLogicalType:
		if unit, ok := units[l.TimeUnit()]; ok && whole && t.bits == 64 {
			t.means, t.unit, t.utc = isMoment, unit, l.IsAdjustedToUTC() || l.IsFromConvertedType()
		}
	}
	return t
}

var units = map[schema.TimeUnitType]arrow.TimeUnit{schema.TimeUnitMillis: arrow.Millisecond, schema.TimeUnitMicros: arrow.Microsecond, schema.TimeUnitNanos: arrow.Nanosecond}

// driverType returns the type of the column that the values become. Decimals of
// more than 38 digits, intervals and durations become text; nanoseconds must be
// whole microseconds.
func (t valueType) driverType() driver.Type {
	switch t.means {
	case isBoolean:
		return driver.Of(driver.Boolean)
	case isInteger:
		switch {
		case t.bits == 64 && t.unsigned:
			return driver.DecimalOf(20, 0)
		case t.bits == 64 || t.bits == 32 && t.unsigned:
			return driver.Of(driver.Int64)
		}
		return driver.Of(driver.Int32)
	case isFloat:
		if t.physical == parquet.Types.Double {
			return driver.Of(driver.Float64)
		}
		return driver.Of(driver.Float32)
	case isDecimal:
		if t.precision >= 1 && t.precision <= decimal128.MaxPrecision && t.scale >= 0 && t.scale <= t.precision {
			return driver.DecimalOf(t.precision, t.scale)
		}
		return driver.Of(driver.String)
	case isDate:
		return driver.Of(driver.Date)
	case isClock:
		return driver.Of(driver.Time)
	case isMoment:
		if t.utc {
			return driver.Of(driver.TimestampTZ)
		}
		return driver.Of(driver.Timestamp)
	case isUUID:
		return driver.Of(driver.UUID)
	case isBytes:
		return driver.Of(driver.Bytes)
	case isJSON, isNothing:
		return driver.Of(driver.JSON)
	}
	return driver.Of(driver.String)
}

// String returns the type's name, as Arrow has it.
func (t valueType) String() string {
	switch t.means {
	case isBoolean:
		return "bool"
	case isInteger:
		if t.unsigned {
			return fmt.Sprintf("uint%d", t.bits)
		}
		return fmt.Sprintf("int%d", t.bits)
	case isFloat:
		switch {
		case t.bits == 16:
			return "halffloat"
		case t.physical == parquet.Types.Float:
			return "float32"
		}
		return "float64"
	case isDecimal:
		return fmt.Sprintf("decimal(%d, %d)", t.precision, t.scale)
	case isDate:
		return "date32"
	case isClock:
		if t.unit == arrow.Millisecond {
			return "time32[ms" + zone(t.utc) + "]"
		}
		return "time64[" + t.unit.String() + zone(t.utc) + "]"
	case isMoment:
		return "timestamp[" + t.unit.String() + zone(t.utc) + "]"
	case isDuration:
		return "duration[" + t.unit.String() + "]"
	case isText:
		return "utf8"
	case isJSON:
		return "json"
	case isUUID:
		return "uuid"
	case isInterval:
		return "interval"
	case isNothing:
		return driver.Unseen
	}
	if t.physical == parquet.Types.FixedLenByteArray {
		return fmt.Sprintf("fixed_size_binary[%d]", t.length)
	}
	return "binary"
}

func zone(utc bool) string {
	if utc {
		return ", tz=UTC"
	}
	return ""
}
