package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Sentence says in words when a source is synced. name is that of the source
// which After means.
func (s Schedule) Sentence(name string) string {
	var text string
	switch {
	case s.After != "":
		text = "after each sync of " + name
	case s.Continuous:
		text = "continuously, as changes come"
	case s.interval > 0:
		text = "every " + Words(s.interval)
		if rest, one := strings.CutPrefix(text, "every 1 "); one && !strings.Contains(rest, " ") {
			text = "every " + rest
		}
	default:
		text = s.cron.words() + " in " + s.zone.String()
	}
	if s.spread > 0 {
		text += ", up to " + Words(s.spread) + " later"
	}
	return text
}

// words says when a line comes true.
func (c Cron) words() string {
	clock, named := c.clock()
	date := c.date()
	switch {
	case named && date == "":
		return "every day " + clock
	case named:
		return date + " " + clock
	case date == "":
		return clock
	}
	return clock + ", " + date + ","
}

// clock says at which times of a day, and whether those are named one by one.
func (c Cron) clock() (text string, named bool) {
	minute, hour := c.minute.values(), c.hour.values()
	everyHour := len(hour) == 24
	if step := stepOf(minute, 60); everyHour && step > 0 && step < 60 {
		if step == 1 {
			return "every minute", false
		}
		return fmt.Sprintf("every %d minutes", step), false
	}
	if step := stepOf(hour, 24); step > 1 && step < 24 && len(minute) == 1 && minute[0] == 0 {
		return fmt.Sprintf("every %d hours", step), false
	}
	if everyHour && len(minute) == 1 {
		if minute[0] == 0 {
			return "every hour", false
		}
		return fmt.Sprintf("every hour at minute %d", minute[0]), false
	}
	if len(minute)*len(hour) <= 6 {
		var times []int
		for _, h := range hour {
			for _, m := range minute {
				times = append(times, 60*h+m)
			}
		}
		return "at " + join(times, func(t int) string { return fmt.Sprintf("%02d:%02d", t/60, t%60) }), true
	}
	text = "at minute " + runs(minute, strconv.Itoa)
	if everyHour {
		return text + " of every hour", false
	}
	return text + " of the hours " + runs(hour, strconv.Itoa), false
}

// date says on which days, "" for every day.
func (c Cron) date() string {
	var on []string
	if c.lastDay {
		on = append(on, "on the last day of the month")
	} else if len(c.day.values()) < 31 {
		on = append(on, "on day "+runs(c.day.values(), strconv.Itoa)+" of the month")
	}
	if len(c.weekday.values()) < 7 {
		on = append(on, "on "+runs(c.weekday.values(), func(d int) string { return time.Weekday(d).String() }))
	}
	between := " or "
	if c.anyDay || c.anyWeekday {
		between = " if it is "
		if len(on) == 2 {
			on[1] = strings.TrimPrefix(on[1], "on ")
		}
	}
	text := strings.Join(on, between)
	if len(c.month.values()) < 12 {
		if text == "" {
			text = "every day"
		}
		text += " in " + runs(c.month.values(), monthName)
	}
	return text
}

// stepOf returns the distance of values that come round evenly in a whole, from
// 0 on; 0 for others.
func stepOf(values []int, whole int) int {
	step := whole / len(values)
	if step*len(values) != whole {
		return 0
	}
	for i, v := range values {
		if v != i*step {
			return 0
		}
	}
	return step
}

func monthName(m int) string { return time.Month(m).String() }

// runs joins values for people, three and more in a row as "1 to 5".
func runs(values []int, name func(int) string) string {
	var parts []string
	for i := 0; i < len(values); {
		end := i
		for end+1 < len(values) && values[end+1] == values[end]+1 {
			end++
		}
		if end < i+2 {
			parts, i = append(parts, name(values[i])), i+1
			continue
		}
		parts, i = append(parts, name(values[i])+" to "+name(values[end])), end+1
	}
	return list(parts)
}

func join(values []int, name func(int) string) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = name(v)
	}
	return list(parts)
}

func list(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// Words writes a length of time in whole seconds for people, such as "1 hour and
// 30 minutes".
func Words(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := int64(d / unit.of); n > 0 {
			d -= time.Duration(n) * unit.of
			text := fmt.Sprintf("%d %s", n, unit.name)
			if n > 1 {
				text += "s"
			}
			parts = append(parts, text)
		}
	}
	if parts == nil {
		return "0 seconds"
	}
	return list(parts)
}
