package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/bus/event"
)

func parsed(t *testing.T, given event.Schedule) Schedule {
	t.Helper()
	s, err := Parse(given)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSentence(t *testing.T) {
	for _, c := range []struct {
		given event.Schedule
		want  string
	}{
		{event.Schedule{Cron: "30 2 * * *", TimeZone: "Europe/Berlin"}, "every day at 02:30 in Europe/Berlin"},
		{event.Schedule{Cron: "30 2,14 * * *"}, "every day at 02:30 and 14:30 in UTC"},
		{event.Schedule{Cron: "0 6 * * 1-5"}, "on Monday to Friday at 06:00 in UTC"},
		{event.Schedule{Cron: "0 6 L * *"}, "on the last day of the month at 06:00 in UTC"},
		{event.Schedule{Cron: "0 6 1,15 JAN,JUL *"}, "on day 1 and 15 of the month in January and July at 06:00 in UTC"},
		{event.Schedule{Cron: "0 6 13 * FRI"}, "on day 13 of the month or on Friday at 06:00 in UTC"},
		{event.Schedule{Cron: "0 6 */2 * MON"}, "on day 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 and 31 of the month if it is Monday at 06:00 in UTC"},
		{event.Schedule{Cron: "0 0 * FEB *"}, "every day in February at 00:00 in UTC"},
		{event.Schedule{Cron: "* * * * *"}, "every minute in UTC"},
		{event.Schedule{Cron: "*/15 * * * *"}, "every 15 minutes in UTC"},
		{event.Schedule{Cron: "*/15 * * * MON"}, "every 15 minutes, on Monday, in UTC"},
		{event.Schedule{Cron: "*/7 * * * *"}, "at minute 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour in UTC"},
		{event.Schedule{Cron: "5 * * * *"}, "every hour at minute 5 in UTC"},
		{event.Schedule{Cron: "@hourly"}, "every hour in UTC"},
		{event.Schedule{Cron: "0 */6 * * *"}, "every 6 hours in UTC"},
		{event.Schedule{Cron: "*/10 8-18 * * *"}, "at minute 0, 10, 20, 30, 40 and 50 of the hours 8 to 18 in UTC"},
		{event.Schedule{Every: "15m"}, "every 15 minutes"},
		{event.Schedule{Every: "1h", Jitter: "90s"}, "every hour, up to 1 minute and 30 seconds later"},
		{event.Schedule{Every: "2h", Jitter: "1m"}, "every 2 hours, up to 1 minute later"},
		{event.Schedule{Cron: "@daily", Jitter: "1d"}, "every day at 00:00 in UTC, up to 1 day later"},
		{event.Schedule{Every: "1d12h"}, "every 1 day and 12 hours"},
		{event.Schedule{After: "src_1"}, "after each sync of orders"},
	} {
		if got := parsed(t, c.given).Sentence("orders"); got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.given, got, c.want)
		}
	}
}

