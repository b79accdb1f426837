package session

import (
	"strconv"
	"strings"

	"headwater/connectors/driver"
)

// Quote writes a name as an identifier.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Literal writes text as a string constant. NO_BACKSLASH_ESCAPES is on in every session.
func Literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// Relation writes a table's name as SQL.
func Relation(t driver.Table) string { return Quote(t.Namespace) + "." + Quote(t.Name) }

// Text returns a value of a row, "" for NULL.
func Text(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// Integer returns a number of a row, 0 for NULL and for what is not a 64-bit number.
func Integer(text *string) int64 {
	if text == nil {
		return 0
	}
	n, err := strconv.ParseInt(*text, 10, 64)
	if err != nil { // no value of the catalog that we use is that long
		return 0
	}
	return n
}
