package mysql

import (
	"strconv"
	"strings"

	"headwater/connectors/driver"
)

// quote makes an identifier.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// literal makes a string constant; NO_BACKSLASH_ESCAPES is on.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func relation(t driver.Table) string { return quote(t.Namespace) + "." + quote(t.Name) }

// str returns a value of the catalog, "" for NULL.
func str(text *string) string {
	if text == nil {
		return ""
	}
	return *text
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
