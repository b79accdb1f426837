// Package fairqueue schedules many tenants on a few places. Tenants wait in
// lines that take turns, and so do groups of lines, so that a busy tenant delays
// another by one turn at most.
package fairqueue

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxWaiting is the number of waiting tickets, in all lines, at which the
	// queue is full.
	maxWaiting = 1024
	// maxOfLine is the number of waiting tickets at which a line is full.
	maxOfLine = 64
	// maxOfGroup is the limit for one group, which may have any number of lines.
	maxOfGroup = 256
)

// Queue assigns places. Lines take turns; within a line tickets are served in
// the order of Enter. A line, or a group, never has more than its maximum of
// places at once. After a turn all lines of a group move behind the other
// groups. The group of a line is the part of its name before the dot, such as an
// organization in front of a workspace. It is safe for concurrent use.
type Queue struct {
	total, ofLine, ofGroup int

	mu      sync.Mutex
	running int
	waiting int
	lines   map[string]*line
	groups  map[string]*group
	order   []*line       // lines with waiting tickets, the next one first
	space   chan struct{} // closed when there is space again; nil while there is
}

// line is a set of tickets that take turns as one, such as those of a workspace.
type line struct {
	name    string
	group   *group
	running int
	tickets []*Ticket // waiting
}

// group is a set of lines that take turns as one, such as those of an
// organization.
type group struct {
	name             string
	running, waiting int
}

// Ticket waits for a place or has one.
type Ticket struct {
	line  *line
	turn  chan struct{} // closed when it is the ticket's turn
	taken bool
}

// Turn returns a channel that is closed when it is the ticket's turn.
func (k *Ticket) Turn() <-chan struct{} { return k.turn }

// New returns a queue with total places, at most ofLine of them for one line and
// ofGroup for one group; 0 means no limit besides ofLine.
func New(total, ofLine, ofGroup int) *Queue {
	if ofGroup <= 0 {
		ofGroup = total
	}
	return &Queue{total: total, ofLine: ofLine, ofGroup: ofGroup, lines: map[string]*line{}, groups: map[string]*group{}}
}

// Enter adds a ticket to a line. It returns nil if the line or its group is
// full.
func (q *Queue) Enter(name string) *Ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.lines[name]
	if p == nil {
		p = &line{name: name, group: q.groupOf(name)}
		q.lines[name] = p
	}
	if len(p.tickets) >= maxOfLine || p.group.waiting >= maxOfGroup {
		q.forget(p)
		return nil
	}
	p.group.waiting++
	k := &Ticket{line: p, turn: make(chan struct{})}
	if p.tickets = append(p.tickets, k); len(p.tickets) == 1 {
		q.order = append(q.order, p)
	}
	if q.waiting++; q.waiting == maxWaiting {
		q.space = make(chan struct{})
	}
	q.call()
	return k
}

// Wait waits for a turn in a line and returns its ticket, on which the caller
// calls Leave; or ctx's error if ctx is done first.
func (q *Queue) Wait(ctx context.Context, name string) (*Ticket, error) {
	for {
		k := q.Enter(name)
		if k == nil {
			select {
			case <-time.After(20 * time.Millisecond):
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		select {
		case <-k.turn:
			return k, nil
		case <-ctx.Done():
			q.Leave(k)
			return nil, ctx.Err()
		}
	}
}

// Leave ends a ticket, whether or not it had its turn.
func (q *Queue) Leave(k *Ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := k.line
	if k.taken {
		q.running--
		p.running--
		p.group.running--
	} else if at := slices.Index(p.tickets, k); at >= 0 {
		p.tickets = slices.Delete(p.tickets, at, at+1)
		p.group.waiting--
		if q.waited(); len(p.tickets) == 0 {
			q.order = slices.DeleteFunc(q.order, func(o *line) bool { return o == p })
		}
	}
	q.forget(p)
	q.call()
}

// groupOf returns the group of a line: the part of its name before the dot.
func (q *Queue) groupOf(lineName string) *group {
	name, _, _ := strings.Cut(lineName, ".")
	g := q.groups[name]
	if g == nil {
		g = &group{name: name}
		q.groups[name] = g
	}
	return g
}

// forget drops a line, and its group, if nothing is left of them.
func (q *Queue) forget(p *line) {
	if p.running == 0 && len(p.tickets) == 0 {
		delete(q.lines, p.name)
	}
	if g := p.group; g.running == 0 && g.waiting == 0 {
		delete(q.groups, g.name)
	}
}

// call gives turns to the tickets that may have one. A line that had its turn
// moves to the end of the order, and so do the others of its group, in front of
// it.
func (q *Queue) call() {
	for at := 0; at < len(q.order) && q.running < q.total; {
		p := q.order[at]
		if p.running >= q.ofLine || p.group.running >= q.ofGroup {
			at++
			continue
		}
		k := p.tickets[0]
		p.tickets = p.tickets[1:]
		q.order = slices.Delete(q.order, at, at+1)
		if len(p.tickets) > 0 {
			q.order = append(q.order, p)
		}
		slices.SortStableFunc(q.order, func(a, b *line) int {
			return cmp.Compare(inGroup(a, p.group), inGroup(b, p.group))
		})
		p.running++
		q.running++
		p.group.running++
		p.group.waiting--
		q.waited()
		k.taken = true
		close(k.turn)
		at = 0
	}
}

func inGroup(p *line, g *group) int {
	if p.group == g {
		return 1
	}
	return 0
}

// waited counts a ticket that no longer waits.
func (q *Queue) waited() {
	if q.waiting--; q.space != nil {
		close(q.space)
		q.space = nil
	}
}

// AwaitSpace waits until there is space for another ticket, or ctx is done.
func (q *Queue) AwaitSpace(ctx context.Context) {
	q.mu.Lock()
	space := q.space
	q.mu.Unlock()
	if space == nil {
		return
	}
	select {
	case <-space:
	case <-ctx.Done():
	}
}
