package jobs

import (
	"strings"
	"sync"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/fairqueue"
)

// workspaceOf returns the workspace for whose turn a command waits, from its
// subject.
func workspaceOf(subject string) string {
	a, _, err := event.ParseAddress(command.SubjectPrefix, subject)
	if err != nil {
		return "" // unreadable subjects share a line
	}
	return event.Token(a.Organization) + "." + event.Token(a.Workspace)
}

// organizationOf returns the name of the line of a command if organizations take
// turns.
func organizationOf(subject string) string {
	organization, _, _ := strings.Cut(workspaceOf(subject), ".")
	return organization
}

// workFairly fetches commands even if no handler is free, so that it finds one
// behind many of another workspace, and handles each when it is its turn.
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
		// It enters the line before the next is fetched, to keep the order.
		k := lines.Enter(lineOf(in.Subject()))
		handling.Go(func() {
			if k != nil {
				defer lines.Leave(k)
			}
			s.handle(in, func(d *delivery) bool { return d.awaitTurn(k) })
		})
	}
}

// awaitTurn returns true when it is the command's turn. Otherwise it has given
// the command back, because the line was too long or the subscription ends.
//
// A delivery that only waits must not look like one whose worker died, even if
// this process dies now. So it is counted as postponed beforehand, and no longer
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

// overflowDelay returns the delay before a command is delivered again whose
// workspace's line was full, longer each time.
func overflowDelay(times uint64) time.Duration {
	return time.Second << min(times, 5)
}
