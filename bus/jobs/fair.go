package jobs

import (
	"strings"
	"sync"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/fairqueue"
)

// workspaceOf returns whose turn a command on a subject is.
func workspaceOf(subject string) string {
	a, _, err := event.ParseAddress(command.SubjectPrefix, subject)
	if err != nil {
		return "" // what cannot be read shares a line
	}
	return event.Token(a.Organization) + "." + event.Token(a.Workspace)
}

// organizationOf returns whose turn a command is that organizations take turns
// with.
func organizationOf(subject string) string {
	organization, _, _ := strings.Cut(workspaceOf(subject), ".")
	return organization
}

// workFairly fetches commands whether or not a handler is free, so that one
// behind many of another workspace is seen, and handles each when it is its
// turn.
func (s *subscription) workFairly() {
	c := s.jobs.cfg
	lines, lineOf := fairqueue.New(c.Concurrency, c.PerWorkspace, c.PerOrganization), workspaceOf
	if c.PerWorkspace <= 0 {
		lines, lineOf = fairqueue.New(c.Concurrency, c.PerOrganization, 0), organizationOf
	}
	var handling sync.WaitGroup
	defer handling.Wait()
	for s.fetching.Err() == nil {
		lines.AwaitSpace(s.fetching)
		in, err := s.next()
		if err != nil {
			s.missed(err)
			continue
		}
		// In line before the next one is fetched: the order stays.
		k := lines.Enter(lineOf(in.Subject()))
		handling.Go(func() {
			if k != nil {
				defer lines.Leave(k)
			}
			s.handle(in, func(d *delivery) bool { return d.awaitTurn(k) })
		})
	}
}

// awaitTurn returns true when it is the command's turn. Else it has given the
// command back: the line was too long, or the subscription ends.
//
// A delivery that only waits must not look like a worker that died of it, even
// if this process dies now: it is counted as put off beforehand, and no longer
// once it is its turn.
func (d *delivery) awaitTurn(k *fairqueue.Ticket) bool {
	if k == nil {
		d.putOff(d.working, overflowDelay(d.timesPostponed()))
		return false
	}
	select {
	case <-k.Turn():
		return true
	default:
	}
	before := d.timesPostponed()
	d.notePostponed(d.working, before+1)
	select {
	case <-k.Turn():
		d.notePostponed(d.working, before)
		return true
	case <-d.fetching.Done():
		d.retry(0)
		return false
	}
}

// overflowDelay returns how long a command stays with the broker whose
// workspace's line is too long here: the longer, the more often it was.
func overflowDelay(times uint64) time.Duration {
	return time.Second << min(times, 5)
}
