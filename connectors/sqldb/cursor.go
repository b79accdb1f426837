package sqldb

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"headwater/connectors/driver"
)

// How times are written in the value of a cursor.
const (
	DateLayout      = "2006-01-02"
	TimestampLayout = "2006-01-02T15:04:05.999999"
)

// CheckCursor returns an ErrInvalidConfig if a cursor's value is not one of the
// column's type, because the value becomes a part of a statement. For dates and times
// it returns the time.
func CheckCursor(t driver.Table, c driver.Column, value string) (at time.Time, err error) {
	switch c.Type.Kind {
	case driver.Int32, driver.Int64, driver.Decimal:
		if !plainNumber(value) {
			err = errNotPlain
		}
	case driver.Date:
		at, err = time.Parse(DateLayout, value)
	case driver.Timestamp:
		at, err = time.Parse(TimestampLayout, value)
	case driver.TimestampTZ:
		at, err = time.Parse(TimestampLayout+"Z", value)
	case driver.String:
		if strings.ContainsRune(value, 0) {
			err = errNotPlain
		}
	}
	if err != nil {
		return at, driver.E(driver.ErrInvalidConfig, nil, "table %s: the cursor's value is no %s, the type of column %s", t, c.Type, c.Name)
	}
	return at, nil
}

var errNotPlain = errors.New("no plain value")

// plainNumber reports whether text is digits, perhaps with a minus in front and a
// point among them, so that it can be in a statement without quotes.
func plainNumber(text string) bool {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return digits(whole) && (!point || digits(fraction))
}

// NulledNote says, for people, how many values landed as NULL because the column's
// type cannot hold them. first names the place of the first one.
func NulledNote(times int64, t driver.Table, column, first string) string {
	which := "the first"
	if times == 1 {
		which = "it"
	}
	return fmt.Sprintf("%s of %s.%s that its type cannot hold landed as NULL; %s is in %s.", driver.Count(times, "value"), t, column, which, first)
}
