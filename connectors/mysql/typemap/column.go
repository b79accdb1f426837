package typemap

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"headwater/connectors/driver"
)

// width is the display width of an integer type. It is not part of the type, and MySQL
// has none since 8.0.19.
var width = regexp.MustCompile(`^((?:tiny|small|medium|big)?int)\(\d+\)`)

// Identity is text that changes when values which landed are no longer those of the
// column: its type with the labels of an enum, and the expression that computes it. The
// server has no stable number for a column.
func Identity(full, expression string) string {
	if kind, rest, ok := strings.Cut(full, "("); ok && !strings.EqualFold(kind, "enum") && !strings.EqualFold(kind, "set") {
		full = width.ReplaceAllString(strings.ToLower(kind+"("+rest), "$1")
	}
	if expression != "" {
		full += " as " + expression
	}
	return full
}

// GrainOf returns the step between the values of a time column, 0 for microseconds and
// for other types.
func GrainOf(data, full string) time.Duration {
	switch data {
	case "date":
		return 24 * time.Hour
	case "datetime", "timestamp":
		digits := 0
		if _, rest, ok := strings.Cut(full, "("); ok {
			digits, _ = strconv.Atoi(strings.TrimSuffix(rest, ")"))
		}
		if digits >= 6 {
			return 0
		}
		step := time.Second
		for range digits {
			step /= 10
		}
		return step
	}
	return 0
}

// EqualityOf returns how the server compares two values of a key column.
func EqualityOf(data, charset, collation string) driver.Equality {
	if data == "enum" || data == "set" || charset == "" || charset == "binary" || collation == "" {
		return ""
	}
	switch rule := strings.TrimPrefix(collation, charset+"_"); {
	case rule == "nopad_bin", rule == "0900_bin", rule == "bin" && data == "char": // char values have no spaces at the end
		return ""
	case rule == "bin":
		return driver.EqualPadded
	}
	return driver.EqualCollated
}
