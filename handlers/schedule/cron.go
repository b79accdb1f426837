package schedule

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// set holds which values of a field are meant, one bit each.
type set uint64

func (s set) has(v int) bool { return s&(1<<v) != 0 }

// values returns the members in their order.
func (s set) values() []int {
	all := make([]int, 0, bits.OnesCount64(uint64(s)))
	for v := 0; v < 64; v++ {
		if s.has(v) {
			all = append(all, v)
		}
	}
	return all
}

// field is one of the five places of a cron line.
type field struct {
	name     string // for messages
	min, max int
	names    []string // of its values from min on, in lower case
}

func (f field) span(from, to, step int) (s set) {
	for v := from; v <= to; v += step {
		s |= 1 << v
	}
	return s
}

var (
	minutes  = field{name: "minute", min: 0, max: 59}
	hours    = field{name: "hour", min: 0, max: 23}
	days     = field{name: "day of the month", min: 1, max: 31}
	months   = field{name: "month", min: 1, max: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}}
	weekdays = field{name: "day of the week", min: 0, max: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}}
)

// Cron is a line of five fields. Make one with ParseCron.
type Cron struct {
	minute, hour, day, month, weekday set
	lastDay                           bool // L: the month's last day
	anyDay, anyWeekday                bool // the field begins with *
	anyHour                           bool // the same: it goes by elapsed time on a day with a clock change
}

var macros = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

// maxLine bounds what ParseCron looks at, in bytes.
const maxLine = 512

// ParseCron reads a line of five fields, or one of the names such as @daily. It
// returns an error for people that names the field, also for a line that never
// comes true.
func ParseCron(line string) (Cron, error) {
	if len(line) > maxLine {
		return Cron{}, fmt.Errorf("has more than %d characters", maxLine)
	}
	text := strings.TrimSpace(line)
	if named, ok := macros[strings.ToLower(text)]; ok {
		text = named
	}
	if err := foreign(text); err != nil {
		return Cron{}, err
	}
	parts := strings.Fields(text)
	if len(parts) == 6 || len(parts) == 7 {
		return Cron{}, fmt.Errorf(`must have 5 fields, minute hour day-of-month month day-of-week, such as "30 2 * * *"; it has %d: leave out the seconds, the year or the user that other programs take`, len(parts))
	}
	if len(parts) != 5 {
		return Cron{}, fmt.Errorf(`must have 5 fields, minute hour day-of-month month day-of-week, such as "30 2 * * *"; it has %d`, len(parts))
	}
	var c Cron
	if strings.EqualFold(parts[2], "L") {
		c.lastDay, parts[2] = true, ""
	}
	for i, into := range []struct {
		field
		set *set
	}{{minutes, &c.minute}, {hours, &c.hour}, {days, &c.day}, {months, &c.month}, {weekdays, &c.weekday}} {
		if parts[i] == "" {
			continue
		}
		var err error
		if *into.set, err = into.parse(parts[i]); err != nil {
			return Cron{}, err
		}
	}
	if c.weekday.has(7) { // Sunday has two numbers
		c.weekday = c.weekday&^(1<<7) | 1
	}
	c.anyDay, c.anyWeekday = strings.HasPrefix(parts[2], "*"), strings.HasPrefix(parts[4], "*")
	c.anyHour = strings.HasPrefix(parts[1], "*")
	if !c.possible() {
		return Cron{}, fmt.Errorf("never comes true: there is no such day in %s", join(c.month.values(), monthName))
	}
	return c, nil
}

// foreign tells of what other programs' cron lines hold and this one's do not.
func foreign(text string) error {
	switch upper := strings.ToUpper(text); {
	case text == "":
		return fmt.Errorf(`must not be empty; a line is such as "30 2 * * *"`)
	case strings.HasPrefix(upper, "TZ=") || strings.HasPrefix(upper, "CRON_TZ="):
		return fmt.Errorf("must not hold a time zone; give it as time_zone")
	case strings.HasPrefix(upper, "@EVERY"):
		return fmt.Errorf(`must not be @every; give the interval as every, such as "15m"`)
	case strings.HasPrefix(text, "@"):
		return fmt.Errorf("%s is not known; there are @hourly, @daily, @weekly, @monthly and @yearly", printable(text))
	}
	return nil
}

// parse reads one field: *, values, ranges and steps, divided by commas.
func (f field) parse(text string) (all set, err error) {
	for _, item := range strings.Split(text, ",") {
		s, err := f.item(item)
		if err != nil {
			return 0, fmt.Errorf("%s %s: %w", f.name, printable(text), err)
		}
		all |= s
	}
	return all, nil
}

func (f field) item(text string) (set, error) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		var err error
		if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > f.max || stepText[0] == '+' {
			return 0, fmt.Errorf("the step after / must be a number from 1 to %d", f.max)
		}
	}
	if span == "*" {
		return f.span(f.min, f.most(), step), nil
	}
	first, last, ranged := strings.Cut(span, "-")
	from, err := f.value(first)
	if err != nil {
		return 0, err
	}
	if !ranged {
		if stepped {
			return 0, fmt.Errorf("a step needs a range: write */%d or %s-%d/%d", step, first, f.most(), step)
		}
		return f.span(from, from, 1), nil
	}
	to, err := f.value(last)
	if err != nil {
		return 0, err
	}
	if to < from {
		return 0, fmt.Errorf("the range ends before it begins; divide it, such as %s-%d,%d-%s", first, f.most(), f.min, last)
	}
	return f.span(from, to, step), nil
}

// most is the last value of *: Sunday is not meant twice.
func (f field) most() int {
	if f.max == weekdays.max {
		return 6
	}
	return f.max
}

func (f field) value(text string) (int, error) {
	if at := slices.Index(f.names, strings.ToLower(text)); at >= 0 {
		return f.min + at, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case text == "":
		return 0, fmt.Errorf("a number is missing; %d to %d can be given", f.min, f.max)
	case err == nil && n >= f.min && n <= f.max && text[0] != '+' && len(text) <= 2:
		return n, nil
	case text == "?":
		return 0, fmt.Errorf("? is not taken; write *")
	case strings.ContainsAny(text, "LlWw#"):
		return 0, fmt.Errorf("%s is not taken; of L, W and # there is only L, the last day of the month, alone in its field", printable(text))
	case f.names != nil:
		return 0, fmt.Errorf("%s must be a number from %d to %d or a name such as %s", printable(text), f.min, f.max, strings.ToUpper(f.names[1]))
	}
	return 0, fmt.Errorf("%s must be a number from %d to %d", printable(text), f.min, f.max)
}

// possible reports whether any date fits. Which of them fall on a weekday is no
// matter: each date does in some year.
func (c Cron) possible() bool {
	if c.lastDay || !c.anyWeekday {
		return true
	}
	for _, m := range c.month.values() {
		for _, d := range c.day.values() {
			if d <= longest[m-1] {
				return true
			}
		}
	}
	return false
}

// longest is how many days each month can have.
var longest = [12]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// printable quotes a text of the caller's, cut where it is long.
func printable(text string) string {
	if runes := []rune(text); len(runes) > 40 {
		text = string(runes[:40]) + "…"
	}
	return strconv.Quote(text)
}
