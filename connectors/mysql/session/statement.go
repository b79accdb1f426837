package session

import (
	"strconv"
	"strings"

	"headwater/connectors/driver"
)

// Quote makes an identifier.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Literal makes a string constant; NO_BACKSLASH_ESCAPES is on.
func Literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func Relation(t driver.Table) string { return Quote(t.Namespace) + "." + Quote(t.Name) }

// Text returns a value of the catalog, "" for NULL.
func Text(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// Integer reads a number of the catalog, 0 for NULL.
func Integer(text *string) int64 {
	if text == nil {
		return 0
	}
	n, err := strconv.ParseInt(*text, 10, 64)
	if err != nil { // LONGTEXT has 4294967295, other values fit
		return 0
	}
	return n
}