func TestRefusedSchedules(t *testing.T) {
	for _, c := range []struct {
		given event.Schedule
		want  string
	}{
		{event.Schedule{}, "cron is missing"},
		{event.Schedule{Cron: "* * * * *", Every: "1h"}, "every cannot be given together with cron"},
		{event.Schedule{Every: "1h", After: "x"}, "after cannot be given together with every"},
		{event.Schedule{Cron: "30 2 30 2 *"}, "cron never comes true"},
		{event.Schedule{Cron: "0 0 * * *", TimeZone: "Europe/Berln"}, `time_zone "Europe/Berln" is not known`},
		{event.Schedule{Cron: "0 0 * * *", TimeZone: "Local"}, "time_zone"},
		{event.Schedule{Cron: "0 0 * * *", TimeZone: "../etc/passwd"}, "time_zone"},
		// Not of the IANA database: what a machine has beside it, which others may lack.
		{event.Schedule{Cron: "0 0 * * *", TimeZone: "right/Europe/Berlin"}, `time_zone "right/Europe/Berlin" is not known`},
		{event.Schedule{Cron: "0 0 * * *", TimeZone: "posix/Europe/Berlin"}, `time_zone "posix/Europe/Berlin" is not known`},
		{event.Schedule{Cron: "0 0 * * *", TimeZone: "posixrules"}, `time_zone "posixrules" is not known`},
		{event.Schedule{Cron: "0 0 * * *", TimeZone: "localtime"}, `time_zone "localtime" is not known`},
		{event.Schedule{Every: "1h", TimeZone: "UTC"}, "time_zone goes with cron alone"},
		{event.Schedule{Every: "59s"}, "every must be at least 1m"},
		{event.Schedule{Every: "90.5s"}, "every must be whole seconds"},
		{event.Schedule{Every: "367d"}, "every must be at most 366d"},
		{event.Schedule{Every: "-1h"}, "every is not a length of time"},
		{event.Schedule{Every: "1h", Jitter: "2h"}, "jitter must not be longer than the time between two runs, which can be as little as 1h0m0s"},
		{event.Schedule{Cron: "0,5 2 * * *", Jitter: "6m"}, "which can be as little as 5m0s"},
		{event.Schedule{Cron: "0 0 * * 0", Jitter: "25h"}, "jitter must be whole seconds, from 1s to 24h"},
		{event.Schedule{Every: "1h", Missed: "all"}, "missed must be once or skip"},
		{event.Schedule{After: "x", Missed: "skip"}, "missed must be once with after"},
		{event.Schedule{Every: "1h", Overlap: "queue"}, "overlap must be attach or skip"},
	} {
		if _, err := Parse(c.given); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.given, err, c.want)
		}
	}
}

func TestEvery(t *testing.T) {
	anchor := at(t, "2026-03-29T00:10:07Z")
	p := parsed(t, event.Schedule{Every: "90m"}).Of("src", anchor)
	for after, want := range map[string]string{
		"2026-01-01T00:00:00Z": "2026-03-29T01:40:07Z",
		"2026-03-29T00:10:07Z": "2026-03-29T01:40:07Z",
		"2026-03-29T01:40:06Z": "2026-03-29T01:40:07Z",
		"2026-03-29T01:40:07Z": "2026-03-29T03:10:07Z", // a clock change says nothing to it
	} {
		if got := p.After(at(t, after)); !got.Equal(at(t, want)) {
			t.Errorf("after %s: got %s, want %s", after, got, want)
		}
	}
}

// TestJitter: the same source is always as late, and many are spread evenly.
func TestJitter(t *testing.T) {
	s := parsed(t, event.Schedule{Cron: "0 2 * * *", Jitter: "10m"})
	seen := map[time.Duration]int{}
	for i := range 10_000 {
		p := s.Of(fmt.Sprintf("src_%d", i), time.Time{})
		next := p.After(at(t, "2026-01-01T01:00:00Z"))
		late := next.Sub(at(t, "2026-01-01T02:00:00Z"))
		if late < 0 || late > 10*time.Minute || late != p.Delay() {
			t.Fatalf("source %d is %s late, its delay is %s", i, late, p.Delay())
		}
		if after := p.After(next); after.Sub(next) != 24*time.Hour {
			t.Fatalf("source %d runs again after %s", i, after.Sub(next))
		}
		seen[late.Truncate(time.Minute)]++
	}
	for minute := range 10 {
		if n := seen[time.Duration(minute)*time.Minute]; n < 800 || n > 1200 {
			t.Errorf("%d of 10,000 sources in minute %d", n, minute)
		}
	}
}

