package catalog

import (
	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
)

// The oids of PostgreSQL's own types. They never change.
const (
	OIDBool, OIDBytea, OIDName                    = 16, 17, 19
	OIDInt8, OIDInt2, OIDInt4                     = 20, 21, 23
	OIDText, OIDJSON, OIDBpchar, OIDVarchar       = 25, 114, 1042, 1043
	OIDFloat4, OIDFloat8, OIDNumeric              = 700, 701, 1700
	OIDDate, OIDTime, OIDTimestamp, OIDTimestampZ = 1082, 1083, 1114, 1184
	OIDUUID, OIDJSONB                             = 2950, 3802
	OIDChar, OIDInt2Vector, OIDOIDVector          = 18, 22, 30
	OIDMoney, OIDMoneyArray, OIDInterval          = 790, 791, 1186
	OIDCIDR, OIDInet                              = 650, 869
)

// attribute is the type of a column as the catalog has it. Domains are resolved to their
// base types.
type attribute struct {
	oid, elem int64
	mod       int32
	kind      string // typtype: b for base types, e, c, r, m, d
	category  string // typcategory: A for arrays
	name      string
	system    bool // of pg_catalog
}

// Mapped is how a column is read.
type Mapped struct {
	Type driver.Type
	How  binarycopy.Decoding
	Cast string // the expression to select, with %s for the column; "" is the column alone
	// Ordered says that a cursor can follow the column, Collate that it is compared by
	// bytes.
	Ordered, Collate bool
}

// What is selected in place of a column. Names are qualified, because the account's own
// search path is in force.
const (
	CastText    = "%s::pg_catalog.text"
	CastNumeric = "%s::pg_catalog.numeric" // for money, whose text depends on lc_monetary
	CastList    = "pg_catalog.to_json(%s)"
	CastAmounts = "pg_catalog.to_json(%s::pg_catalog.numeric[])"
)

// moneyDigits is the most digits of money, which is an int64 of the smallest unit.
const moneyDigits = 19

// mapType maps a column. Arrays become JSON lists. What no kind holds becomes text:
// numeric without a fixed scale or of more than 38 digits, intervals, ranges, network
// addresses, enumerations, composites, geometry. moneyScale is how many digits of money
// are behind the point.
func mapType(a attribute, moneyScale int32) Mapped {
	plain := func(k driver.Kind, how binarycopy.Decoding, ordered bool) Mapped {
		return Mapped{Type: driver.Of(k), How: how, Ordered: ordered}
	}
	switch a.oid {
	case OIDBool:
		return plain(driver.Boolean, binarycopy.AsBool, false)
	case OIDInt2:
		return plain(driver.Int32, binarycopy.AsInt2, true)
	case OIDInt4:
		return plain(driver.Int32, binarycopy.AsInt4, true)
	case OIDInt8:
		return plain(driver.Int64, binarycopy.AsInt8, true)
	case OIDFloat4:
		return plain(driver.Float32, binarycopy.AsFloat4, false)
	case OIDFloat8:
		return plain(driver.Float64, binarycopy.AsFloat8, false)
	case OIDNumeric:
		if precision, scale, ok := numericMod(a.mod); ok {
			return Mapped{Type: driver.DecimalOf(precision, scale), How: binarycopy.AsNumeric, Ordered: true}
		}
	case OIDText, OIDVarchar, OIDBpchar:
		return Mapped{Type: driver.Of(driver.String), Ordered: true, Collate: true}
	case OIDName:
		return plain(driver.String, binarycopy.AsText, false)
	case OIDBytea:
		return plain(driver.Bytes, binarycopy.AsBytea, false)
	case OIDDate:
		return plain(driver.Date, binarycopy.AsDate, true)
	case OIDTime:
		return plain(driver.Time, binarycopy.AsTime, false)
	case OIDTimestamp:
		return plain(driver.Timestamp, binarycopy.AsTimestamp, true)
	case OIDTimestampZ:
		return plain(driver.TimestampTZ, binarycopy.AsTimestamp, true)
	case OIDUUID:
		return plain(driver.UUID, binarycopy.AsUUID, true)
	case OIDJSON:
		return plain(driver.JSON, binarycopy.AsText, false)
	case OIDJSONB:
		return plain(driver.JSON, binarycopy.AsJSONB, false)
	case OIDChar:
		return plain(driver.String, binarycopy.AsChar, false)
	case OIDMoney:
		return Mapped{Type: driver.DecimalOf(moneyDigits, moneyScale), How: binarycopy.AsNumeric, Cast: CastNumeric}
	case OIDMoneyArray:
		return Mapped{Type: driver.Of(driver.JSON), Cast: CastAmounts}
	case OIDInt2Vector, OIDOIDVector:
	default:
		if a.category == "A" {
			return Mapped{Type: driver.Of(driver.JSON), Cast: CastList}
		}
	}
	return Mapped{Type: driver.Of(driver.String), Cast: CastText}
}

// numericMod reads precision and scale from the type modifier of a numeric. It returns
// false if no Decimal holds them: none were declared, there are too many digits, or the
// scale is below zero or above the precision.
func numericMod(mod int32) (precision, scale int32, ok bool) {
	if mod < 4 {
		return 0, 0, false
	}
	precision = (mod - 4) >> 16 & 0xffff
	scale = ((mod-4)&0x7ff ^ 1024) - 1024 // 11 bits with a sign
	return precision, scale, precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision
}
