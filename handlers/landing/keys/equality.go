package keys

import (
	"bytes"
	"fmt"
	"math/big"
	"strings"
	"unicode"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/text/unicode/norm"

	"headwater/connectors/driver"
	"headwater/handlers/landing/content"
)

// Canonical returns how text of a key column is brought to the one form that all
// texts have which its source takes for equal, nil where equal bytes alone are.
// It returns ErrBadKey where that is not known.
func Canonical(column string, e driver.Equality) (func(text string) string, error) {
	switch e {
	case "":
		return nil, nil
	case driver.EqualNumbers:
		return plainNumber, nil
	case driver.EqualFolded:
		return lower, nil
	case driver.EqualPadded, driver.EqualCollated:
		return unpadded, nil
	case driver.EqualIntervals:
		return plainInterval, nil
	}
	why, ok := strings.CutPrefix(string(e), driver.NotComparable)
	if !ok {
		why = "its source compares it in a way that is not known here"
	}
	return nil, fmt.Errorf("%w: column %q: %s; sync the table without merge, or by other sync_options.key_columns", ErrBadKey, column, why)
}

// Resembling brings texts that a collation may take for equal to one form. It
// takes more for equal than most collations do.
func Resembling(text string) string {
	plain := norm.NFKD.String(unpadded(text))
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		// The least rune of those that differ by case alone.
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, plain)
}

func lower(text string) string { return strings.Map(unicode.ToLower, text) }

func unpadded(text string) string { return strings.TrimRight(text, " ") }

// plainNumber writes a decimal without a plus sign, without zeros that do not
// count and without a sign before zero. Other text stays.
func plainNumber(text string) string {
	digits, negative := strings.CutPrefix(text, "-")
	if !negative {
		digits = strings.TrimPrefix(text, "+")
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return text
	}
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if negative && whole != "0" {
		return "-" + whole
	}
	return whole
}

// plainInterval writes an ISO 8601 duration as its microseconds, a month being
// 30 days and a day 24 hours, as PostgreSQL compares intervals. Other text stays.
func plainInterval(text string) string {
	rest, ok := strings.CutPrefix(text, "P")
	if !ok {
		return text
	}
	const day = 86_400_000_000
	units := map[byte]int64{'Y': 360 * day, 'M': 30 * day, 'W': 7 * day, 'D': day}
	clock := map[byte]int64{'H': day / 24, 'M': day / 1440, 'S': day / 86400}
	total := new(big.Rat)
	for rest != "" {
		if rest[0] == 'T' {
			units, rest = clock, rest[1:]
			continue
		}
		end := strings.IndexFunc(rest, unicode.IsLetter)
		if end < 0 || strings.Trim(rest[:end], "-+.0123456789") != "" {
			return text
		}
		n, ok := new(big.Rat).SetString(rest[:end])
		unit, known := units[rest[end]]
		if !ok || !known {
			return text
		}
		total.Add(total, n.Mul(n, new(big.Rat).SetInt64(unit)))
		rest = rest[end+1:]
	}
	return total.RatString()
}

// inForm returns an appender of texts in a canonical form, nil for a column of
// another type.
func inForm(column arrow.Array, form func(string) string) content.Appender {
	value := func(int) string { return "" }
	switch a := column.(type) {
	case *array.String:
		value = a.Value
	case *array.LargeString:
		value = a.Value
	case array.ExtensionArray:
		return inForm(a.Storage(), form)
	default:
		return nil
	}
	var last string
	var made []byte
	return func(buf []byte, row int) []byte {
		if v := value(row); made == nil || v != last {
			last, made = v, bytes.Clone([]byte(form(v)))
			if made == nil {
				made = []byte{}
			}
		}
		return appendText(buf, made)
	}
}
