package webhooks

import (
	"cmp"
	"slices"
	"time"
)

const (
	// maxUnderWay is how many requests of one webhook run at once.
	maxUnderWay = 4
	// downAfter is how many sources must fail in a row, without a success
	// between, for the receiver to count as down.
	downAfter = 4
	// maxWaiting is how many sources a State lists.
	maxWaiting = 100
)

// lane is the queue of one source's events, in order.
type lane struct {
	source   string
	queue    []*item
	busy     bool // its first event is being sent
	failures int  // of its first event, in a row
	due      time.Time
	tried    time.Time
	status   int
	reason   string
}

// lanes are the lanes of one webhook, with the recent behaviour of its receiver.
type lanes struct {
	all     map[string]*lane
	known   map[string]Waiting // by source: what the stored state listed before a restart
	busy    int
	failing map[*lane]bool // lanes that failed since the last success
	probes  int            // failures in a row while the receiver counts as down
	paused  time.Time      // nothing is sent before this time
	options Options
}

func newLanes(s State, o Options) *lanes {
	l := &lanes{all: map[string]*lane{}, known: map[string]Waiting{}, failing: map[*lane]bool{}, options: o}
	for _, w := range s.Waiting {
		l.known[w.SourceID] = w
	}
	return l
}

// add appends an event to its source's lane.
func (l *lanes) add(source string, i *item, now time.Time) {
	one := l.all[source]
	if one == nil {
		one = &lane{source: source}
		l.all[source] = one
		if before, ok := l.known[source]; ok && before.Sequence == i.sequence {
			one.failures, one.status, one.reason = before.Failures, before.Status, before.Reason
			if before.NextAttemptAt != nil { // the time may be from another machine's clock
				one.due = earlier(*before.NextAttemptAt, now.Add(l.options.Limit))
			}
			delete(l.known, source)
		}
	}
	one.queue = append(one.queue, i)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// down reports whether the receiver as a whole counts as down.
func (l *lanes) down() bool { return len(l.failing) >= downAfter }

// next returns the lane whose event is to be sent now, or nil and when to call
// again; the zero time means after something has changed.
func (l *lanes) next(now time.Time) (*lane, time.Time) {
	limit := maxUnderWay
	if l.down() {
		limit = 1
	}
	if l.busy >= limit || len(l.all) == 0 {
		return nil, time.Time{}
	}
	if now.Before(l.paused) {
		return nil, l.paused
	}
	var best *lane
	var wake time.Time
	for _, one := range l.all {
		if one.busy {
			continue
		}
		// While the receiver is down its pause decides when to send, and sources
		// take turns.
		if !l.down() && now.Before(one.due) {
			if wake.IsZero() || one.due.Before(wake) {
				wake = one.due
			}
			continue
		}
		if best == nil || cmp.Or(one.tried.Compare(best.tried), cmp.Compare(one.queue[0].sequence, best.queue[0].sequence)) < 0 {
			best = one
		}
	}
	return best, wake
}

// begin marks a lane's first event as being sent.
func (l *lanes) begin(one *lane, now time.Time) {
	one.busy, one.tried = true, now
	l.busy++
}

// taken removes a lane's first event after it was delivered, and returns it.
func (l *lanes) taken(one *lane) *item {
	l.ended(one)
	done := one.queue[0]
	one.queue, one.failures, one.due, one.status, one.reason = one.queue[1:], 0, time.Time{}, 0, ""
	if len(one.queue) == 0 {
		delete(l.all, one.source)
	}
	if l.down() { // the receiver has recovered: no lane waits any longer
		for _, other := range l.all {
			other.due = time.Time{}
		}
	}
	clear(l.failing)
	l.probes = 0
	return done
}

// refused schedules another attempt for a lane's first event.
func (l *lanes) refused(one *lane, a Attempt, now time.Time) {
	l.ended(one)
	one.failures++
	one.status, one.reason = a.Status, a.Reason
	one.due = now.Add(backoff(one.failures, l.options.Backoff, l.options.Limit))
	l.failing[one] = true
	if l.down() {
		l.probes++
		l.paused = now.Add(backoff(l.probes, l.options.Backoff, l.options.Limit))
	}
	if a.RetryAfter > 0 {
		if until := now.Add(a.RetryAfter); until.After(l.paused) {
			l.paused = until
		}
	}
}

// again reschedules an event that was not sent for a reason other than the
// receiver.
func (l *lanes) again(one *lane, at time.Time) {
	l.ended(one)
	one.due = at
}

func (l *lanes) ended(one *lane) {
	one.busy = false
	l.busy--
}

// waiting returns the lanes whose first event was refused, the oldest first.
func (l *lanes) waiting() []Waiting {
	var all []Waiting
	for _, one := range l.all {
		if one.failures == 0 {
			continue
		}
		due := one.due
		if due.Before(l.paused) {
			due = l.paused
		}
		due = due.UTC()
		all = append(all, Waiting{one.source, one.queue[0].sequence, one.failures, one.status, one.reason, &due})
	}
	// From before a restart, for sources whose event has not been read again
	// yet.
	for _, before := range l.known {
		all = append(all, before)
	}
	slices.SortFunc(all, func(a, b Waiting) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return all[:min(len(all), maxWaiting)]
}
