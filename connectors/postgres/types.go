package postgres

import (
	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
)

// Type ids of PostgreSQL's own types; they never change.
const (
	oidBool, oidBytea, oidName                    = 16, 17, 19
	oidInt8, oidInt2, oidInt4                     = 20, 21, 23
	oidText, oidJSON, oidBpchar, oidVarchar       = 25, 114, 1042, 1043
	oidFloat4, oidFloat8, oidNumeric              = 700, 701, 1700
	oidDate, oidTime, oidTimestamp, oidTimestampZ = 1082, 1083, 1114, 1184
	oidUUID, oidJSONB                             = 2950, 3802
	oidChar, oidInt2Vector, oidOIDVector          = 18, 22, 30
	oidMoney, oidMoneyArray, oidInterval          = 790, 791, 1186
	oidCIDR, oidInet                              = 650, 869
)

// attribute is the type of one column as the catalog has it. Domains are
// resolved to the types they are made of.
type attribute struct {
	oid, elem int64
	mod       int32
	kind      string // typtype: b for base types, e, c, r, m, d
	category  string // typcategory: A for arrays
	name      string
	system    bool // of pg_catalog
}

// mapped is what becomes of a column.
type mapped struct {
	typ  driver.Type
	how  binarycopy.Decoding
	cast string // the expression to select, with %s for the column; "" for the column itself
	// follow is how a cursor may be compared: ordered says whether at all,
	// collate that bytes are to decide.
	ordered, collate bool
}

// What is selected instead of a column. Everything is qualified, since the
// account's own search path is in force.
const (
	castText    = "%s::pg_catalog.text"
	castNumeric = "%s::pg_catalog.numeric" // of money: its text follows lc_monetary
	castList    = "pg_catalog.to_json(%s)"
	castAmounts = "pg_catalog.to_json(%s::pg_catalog.numeric[])"
)

// moneyDigits is how many digits money has: it is an int64 of the smallest unit.
const moneyDigits = 19

// mapType maps a column. Arrays become JSON lists. Everything else that no kind
// holds (numeric without a fixed scale or of more than 38 digits, intervals,
// ranges, network addresses, enumerations, composites, geometry) becomes its
// text. moneyScale is how many digits of money are behind the point.
func mapType(a attribute, moneyScale int32) mapped {
	plain := func(k driver.Kind, how binarycopy.Decoding, ordered bool) mapped {
		return mapped{typ: driver.Of(k), how: how, ordered: ordered}
	}
	switch a.oid {
	case oidBool:
		return plain(driver.Boolean, binarycopy.AsBool, false)
	case oidInt2:
		return plain(driver.Int32, binarycopy.AsInt2, true)
	case oidInt4:
		return plain(driver.Int32, binarycopy.AsInt4, true)
	case oidInt8:
		return plain(driver.Int64, binarycopy.AsInt8, true)
	case oidFloat4:
		return plain(driver.Float32, binarycopy.AsFloat4, false)
	case oidFloat8:
		return plain(driver.Float64, binarycopy.AsFloat8, false)
	case oidNumeric:
		if precision, scale, ok := numericMod(a.mod); ok {
			return mapped{typ: driver.DecimalOf(precision, scale), how: binarycopy.AsNumeric, ordered: true}
		}
	case oidText, oidVarchar, oidBpchar:
		return mapped{typ: driver.Of(driver.String), ordered: true, collate: true}
	case oidName:
		return plain(driver.String, binarycopy.AsText, false)
	case oidBytea:
		return plain(driver.Bytes, binarycopy.AsBytea, false)
	case oidDate:
		return plain(driver.Date, binarycopy.AsDate, true)
	case oidTime:
		return plain(driver.Time, binarycopy.AsTime, false)
	case oidTimestamp:
		return plain(driver.Timestamp, binarycopy.AsTimestamp, true)
	case oidTimestampZ:
		return plain(driver.TimestampTZ, binarycopy.AsTimestamp, true)
	case oidUUID:
		return plain(driver.UUID, binarycopy.AsUUID, true)
	case oidJSON:
		return plain(driver.JSON, binarycopy.AsText, false)
	case oidJSONB:
		return plain(driver.JSON, binarycopy.AsJSONB, false)
	case oidChar:
		return plain(driver.String, binarycopy.AsChar, false)
	case oidMoney:
		return mapped{typ: driver.DecimalOf(moneyDigits, moneyScale), how: binarycopy.AsNumeric, cast: castNumeric}
	case oidMoneyArray:
		return mapped{typ: driver.Of(driver.JSON), cast: castAmounts}
	case oidInt2Vector, oidOIDVector:
	default:
		if a.category == "A" {
			return mapped{typ: driver.Of(driver.JSON), cast: castList}
		}
	}
	return mapped{typ: driver.Of(driver.String), cast: castText}
}

// numericMod reads precision and scale out of a numeric's type modifier. It
// reports false when no Decimal holds them: none were declared, too many
// digits, or a scale below zero or above the precision.
func numericMod(mod int32) (precision, scale int32, ok bool) {
	if mod < 4 {
		return 0, 0, false
	}
	precision = (mod - 4) >> 16 & 0xffff
	scale = ((mod-4)&0x7ff ^ 1024) - 1024 // 11 bits with a sign
	return precision, scale, precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision
}
