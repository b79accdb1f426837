package typemap

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"headwater/connectors/driver"
)

// width is how many digits a client may show of an integer: no part of its
// type, and gone since MySQL 8.0.19.
var width = regexp.MustCompile(`^((?:tiny|small|medium|big)?int)\(\d+\)`)

// Identity says when values that landed are not those of the column any
// more: its type with the labels of an enum, and the expression that it is
// computed by. The server knows no number of a column; its place changes when
// another one is added before it.
func Identity(full, expression string) string {
	if kind, rest, ok := strings.Cut(full, "("); ok && !strings.EqualFold(kind, "enum") && !strings.EqualFold(kind, "set") {
		full = width.ReplaceAllString(strings.ToLower(kind+"("+rest), "$1")
	}
	if expression != "" {
		full += " as " + expression
	}
	return full
}

// GrainOf returns the step of a time column's values, 0 for microseconds.
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

// EqualityOf says how the server compares two values of a key.
func EqualityOf(data, charset, collation string) driver.Equality {
	if data == "enum" || data == "set" || charset == "" || charset == "binary" || collation == "" {
		return ""
	}
	switch rule := strings.TrimPrefix(collation, charset+"_"); {
	case rule == "nopad_bin", rule == "0900_bin", rule == "bin" && data == "char": // a char loses the spaces at its end
		return ""
	case rule == "bin":
		return driver.EqualPadded
	}
	return driver.EqualCollated
}
