// Package duration parses lengths of time with days and weeks.
package duration

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

var weeksAndDays = regexp.MustCompile(`^(?:(\d{1,6})w)?(?:(\d{1,6})d)?(.*)$`)

// Parse parses a duration in Go's syntax, optionally preceded by weeks and days:
// "90s", "2h", "30d", "1w", "1d12h". A day has 24 hours.
func Parse(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration such as 90s, 15m, 2h, 30d or 4w", text)
	parts := weeksAndDays.FindStringSubmatch(strings.TrimSpace(text))
	var total time.Duration
	for i, day := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour} {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.Atoi(parts[i+1])
		if err != nil || time.Duration(n) > (1<<63-1)/day-total/day {
			return 0, wrong
		}
		total += time.Duration(n) * day
	}
	rest := parts[3]
	if rest == "" {
		if parts[1] == "" && parts[2] == "" {
			return 0, wrong
		}
		return total, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || total > 0 && (more < 0 || total+more < total || strings.HasPrefix(rest, "+")) {
		return 0, wrong
	}
	return total + more, nil
}

// Flags makes every flag of type time.Duration accept weeks and days.
func Flags() kong.Option {
	return kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(func(c *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := c.Scan.PopValueInto("duration", &text); err != nil {
			return err
		}
		d, err := Parse(text)
		if err != nil {
			return err
		}
		target.SetInt(int64(d))
		return nil
	}))
}