func TestDecide(t *testing.T) {
	const none = ""
	for _, c := range []struct {
		name               string
		given              event.Schedule
		due, since, now    string
		run, from, through string
		missed             int
		atLeast            bool
		next               string
		anchor             string
	}{
		{name: "on time", given: event.Schedule{Cron: "0 * * * *"}, due: "2026-01-01T02:00:00Z", now: "2026-01-01T02:00:01Z", run: "2026-01-01T02:00:00Z", next: "2026-01-01T03:00:00Z"},
		{name: "an hour down, once", given: event.Schedule{Cron: "*/5 * * * *"}, due: "2026-01-01T02:00:00Z", now: "2026-01-01T03:02:00Z",
			run: "2026-01-01T03:00:00Z", missed: 12, from: "2026-01-01T02:00:00Z", through: "2026-01-01T02:55:00Z", next: "2026-01-01T03:05:00Z"},
		{name: "an hour down, skip, the last on time", given: event.Schedule{Cron: "*/5 * * * *", Missed: Skip}, due: "2026-01-01T02:00:00Z", now: "2026-01-01T03:02:00Z",
			run: "2026-01-01T03:00:00Z", missed: 12, from: "2026-01-01T02:00:00Z", through: "2026-01-01T02:55:00Z", next: "2026-01-01T03:05:00Z"},
		{name: "a night down, once", given: event.Schedule{Cron: "30 2 * * *"}, due: "2026-01-01T02:30:00Z", now: "2026-01-01T04:00:00Z", run: "2026-01-01T02:30:00Z", next: "2026-01-02T02:30:00Z"},
		{name: "a night down, skip", given: event.Schedule{Cron: "30 2 * * *", Missed: Skip}, due: "2026-01-01T02:30:00Z", now: "2026-01-01T04:00:00Z",
			missed: 1, from: "2026-01-01T02:30:00Z", through: "2026-01-01T02:30:00Z", next: "2026-01-02T02:30:00Z"},
		{name: "a restart, skip", given: event.Schedule{Cron: "30 2 * * *", Missed: Skip}, due: "2026-01-01T02:30:00Z", now: "2026-01-01T02:34:59Z", run: "2026-01-01T02:30:00Z", next: "2026-01-02T02:30:00Z"},
		{name: "source was removed", given: event.Schedule{Every: "1h"}, anchor: "2026-01-01T00:00:00Z", due: "2026-01-01T02:00:00Z", since: "2026-01-01T05:30:00Z", now: "2026-01-01T05:31:00Z",
			missed: 4, from: "2026-01-01T02:00:00Z", through: "2026-01-01T05:00:00Z", next: "2026-01-01T06:00:00Z"},
		{name: "ten years of minutes", given: event.Schedule{Every: "1m"}, anchor: "2026-01-01T00:00:00Z", due: "2026-01-01T00:01:00Z", now: "2036-01-01T00:00:00Z",
			run: "2036-01-01T00:00:00Z", missed: 5258879, from: "2026-01-01T00:01:00Z", through: "2035-12-31T23:59:00Z", next: "2036-01-01T00:01:00Z"},
		{name: "ten years of cron", given: event.Schedule{Cron: "* * * * *"}, due: "2026-01-01T00:01:00Z", now: "2036-01-01T00:00:30Z",
			run: "2036-01-01T00:00:00Z", missed: maxCounted, atLeast: true, from: "2026-01-01T00:01:00Z", through: "2035-12-31T23:59:00Z", next: "2036-01-01T00:01:00Z"},
		{name: "after another", given: event.Schedule{After: "src"}, due: "2026-01-01T00:01:00Z", now: "2026-01-02T00:00:00Z", run: "2026-01-01T00:01:00Z", next: none},
	} {
		t.Run(c.name, func(t *testing.T) {
			when := func(text string) (v time.Time) {
				if text != none {
					v = at(t, text)
				}
				return v
			}
			got := parsed(t, c.given).Of("src", when(c.anchor)).Decide(when(c.due), when(c.since), when(c.now))
			want := Decision{Missed: c.missed, AtLeast: c.atLeast, From: when(c.from), Through: when(c.through), Run: when(c.run), Next: when(c.next)}
			if got.Missed != want.Missed || got.AtLeast != want.AtLeast || !got.From.Equal(want.From) || !got.Through.Equal(want.Through) || !got.Run.Equal(want.Run) || !got.Next.Equal(want.Next) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
		})
	}
}
