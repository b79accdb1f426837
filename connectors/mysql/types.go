package mysql

import (
	"strconv"
	"strings"

	"headwater/connectors/driver"
)

// mapped is what becomes of a column.
type mapped struct {
	typ    driver.Type
	expr   string // wraps the quoted column, each %s of it; "" selects it as it is
	length int64  // characters of a text column
	// order is the expression to compare a cursor by, "" if the column has no
	// order that can be followed. Text is compared by the bytes of its UTF-8.
	order string
	// of a text column, as the server calls them
	charset, collation string
}

const (
	asNumber   = "%s + 0" // a bit column itself comes as raw bytes
	twoDigits  = "IF(YEAR(%s) = 1900, 0, YEAR(%s))"
	plainOrder = "%s"
	// Collations order, and pad, in their own ways.
	textOrder = "CAST(CONVERT(%s USING utf8mb4) AS BINARY)"
	uuidOrder = "CAST(CAST(%s AS CHAR) AS BINARY)"
)

// maxCursorText is how long a text column may be that a cursor follows: the
// server sorts longer values by their beginning only.
const maxCursorText = 255

// mapType maps a column by information_schema's DATA_TYPE and COLUMN_TYPE.
//
// tinyint(1) stays a number: it may hold more than 0 and 1. time becomes text:
// it goes from -838 to 838 hours. float is read as double, which is exact: its
// own text has six digits. bit of more than one digit becomes a number.
func mapType(data, full string, length, precision, scale int64, charset string, json bool) mapped {
	unsigned := strings.Contains(full, "unsigned") || strings.Contains(full, "zerofill")
	number := func(k driver.Kind) mapped { return mapped{typ: driver.Of(k), order: plainOrder} }
	switch data {
	case "tinyint", "smallint", "mediumint":
		return number(driver.Int32)
	case "year":
		if full == "year(2)" { // its number has two digits, too
			return mapped{typ: driver.Of(driver.Int32), expr: twoDigits, order: twoDigits}
		}
		return number(driver.Int32)
	case "int", "integer":
		if unsigned {
			return number(driver.Int64)
		}
		return number(driver.Int32)
	case "bigint":
		if unsigned {
			return mapped{typ: driver.DecimalOf(20, 0), order: plainOrder}
		}
		return number(driver.Int64)
	case "bit":
		switch {
		case precision == 1:
			return mapped{typ: driver.Of(driver.Boolean), expr: asNumber}
		case precision < 64:
			return mapped{typ: driver.Of(driver.Int64), expr: asNumber, order: plainOrder}
		}
		return mapped{typ: driver.DecimalOf(20, 0), expr: asNumber, order: plainOrder}
	case "decimal", "numeric":
		if precision >= 1 && precision <= 38 {
			return mapped{typ: driver.DecimalOf(int32(precision), int32(scale)), order: plainOrder}
		}
		return mapped{typ: driver.Of(driver.String)}
	case "float":
		return mapped{typ: driver.Of(driver.Float32), expr: "%s * 1e0"}
	case "double", "real":
		return mapped{typ: driver.Of(driver.Float64)}
	case "date":
		return number(driver.Date)
	case "datetime":
		return number(driver.Timestamp)
	case "timestamp":
		return number(driver.TimestampTZ)
	case "json":
		return mapped{typ: driver.Of(driver.JSON)}
	case "uuid":
		return mapped{typ: driver.Of(driver.UUID), order: uuidOrder}
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		if charset == "" {
			return mapped{typ: driver.Of(driver.Bytes)}
		}
		if json {
			return mapped{typ: driver.Of(driver.JSON), expr: inUTF8(charset)}
		}
		m := mapped{typ: driver.Of(driver.String), length: length, expr: inUTF8(charset)}
		if length <= maxCursorText && !strings.HasSuffix(data, "text") {
			m.order = textOrder
		}
		return m
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector",
		"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return mapped{typ: driver.Of(driver.Bytes)}
	case "enum", "set":
		return mapped{typ: driver.Of(driver.String), expr: inUTF8(charset)}
	case "time", "inet4", "inet6":
		return mapped{typ: driver.Of(driver.String)}
	}
	return mapped{typ: driver.Of(driver.String), expr: "CAST(%s AS CHAR)"}
}

// text returns how the column's own text is read: numbers, dates and times come
// as text anyway.
func (m mapped) text() mapped {
	switch m.typ.Kind {
	case driver.String, driver.JSON:
		return m
	case driver.Bytes:
		return mapped{typ: driver.Of(driver.String), expr: "HEX(%s)"}
	}
	return mapped{typ: driver.Of(driver.String), expr: m.expr}
}

// inUTF8 returns the expression that reads text of a character set as UTF-8, ""
// if its bytes are that already. A server that converts writes a question mark
// for what it cannot, so text without one lost nothing. Text that has some is
// good if it comes back as the same bytes, or, as where two codes are one
// character, if it had as many before. Else it is read as 0xff, which no text
// holds. Conversions have no limit of length; other functions return NULL for
// what is longer than max_allowed_packet.
func inUTF8(charset string) string {
	const text = "CONVERT(%s USING utf8mb4)"
	switch charset {
	case "utf8mb4", "utf8mb3", "utf8", "ascii", "":
		return ""
	case "latin1": // has a character for every byte
		return text
	}
	if !word(charset) {
		return text
	}
	return "IF(%s IS NULL OR LOCATE('?', " + text + " COLLATE utf8mb4_bin) = 0" +
		" OR CONVERT(CONVERT(" + text + " USING " + charset + ") USING binary) = CONVERT(%s USING binary)" +
		" OR CHAR_LENGTH(" + text + ") - CHAR_LENGTH(REPLACE(" + text + ", '?', '')) = CHAR_LENGTH(%s) - CHAR_LENGTH(REPLACE(%s, '?', ''))" +
		", CONVERT(" + text + " USING binary), x'ff')"
}

// integer reads a number of the catalog, 0 for NULL.
func integer(text *string) int64 {
	if text == nil {
		return 0
	}
	n, err := strconv.ParseInt(*text, 10, 64)
	if err != nil { // LONGTEXT has 4294967295, other values fit
		return 0
	}
	return n
}
