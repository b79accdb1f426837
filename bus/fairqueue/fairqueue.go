// Package fairqueue decides who is next where many tenants share a few places:
// lines take turns, and so do the groups of lines, so that one that brings much
// keeps another waiting for one turn, not for all of them.
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
	// maxWaiting is how many of all lines wait before there is no more space.
	maxWaiting = 1024
	// maxOfLine is how many of them wait in one line, which then is full.
	maxOfLine = 64
	// maxOfGroup is how many are of one group, which may make up as many lines as
	// it likes.
	maxOfGroup = 256
)

// Queue hands out places: each line in its turn, in the order in which its tickets
// came, never more to one line or to one group at once than it may have. A group
// that had a turn comes behind the others with all of its lines. What stands before
// the dot in a line's name is its group: an organization of workspaces. It is safe
// for concurrent use.
type Queue struct {
	total, ofLine, ofGroup int

	mu      sync.Mutex
	running int
	waiting int
	lines   map[string]*line
	groups  map[string]*group
	order   []*line       // of those that have anything waiting, the next first
	space   chan struct{} // closed when there is space again; nil while there is
}

// line is those that take turns as one, such as a workspace.
type line struct {
	name    string
	group   *group
	running int
	tickets []*Ticket // that wait
}

// group is lines that take turns as one, such as an organization.
type group struct {
	name             string
	running, waiting int
}

// Ticket is one that waits for a place, or has it.
type Ticket struct {
	line  *line
	turn  chan struct{} // closed when it is its turn
	taken bool
}

// Turn returns a channel that is closed when it is the ticket's turn.
func (k *Ticket) Turn() <-chan struct{} { return k.turn }

// New returns a queue of that many places, so many of them for one line, and so
// many for one group; 0 is no limit beyond a line's.
func New(total, ofLine, ofGroup int) *Queue {
	if ofGroup <= 0 {
		ofGroup = total
	}
	return &Queue{total: total, ofLine: ofLine, ofGroup: ofGroup, lines: map[string]*line{}, groups: map[string]*group{}}
}

// Enter stands in line, or returns nil when the line or its group is full.
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

// Wait returns with a turn, which Leave ends, or with the error of ctx when that
// ends first.
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

// Leave ends a ticket, whether it had its turn or not.
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

// groupOf returns the group of a line: what stands before the dot in its
// name.
func (q *Queue) groupOf(lineName string) *group {
	name, _, _ := strings.Cut(lineName, ".")
	g := q.groups[name]
	if g == nil {
		g = &group{name: name}
		q.groups[name] = g
	}
	return g
}

// forget drops a line, and a group, of which nothing is left.
func (q *Queue) forget(p *line) {
	if p.running == 0 && len(p.tickets) == 0 {
		delete(q.lines, p.name)
	}
	if g := p.group; g.running == 0 && g.waiting == 0 {
		delete(q.groups, g.name)
	}
}

// call gives turns to whoever may have one. A line that had its turn goes to
// the end of the order, behind the others of its group, which go there too.
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

// waited counts one that waits no longer.
func (q *Queue) waited() {
	if q.waiting--; q.space != nil {
		close(q.space)
		q.space = nil
	}
}

// AwaitSpace returns when there is space for another ticket, or ctx ends.
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
