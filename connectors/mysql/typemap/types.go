// Package typemap says what becomes of the types of MySQL and MariaDB, and builds
// record batches of their values. It speaks to no server.
package typemap

import (
	"strings"

	"headwater/connectors/driver"
)

// Mapped is how a column is read: its type, and the expressions that select and order
// it.
type Mapped struct {
	Type   driver.Type
	Expr   string // selects the column; %s stands for its quoted name. "" is the column alone
	Length int64  // of a text column, in characters
	// Order is the expression that a cursor is compared by, "" if no cursor can follow
	// the column. Text is compared by its bytes in UTF-8.
	Order string
	// of a text column, as the server names them
	Charset, Collation string
}

const (
	asNumber   = "%s + 0" // a bit column alone comes as raw bytes
	twoDigits  = "IF(YEAR(%s) = 1900, 0, YEAR(%s))"
	plainOrder = "%s"
	// Collations have orders of their own, and ignore spaces at the end.
	textOrder = "CAST(CONVERT(%s USING utf8mb4) AS BINARY)"
	uuidOrder = "CAST(CAST(%s AS CHAR) AS BINARY)"
)

// MaxCursorText is the most characters of a text column that a cursor can follow: the
// server sorts longer values only by their beginning.
const MaxCursorText = 255

// MapType maps a column by information_schema's DATA_TYPE and COLUMN_TYPE.
//
// tinyint(1) stays a number: it may hold more than 0 and 1. time becomes text:
// it goes from -838 to 838 hours. float is read as double, which is exact: its
// own text has six digits. bit of more than one digit becomes a number.
func MapType(data, full string, length, precision, scale int64, charset string, json bool) Mapped {
	unsigned := strings.Contains(full, "unsigned") || strings.Contains(full, "zerofill")
	number := func(k driver.Kind) Mapped { return Mapped{Type: driver.Of(k), Order: plainOrder} }
	switch data {
	case "tinyint", "smallint", "mediumint":
		return number(driver.Int32)
	case "year":
		if full == "year(2)" { // as a number it has two digits as well
			return Mapped{Type: driver.Of(driver.Int32), Expr: twoDigits, Order: twoDigits}
		}
		return number(driver.Int32)
	case "int", "integer":
		if unsigned {
			return number(driver.Int64)
		}
		return number(driver.Int32)
	case "bigint":
		if unsigned {
			return Mapped{Type: driver.DecimalOf(20, 0), Order: plainOrder}
		}
		return number(driver.Int64)
	case "bit":
		switch {
		case precision == 1:
			return Mapped{Type: driver.Of(driver.Boolean), Expr: asNumber}
		case precision < 64:
			return Mapped{Type: driver.Of(driver.Int64), Expr: asNumber, Order: plainOrder}
		}
		return Mapped{Type: driver.DecimalOf(20, 0), Expr: asNumber, Order: plainOrder}
	case "decimal", "numeric":
		if precision >= 1 && precision <= 38 {
			return Mapped{Type: driver.DecimalOf(int32(precision), int32(scale)), Order: plainOrder}
		}
		return Mapped{Type: driver.Of(driver.String)}
	case "float":
		return Mapped{Type: driver.Of(driver.Float32), Expr: "%s * 1e0"}
	case "double", "real":
		return Mapped{Type: driver.Of(driver.Float64)}
	case "date":
		return number(driver.Date)
	case "datetime":
		return number(driver.Timestamp)
	case "timestamp":
		return number(driver.TimestampTZ)
	case "json":
		return Mapped{Type: driver.Of(driver.JSON)}
	case "uuid":
		return Mapped{Type: driver.Of(driver.UUID), Order: uuidOrder}
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		if charset == "" {
			return Mapped{Type: driver.Of(driver.Bytes)}
		}
		if json {
			return Mapped{Type: driver.Of(driver.JSON), Expr: inUTF8(charset)}
		}
		m := Mapped{Type: driver.Of(driver.String), Length: length, Expr: inUTF8(charset)}
		if length <= MaxCursorText && !strings.HasSuffix(data, "text") {
			m.Order = textOrder
		}
		return m
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector",
		"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return Mapped{Type: driver.Of(driver.Bytes)}
	case "enum", "set":
		return Mapped{Type: driver.Of(driver.String), Expr: inUTF8(charset)}
	case "time", "inet4", "inet6":
		return Mapped{Type: driver.Of(driver.String)}
	}
	return Mapped{Type: driver.Of(driver.String), Expr: "CAST(%s AS CHAR)"}
}

// Text returns how the column is read as the server's own text.
func (m Mapped) Text() Mapped {
	switch m.Type.Kind {
	case driver.String, driver.JSON:
		return m
	case driver.Bytes:
		return Mapped{Type: driver.Of(driver.String), Expr: "HEX(%s)"}
	}
	return Mapped{Type: driver.Of(driver.String), Expr: m.Expr}
}

// inUTF8 returns the expression that reads text of a character set as UTF-8, "" if its
// bytes are UTF-8 already. A server writes a question mark for a character that it
// cannot convert, so a result without one lost nothing. A result with question marks is
// good if it converts back to the same bytes, or if the text had as many before.
// Otherwise the value is read as 0xff, which is never valid text. CONVERT has no limit
// of length; CAST returns NULL for what is longer than max_allowed_packet.
func inUTF8(charset string) string {
	const text = "CONVERT(%s USING utf8mb4)"
	switch charset {
	case "utf8mb4", "utf8mb3", "utf8", "ascii", "":
		return ""
	case "latin1": // every byte is a character
		return text
	}
	if !IsWord(charset) {
		return text
	}
	return "IF(%s IS NULL OR LOCATE('?', " + text + " COLLATE utf8mb4_bin) = 0" +
		" OR CONVERT(CONVERT(" + text + " USING " + charset + ") USING binary) = CONVERT(%s USING binary)" +
		" OR CHAR_LENGTH(" + text + ") - CHAR_LENGTH(REPLACE(" + text + ", '?', '')) = CHAR_LENGTH(%s) - CHAR_LENGTH(REPLACE(%s, '?', ''))" +
		", CONVERT(" + text + " USING binary), x'ff')"
}

// IsWord reports whether a name of a character set or collation may stand in a statement
// without quotes.
func IsWord(text string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
