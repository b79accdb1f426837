package bus

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/wire"
)

const (
	// maxWaiting is how many commands of all workspaces a subscription holds
	// while they wait for their turn.
	maxWaiting = 1024
	// maxWaitingOfOne is how many of them are one workspace's. What it sends
	// beyond goes back to the broker for a while, so that it cannot hide what
	// others send behind it.
	maxWaitingOfOne = 64
	// maxWaitingOfAll is how many are one organization's, which may make up as many
	// workspaces as it likes.
	maxWaitingOfAll = 256
)

// turns decides which of the commands that were fetched is handled next: each
// workspace in its turn, in the order in which its commands came, never more of
// one workspace or of one organization at once than it may have. An organization
// that had a turn comes behind the others with all of its workspaces. It is safe
// for concurrent use.
type turns struct {
	total, each, ofAll int

	mu      sync.Mutex
	running int
	waiting int
	places  map[string]*placeInLine
	groups  map[string]*lineGroup
	order   []*placeInLine // of those that have anything waiting, the next first
	room    chan struct{}  // closed when a line that was full has room again; nil while it has
}

// placeInLine is one workspace.
type placeInLine struct {
	name    string
	group   *lineGroup
	running int
	tickets []*ticket // that wait
}

// lineGroup is the workspaces of one organization.
type lineGroup struct {
	name             string
	running, waiting int
}

// ticket is one command's.
type ticket struct {
	place *placeInLine
	turn  chan struct{} // closed when it is its turn
	taken bool
}

// newTurns returns turns at that many places, so many of them for one line, and so
// many for the lines of one organization; 0 is no limit beyond a line's.
func newTurns(total, each, ofAll int) *turns {
	if ofAll <= 0 {
		ofAll = total
	}
	return &turns{total: total, each: each, ofAll: ofAll, places: map[string]*placeInLine{}, groups: map[string]*lineGroup{}}
}

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

// enter stands in line, or returns nil when the workspace's line is too long.
func (t *turns) enter(workspace string) *ticket {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.places[workspace]
	if p == nil {
		p = &placeInLine{name: workspace, group: t.groupOf(workspace)}
		t.places[workspace] = p
	}
	if len(p.tickets) >= maxWaitingOfOne || p.group.waiting >= maxWaitingOfAll {
		t.forget(p)
		return nil
	}
	p.group.waiting++
	k := &ticket{place: p, turn: make(chan struct{})}
	if p.tickets = append(p.tickets, k); len(p.tickets) == 1 {
		t.order = append(t.order, p)
	}
	if t.waiting++; t.waiting == maxWaiting {
		t.room = make(chan struct{})
	}
	t.call()
	return k
}

// wait returns with a turn, which leave ends, or with the error of ctx when that
// ends first.
func (t *turns) wait(ctx context.Context, of string) (*ticket, error) {
	for {
		k := t.enter(of)
		if k == nil {
			if !wire.Wait(ctx, 20*time.Millisecond) {
				return nil, ctx.Err()
			}
			continue
		}
		select {
		case <-k.turn:
			return k, nil
		case <-ctx.Done():
			t.leave(k)
			return nil, ctx.Err()
		}
	}
}

// leave ends a ticket, whether it had its turn or not.
func (t *turns) leave(k *ticket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := k.place
	if k.taken {
		t.running--
		p.running--
		p.group.running--
	} else if at := slices.Index(p.tickets, k); at >= 0 {
		p.tickets = slices.Delete(p.tickets, at, at+1)
		p.group.waiting--
		if t.waited(); len(p.tickets) == 0 {
			t.order = slices.DeleteFunc(t.order, func(o *placeInLine) bool { return o == p })
		}
	}
	t.forget(p)
	t.call()
}

// groupOf returns the organization of a line: what stands before the dot in its
// name.
func (t *turns) groupOf(line string) *lineGroup {
	name, _, _ := strings.Cut(line, ".")
	g := t.groups[name]
	if g == nil {
		g = &lineGroup{name: name}
		t.groups[name] = g
	}
	return g
}

// forget drops a workspace, and an organization, of which nothing is left.
func (t *turns) forget(p *placeInLine) {
	if p.running == 0 && len(p.tickets) == 0 {
		delete(t.places, p.name)
	}
	if g := p.group; g.running == 0 && g.waiting == 0 {
		delete(t.groups, g.name)
	}
}

// call gives turns to whoever may have one. A workspace that had its turn goes
// to the end of the order, behind the others of its organization, which go there
// too.
func (t *turns) call() {
	for at := 0; at < len(t.order) && t.running < t.total; {
		p := t.order[at]
		if p.running >= t.each || p.group.running >= t.ofAll {
			at++
			continue
		}
		k := p.tickets[0]
		p.tickets = p.tickets[1:]
		t.order = slices.Delete(t.order, at, at+1)
		if len(p.tickets) > 0 {
			t.order = append(t.order, p)
		}
		slices.SortStableFunc(t.order, func(a, b *placeInLine) int {
			return cmp.Compare(inGroup(a, p.group), inGroup(b, p.group))
		})
		p.running++
		t.running++
		p.group.running++
		p.group.waiting--
		t.waited()
		k.taken = true
		close(k.turn)
		at = 0
	}
}

func inGroup(p *placeInLine, g *lineGroup) int {
	if p.group == g {
		return 1
	}
	return 0
}

// waited counts one that waits no longer.
func (t *turns) waited() {
	if t.waiting--; t.room != nil {
		close(t.room)
		t.room = nil
	}
}

// await returns when there is room for another command, or ctx ends.
func (t *turns) await(ctx context.Context) {
	t.mu.Lock()
	room := t.room
	t.mu.Unlock()
	if room == nil {
		return
	}
	select {
	case <-room:
	case <-ctx.Done():
	}
}

// workFairly fetches commands whether or not a handler is free, so that one
// behind many of another workspace is seen, and handles each when it is its
// turn.
func (s *jobSubscription) workFairly() {
	c := s.jobs.cfg
	lines, lineOf := newTurns(c.Concurrency, c.PerWorkspace, c.PerOrganization), workspaceOf
	if c.PerWorkspace <= 0 {
		lines, lineOf = newTurns(c.Concurrency, c.PerOrganization, 0), organizationOf
	}
	var handling sync.WaitGroup
	defer handling.Wait()
	for s.fetching.Err() == nil {
		lines.await(s.fetching)
		in, err := s.next()
		if err != nil {
			s.missed(err)
			continue
		}
		// In line before the next one is fetched: the order stays.
		k := lines.enter(lineOf(in.Subject()))
		handling.Go(func() {
			if k != nil {
				defer lines.leave(k)
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
func (d *delivery) awaitTurn(k *ticket) bool {
	if k == nil {
		d.putOff(d.working, overflowDelay(d.timesPostponed()))
		return false
	}
	select {
	case <-k.turn:
		return true
	default:
	}
	before := d.timesPostponed()
	d.notePostponed(d.working, before+1)
	select {
	case <-k.turn:
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
