package schedule

import (
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestNext has the right moments of lines, in UTC, after a given one.
func TestNext(t *testing.T) {
	for _, c := range []struct{ name, line, zone, after, want string }{
		{"minute", "* * * * *", "UTC", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z 2026-01-01T00:02:00Z"},
		{"strictly after", "0 * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"},
		{"a day", "30 2 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z 2026-01-02T01:30:00Z"},
		{"steps and lists", "5-20/5,59 8,20 * * *", "UTC", "2026-01-01T08:15:00Z", "2026-01-01T08:20:00Z 2026-01-01T08:59:00Z 2026-01-01T20:05:00Z"},
		{"names", "0 12 * FEB mon-Wed", "UTC", "2026-01-10T00:00:00Z", "2026-02-02T12:00:00Z 2026-02-03T12:00:00Z 2026-02-04T12:00:00Z 2026-02-09T12:00:00Z"},
		{"Sunday is 0 and 7", "0 0 * * 7", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z 2026-01-11T00:00:00Z"},
		{"Friday through Sunday", "0 0 * * 5-7", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z 2026-01-03T00:00:00Z 2026-01-04T00:00:00Z 2026-01-09T00:00:00Z"},
		{"either day", "0 0 13 * FRI", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z 2026-01-09T00:00:00Z 2026-01-13T00:00:00Z"},
		{"both days with *", "0 0 */2 * MON", "UTC", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z 2026-01-19T00:00:00Z"},
		{"last day", "0 6 L * *", "UTC", "2028-01-31T07:00:00Z", "2028-02-29T06:00:00Z 2028-03-31T06:00:00Z 2028-04-30T06:00:00Z"},
		{"day 31", "0 0 31 * *", "UTC", "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z 2026-07-31T00:00:00Z"},
		{"leap day", "0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"month of a year later", "0 0 1 1 *", "Asia/Kolkata", "2026-06-01T00:00:00Z", "2026-12-31T18:30:00Z"},
		{"macro", "@weekly", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"},

		// Berlin: 2026-03-29 has no 02:00 to 02:59, 2026-10-25 has them twice.
		{"left out", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:30:00Z"},
		{"several left out", "10,50 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:10:00Z"},
		{"left out beside others", "30 1,2,3 29 3 *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T00:30:00Z 2026-03-29T01:00:00Z 2026-03-29T01:30:00Z"},
		{"twice", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z"},
		{"twice, with steps", "*/30 2 25 10 *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z 2026-10-25T00:30:00Z 2027-10-25T00:00:00Z"},
		{"every half hour over an hour left out", "*/30 * * * *", "Europe/Berlin", "2026-03-29T00:10:00Z", "2026-03-29T00:30:00Z 2026-03-29T01:00:00Z 2026-03-29T01:30:00Z"},
		{"every half hour over one twice", "*/30 * * * *", "Europe/Berlin", "2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z 2026-10-25T01:00:00Z 2026-10-25T01:30:00Z 2026-10-25T02:00:00Z"},
		{"every second hour over one left out", "0 */2 * * *", "Europe/Berlin", "2026-03-28T22:30:00Z", "2026-03-28T23:00:00Z 2026-03-29T02:00:00Z"},
		{"between the two passes", "30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-26T01:30:00Z"},
		// Beirut has no 00:00 to 00:59 on 2026-03-29, Lord Howe changes by half an hour, Apia had no 2011-12-30.
		{"midnight left out", "15 0 * * *", "Asia/Beirut", "2026-03-28T12:00:00Z", "2026-03-28T22:00:00Z 2026-03-29T21:15:00Z"},
		{"half an hour left out", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z 2026-10-04T15:15:00Z"},
		{"a day left out", "0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z 2012-12-29T22:00:00Z"},
		{"beyond a day left out", "0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", "2011-12-29T22:00:00Z 2011-12-30T10:00:00Z 2011-12-30T22:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cron, err := ParseCron(c.line)
			if err != nil {
				t.Fatal(err)
			}
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			next := at(t, c.after)
			for _, want := range strings.Fields(c.want) {
				if next = cron.Next(next, zone); !next.Equal(at(t, want)) {
					t.Fatalf("got %s, want %s", next.UTC().Format(time.RFC3339), want)
				}
			}
		})
	}
}

// TestRefusedLines has what each line that is none must be told.
func TestRefusedLines(t *testing.T) {
	for line, want := range map[string]string{
		"":                              "must not be empty",
		"* * * *":                       "it has 4",
		"0 30 2 * * *":                  "it has 6: leave out the seconds",
		"0 30 2 * * * 2027":             "it has 7: leave out the seconds",
		"0 30 2 * * * 2027 root":        "it has 8",
		"60 * * * *":                    `minute "60": "60" must be a number from 0 to 59`,
		"* 24 * * *":                    "from 0 to 23",
		"* * 0 * *":                     "from 1 to 31",
		"* * * 13 *":                    "or a name such as FEB",
		"* * * * 8":                     "from 0 to 7",
		"* * * * FOO":                   "or a name such as MON",
		"+5 * * * *":                    "must be a number",
		"05-1 * * * *":                  "the range ends before it begins",
		"* 22-2 * * *":                  "such as 22-23,0-2",
		"5/10 * * * *":                  "write */10 or 5-59/10",
		"*/0 * * * *":                   "the step after / must be",
		"*/ * * * *":                    "the step after / must be",
		"1,,2 * * * *":                  "a number is missing",
		"* * ? * *":                     "? is not taken; write *",
		"* * * * 5L":                    "there is only L",
		"* * 15W * *":                   "there is only L",
		"* * * * FRI#2":                 "there is only L",
		"* * L,1 * *":                   "there is only L",
		"@every 5m":                     "give the interval as every",
		"@reboot":                       "is not known",
		"CRON_TZ=UTC 0 0 * * *":         "give it as time_zone",
		"30 2 30 2 *":                   "never comes true: there is no such day in February",
		"0 0 31 2,4,6 *":                "never comes true: there is no such day in February, April and June",
		strings.Repeat("* ", 300) + "*": "more than 512",
	} {
		if _, err := ParseCron(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
}

// FuzzCron: no line makes the parser or the calendar fail, the next run is after
// the moment and one that the line means, and each has its words.
func FuzzCron(f *testing.F) {
	for _, line := range []string{"30 2 * * *", "*/15 8-18/2,20 L JAN,jul MON-FRI", "@daily", "0 0 29 2 1", "5/10 * * * *", "\x00 * * * *"} {
		f.Add(line, int64(1_793_000_000), "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, line string, unix int64, zoneName string) {
		cron, err := ParseCron(line)
		if err != nil {
			return
		}
		zone, err := time.LoadLocation(zoneName)
		if err != nil {
			zone = time.UTC
		}
		after := time.Unix(unix%4e9, 0)
		next := cron.Next(after, zone)
		if next.IsZero() {
			t.Fatalf("%q has no run after %s", line, after)
		}
		if !next.After(after) {
			t.Fatalf("%q: %s is not after %s", line, next, after)
		}
		if again := cron.Next(next.Add(-time.Second), zone); !again.Equal(next) {
			t.Fatalf("%q: %s, but from a second before it %s", line, next, again)
		}
		if _, offset := next.Zone(); cron.anyHour && offset%60 == 0 && (!cron.minute.has(next.Minute()) || !cron.hour.has(next.Hour())) {
			t.Fatalf("%q: %s is none of its times", line, next)
		}
		if cron.words() == "" {
			t.Fatalf("%q has no words", line)
		}
	})
}
