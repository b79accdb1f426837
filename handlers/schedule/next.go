package schedule

import (
	"slices"
	"time"
)

// horizon is how many days Next looks ahead: 29 February on a given weekday can
// be 40 years away.
const horizon = 41 * 366

// Next returns the first moment after the given one at which the line comes true
// by the clocks of the zone, the zero time if there is none within 40 years.
//
// On a day with a clock change it does as Vixie's cron: a line whose hour field
// begins with * goes by elapsed time, so that it is true in both passes of an
// hour that is repeated and never in one that is left out. Any other line names
// times of the day: one that is left out comes when the clocks have been put
// forward, once however many are left out, and one that is repeated comes the
// first time alone.
func (c Cron) Next(after time.Time, zone *time.Location) time.Time {
	after = after.In(zone)
	y, m, d := after.Date()
	// A time that was left out the day before may come on this one.
	day := time.Date(y, m, d-1, 0, 0, 0, 0, time.UTC)
	for end := day.AddDate(0, 0, horizon); day.Before(end); {
		if !c.month.has(int(day.Month())) {
			day = time.Date(day.Year(), day.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if c.on(day) {
			if at := c.within(day, after, zone); !at.IsZero() {
				return at
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}
}

// on reports whether a date of a month that is meant is. As with every cron, one
// of the two fields is enough where both name days.
func (c Cron) on(day time.Time) bool {
	byDate := c.day.has(day.Day()) || c.lastDay && day.AddDate(0, 0, 1).Day() == 1
	byWeekday := c.weekday.has(int(day.Weekday()))
	if c.anyDay || c.anyWeekday {
		return byDate && byWeekday
	}
	return byDate || byWeekday
}

// within returns the first moment of a date after the given one.
func (c Cron) within(day, after time.Time, zone *time.Location) time.Time {
	y, m, d := day.Date()
	begin, end := time.Date(y, m, d, 0, 0, 0, 0, zone), time.Date(y, m, d+1, 0, 0, 0, 0, zone)
	if plain(begin, end) {
		from := 0
		if after.After(begin) {
			from = int(after.Sub(begin)/time.Minute) + 1
		} else if after.Equal(begin) {
			from = 1
		}
		for minute := from; minute < 24*60; minute++ {
			if !c.hour.has(minute / 60) {
				minute += 59 - minute%60
			} else if c.minute.has(minute % 60) {
				return begin.Add(time.Duration(minute) * time.Minute)
			}
		}
		return time.Time{}
	}
	moments := c.named(day, zone)
	if c.anyHour {
		moments = c.elapsed(day, zone)
	}
	at := slices.IndexFunc(moments, func(t time.Time) bool { return t.After(after) })
	if at < 0 {
		return time.Time{}
	}
	return moments[at]
}

// plain reports whether a day has no clock change.
func plain(begin, end time.Time) bool {
	_, before := begin.Zone()
	_, after := end.Zone()
	return before == after && end.Sub(begin) == 24*time.Hour && begin.Hour() == 0
}

// elapsed returns the moments of a day at which the clocks show a time that is
// meant, in both passes of a repeated hour.
func (c Cron) elapsed(day time.Time, zone *time.Location) (all []time.Time) {
	// No zone is further than 15 hours from UTC, and no day longer than 26.
	for at, end := day.Add(-15*time.Hour), day.Add(41*time.Hour); at.Before(end); at = at.Add(time.Minute) {
		local := at.In(zone)
		if sameDate(local, day) && local.Second() == 0 && c.hour.has(local.Hour()) && c.minute.has(local.Minute()) {
			all = append(all, local)
		}
	}
	return all
}

// named returns the moments of the times of the day that are meant, in order.
func (c Cron) named(day time.Time, zone *time.Location) (all []time.Time) {
	for _, hour := range c.hour.values() {
		for _, minute := range c.minute.values() {
			at := moment(day.Add(time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute), zone)
			if n := len(all); n == 0 || !all[n-1].Equal(at) {
				all = append(all, at)
			}
		}
	}
	return all
}

// moment returns when the clocks of the zone show what wall does in UTC: the
// first time of two, and of a time that is left out the moment of the change.
func moment(wall time.Time, zone *time.Location) time.Time {
	_, before := wall.Add(-39 * time.Hour).In(zone).Zone()
	_, after := wall.Add(39 * time.Hour).In(zone).Zone()
	early, late := wall.Add(-time.Duration(max(before, after))*time.Second).In(zone), wall.Add(-time.Duration(min(before, after))*time.Second).In(zone)
	for _, at := range []time.Time{early, late} {
		if sameDate(at, wall) && at.Hour() == wall.Hour() && at.Minute() == wall.Minute() {
			return at
		}
	}
	change, _ := late.ZoneBounds()
	return change
}

func sameDate(a, b time.Time) bool {
	y, m, d := a.Date()
	year, month, day := b.Date()
	return y == year && m == month && d == day
}
