// Package schedule says when a source is to be synced by itself: what a schedule
// may be, when its runs are due, and what becomes of those that nobody carried
// out. It reads no clock: callers say what time it is. DESIGN.md has the rules.
package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones are known also where the system has none

	"headwater/bus/command"
	"headwater/bus/event"
)

// Bounds of what a schedule may be.
const (
	MinEvery  = time.Minute
	MaxEvery  = 366 * 24 * time.Hour
	MinJitter = time.Second
	MaxJitter = 24 * time.Hour
)

// Schedule is one that was checked. Make one with Parse.
type Schedule struct {
	event.Schedule
	cron     Cron
	zone     *time.Location
	interval time.Duration
	spread   time.Duration
}

// Problem is one thing that a schedule cannot be.
type Problem struct {
	Field   string // cron, time_zone, every, after, continuous, jitter, missed, overlap
	Message string // what is wrong with it, to follow the field's name
}

func (p *Problem) Error() string { return p.Field + " " + p.Message }

// Parse checks a schedule and fills in what it leaves open. The error is a
// *Problem. That After names a source which is there, and no circle, is for the
// caller to see to.
func Parse(given event.Schedule) (Schedule, error) {
	s, err := Load(given)
	if err == nil && s.zone != nil && (s.TimeZone[0] < 'A' || s.TimeZone[0] > 'Z') {
		// Every name of the database begins with a capital letter. What does not is a file that
		// this machine has beside it, as "localtime", or "right/..." whose rules cannot be read.
		return Schedule{}, unknownZone(s.TimeZone)
	}
	if err != nil || s.spread == 0 {
		return s, err
	}
	if least := s.shortest(); least > 0 && s.spread > least {
		return Schedule{}, &Problem{"jitter", fmt.Sprintf("must not be longer than the time between two runs, which can be as little as %s", least)}
	}
	return s, nil
}

// Load is Parse for a schedule that was checked before.
func Load(given event.Schedule) (Schedule, error) {
	s := Schedule{Schedule: given}
	for _, check := range []func(*Schedule) *Problem{(*Schedule).checkKind, (*Schedule).checkZone, (*Schedule).checkEvery, (*Schedule).checkCron, (*Schedule).checkChoices, (*Schedule).checkJitter} {
		if wrong := check(&s); wrong != nil {
			return Schedule{}, wrong
		}
	}
	return s, nil
}

func (s *Schedule) checkKind() *Problem {
	var given []string
	for _, kind := range []struct{ name, value string }{{"cron", s.Cron}, {"every", s.Every}, {"after", s.After}, {"continuous", word(s.Continuous)}} {
		if kind.value != "" {
			given = append(given, kind.name)
		}
	}
	switch len(given) {
	case 0:
		return &Problem{"cron", `is missing: give one of cron (such as "30 2 * * *"), every (such as "15m"), after (the id of another source) and continuous`}
	case 1:
		return nil
	}
	return &Problem{given[1], "cannot be given together with " + given[0]}
}

func word(given bool) string {
	if given {
		return "given"
	}
	return ""
}

func (s *Schedule) checkZone() *Problem {
	switch {
	case s.Cron == "" && s.TimeZone != "":
		return &Problem{"time_zone", "goes with cron alone"}
	case s.Cron == "":
		return nil
	case s.TimeZone == "":
		s.TimeZone = "UTC"
	}
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil || strings.EqualFold(s.TimeZone, "local") || len(s.TimeZone) > 64 {
		return unknownZone(s.TimeZone)
	}
	s.zone = zone
	return nil
}

func unknownZone(name string) *Problem {
	return &Problem{"time_zone", printable(name) + ` is not known: it must be a name of the IANA time zone database such as "Europe/Berlin" or "UTC"`}
}

func (s *Schedule) checkEvery() *Problem {
	if s.Every == "" {
		return nil
	}
	d, err := command.Duration(s.Every).Value()
	switch {
	case err != nil:
		return &Problem{"every", err.Error()}
	case d < MinEvery:
		return &Problem{"every", "must be at least 1m: each run is a sync of its own with events and a commit"}
	case d > MaxEvery:
		return &Problem{"every", "must be at most 366d"}
	case d%time.Second != 0:
		return &Problem{"every", "must be whole seconds"}
	}
	s.interval = d
	return nil
}

