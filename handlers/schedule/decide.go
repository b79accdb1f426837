package schedule

import "time"

// Tolerance is how late a run may be carried out and still count as on time:
// longer than a node needs to start, or another to take over.
const Tolerance = 5 * time.Minute

// maxCounted bounds how many missed runs are counted one by one.
const maxCounted = 10_000

// Decision is what is to be done about a run that was due.
type Decision struct {
	// Missed runs, from From through Through, are not carried out. None if 0.
	Missed        int
	AtLeast       bool // there were more than were counted
	From, Through time.Time
	Run           time.Time // that is carried out now; zero for none
	Next          time.Time // is due after all of them; zero for none
}

// Decide says what is to be done now about the run that was due, and about those
// after it that are due by now too. Runs up to since are missed whatever the
// schedule says: the source was not there. now must not be before due.
func (p Plan) Decide(due, since, now time.Time) Decision {
	if p.s.After != "" || p.s.Continuous {
		return Decision{Run: due}
	}
	last := p.last(due, now)
	d := Decision{Run: last, Next: p.After(last)}
	if !last.After(since) || p.s.Missed == Skip && now.Sub(last) > Tolerance {
		d.Run = time.Time{}
		d.Missed, d.AtLeast, d.Through = p.count(due, last)
	} else if due.Before(last) {
		d.Missed, d.AtLeast, d.Through = p.count(due, last.Add(-1))
	}
	if d.Missed > 0 {
		d.From = due
	}
	return d
}

// last returns the last run from due on that is due by now. It looks back from
// now, further each time: between the two there may be a million.
func (p Plan) last(due, now time.Time) time.Time {
	for _, back := range []time.Duration{2 * time.Minute, 2 * time.Hour, 48 * time.Hour, 64 * 24 * time.Hour, 800 * 24 * time.Hour, 0} {
		at := now.Add(-back)
		if back == 0 || at.Before(due) {
			at = due
		} else if at = p.After(at); at.IsZero() || at.After(now) {
			continue
		}
		for {
			next := p.After(at)
			if next.IsZero() || next.After(now) {
				return at
			}
			at = next
		}
	}
	return due
}

// count returns how many runs there are from one through a moment, and the last
// of them that was counted, or that there is where not all are.
func (p Plan) count(from, through time.Time) (n int, atLeast bool, last time.Time) {
	if p.s.interval > 0 {
		n = int(through.Sub(from)/p.s.interval) + 1
		return n, false, from.Add(time.Duration(n-1) * p.s.interval)
	}
	n, last = 1, from
	for {
		next := p.After(last)
		if next.IsZero() || next.After(through) {
			return n, false, last
		}
		if n == maxCounted {
			return n, true, p.last(from, through)
		}
		n, last = n+1, next
	}
}
