package syncoptions

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"time"

	"github.com/google/uuid"

	"headwater/bus/command"
	"headwater/connectors/driver"
)

// The text forms of cursor values, as driver.FormatCursor writes them.
const (
	dateCursor   = "2006-01-02"
	timeCursor   = "2006-01-02T15:04:05.000000"
	timeTZCursor = timeCursor + "Z"
)

var number = regexp.MustCompile(`^-?\d{1,38}(\.\d{1,38})?$`)

// CursorValue returns a caller's text in the form that sources go by. The error
// says what a value of the type looks like, and never the text.
func CursorValue(t driver.Type, text string) (string, error) {
	switch t.Kind {
	case driver.Int32, driver.Int64:
		bits := 64
		if t.Kind == driver.Int32 {
			bits = 32
		}
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return "", fmt.Errorf("is no value of %s: send a whole number such as \"42\"", t)
		}
		return strconv.FormatInt(n, 10), nil
	case driver.Decimal:
		if !number.MatchString(text) {
			return "", fmt.Errorf("is no value of %s: send a number such as \"42.50\"", t)
		}
		return text, nil
	case driver.Date:
		at, err := time.Parse(dateCursor, text)
		if err != nil {
			return "", fmt.Errorf("is no date: send one such as \"2026-01-31\"")
		}
		return at.Format(dateCursor), nil
	case driver.Timestamp:
		for _, layout := range []string{"2006-01-02T15:04:05.999999", "2006-01-02 15:04:05.999999", dateCursor} {
			if at, err := time.Parse(layout, text); err == nil {
				return at.Format(timeCursor), nil
			}
		}
		return "", fmt.Errorf("is no time without a zone: send one such as \"2026-01-31T12:00:00\"")
	case driver.TimestampTZ:
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return "", fmt.Errorf("is no time with a zone: send one such as \"2026-01-31T12:00:00Z\"")
		}
		return at.UTC().Format(timeTZCursor), nil
	case driver.UUID:
		id, err := uuid.Parse(text)
		if err != nil {
			return "", fmt.Errorf("is no UUID")
		}
		return id.String(), nil
	}
	return text, nil
}

// lookbackFits returns what is wrong with a lookback for cursors of the type,
// "" for nothing.
func lookbackFits(t driver.Type, l command.Lookback) string {
	_, isNumber := l.Number()
	_, isTime := l.Time()
	switch t.Kind {
	case driver.Int32, driver.Int64, driver.Decimal:
		if !isNumber {
			return `a cursor of numbers takes a whole number above zero, such as 500`
		}
	case driver.Date, driver.Timestamp, driver.TimestampTZ:
		if !isTime {
			return `a cursor of times takes a length of time, such as "15m" or "3d"`
		}
	default:
		return "a cursor of that type has nothing to look back by"
	}
	return ""
}

// Behind returns a cursor value that lies the lookback behind another, and the
// value itself where the two do not fit.
func Behind(t driver.Type, value string, l command.Lookback) string {
	if n, ok := l.Number(); ok && lookbackFits(t, l) == "" {
		at, ok := new(big.Rat).SetString(value)
		if !ok {
			return value
		}
		at.Sub(at, new(big.Rat).SetInt64(n))
		least := new(big.Rat).SetInt64(-1 << 63)
		if t.Kind == driver.Int32 {
			least.SetInt64(-1 << 31)
		}
		if t.Kind != driver.Decimal && at.Cmp(least) < 0 {
			at = least
		}
		return at.FloatString(int(t.Scale))
	}
	d, ok := l.Time()
	if !ok {
		return value
	}
	layout := map[driver.Kind]string{driver.Date: dateCursor, driver.Timestamp: timeCursor, driver.TimestampTZ: timeTZCursor}[t.Kind]
	at, err := time.Parse(layout, value)
	if layout == "" || err != nil {
		return value
	}
	if at = at.Add(-d); at.Year() < 1 {
		at = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return at.Format(layout)
}