func (s *Schedule) checkCron() *Problem {
	if s.Cron == "" {
		return nil
	}
	var err error
	if s.cron, err = ParseCron(s.Cron); err != nil {
		return &Problem{"cron", err.Error()}
	}
	return nil
}

// What a schedule may do about runs whose time passed, and about a sync that runs.
const (
	Once   = "once"
	Skip   = "skip"
	Attach = "attach"
)

func (s *Schedule) checkChoices() *Problem {
	if s.Missed == "" {
		s.Missed = Once
	}
	if s.Overlap == "" {
		s.Overlap = Attach
	}
	switch {
	case s.Missed != Once && s.Missed != Skip:
		return &Problem{"missed", "must be once or skip"}
	case s.Missed == Skip && s.After != "":
		return &Problem{"missed", "must be once with after: it has no times that could pass"}
	case s.Continuous && (s.Missed == Skip || s.Overlap == Skip || s.Jitter != ""):
		return &Problem{"continuous", "goes with neither missed, overlap nor jitter: there is one sync, which goes on"}
	case s.Overlap != Attach && s.Overlap != Skip:
		return &Problem{"overlap", "must be attach or skip"}
	}
	return nil
}

func (s *Schedule) checkJitter() *Problem {
	if s.Jitter == "" {
		return nil
	}
	d, err := command.Duration(s.Jitter).Value()
	switch {
	case err != nil:
		return &Problem{"jitter", err.Error()}
	case d < MinJitter || d > MaxJitter || d%time.Second != 0:
		return &Problem{"jitter", "must be whole seconds, from 1s to 24h"}
	}
	s.spread = d
	return nil
}

// shortest returns how near two runs can be to each other, 0 for not known. A
// line of cron is tried over its next 400 runs from a fixed day on.
func (s *Schedule) shortest() time.Duration {
	if s.After != "" || s.Continuous || s.interval > 0 {
		return s.interval
	}
	var least time.Duration
	at := s.cron.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC)
	for range 400 {
		next := s.cron.Next(at, time.UTC)
		if next.IsZero() {
			break
		}
		if gap := next.Sub(at); least == 0 || gap < least {
			least = gap
		}
		at = next
	}
	return least
}

// Plan is when the runs of one source's schedule are due.
type Plan struct {
	s      Schedule
	anchor time.Time // from which Every counts
	offset time.Duration
}

// Of returns the plan of a source. Its jitter is a delay that the source's id
// decides, the same for every run.
func (s Schedule) Of(source string, anchor time.Time) Plan {
	p := Plan{s: s, anchor: anchor.Truncate(time.Second)}
	if s.spread > 0 {
		sum := sha256.Sum256([]byte(source))
		seconds := uint64(s.spread/time.Second) + 1
		p.offset = time.Duration(binary.BigEndian.Uint64(sum[:8])%seconds) * time.Second
	}
	return p
}

// Delay is what the jitter adds to every run of the source.
func (p Plan) Delay() time.Duration { return p.offset }

// After returns when the first run after a moment is due, in UTC; the zero time
// for a schedule that no clock decides.
func (p Plan) After(at time.Time) time.Time {
	at = at.Add(-p.offset)
	var next time.Time
	switch {
	case p.s.interval > 0:
		next = p.anchor.Add(p.s.interval)
		if passed := at.Sub(p.anchor); passed >= p.s.interval {
			next = p.anchor.Add((passed/p.s.interval + 1) * p.s.interval)
		}
	case p.s.After != "" || p.s.Continuous:
		return time.Time{}
	default:
		next = p.s.cron.Next(at, p.s.zone)
	}
	if next.IsZero() {
		return next
	}
	return next.Add(p.offset).UTC()
}

// Upcoming returns when the next n runs after a moment are due, fewer if there
// are no more.
func (p Plan) Upcoming(at time.Time, n int) []time.Time {
	all := make([]time.Time, 0, n)
	for len(all) < n {
		if at = p.After(at); at.IsZero() {
			break
		}
		all = append(all, at)
	}
	return all
}
