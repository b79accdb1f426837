package fairqueue

import (
	"fmt"
	"testing"
)

// FuzzQueue has lines of three groups enter and leave in any order, and holds that
// nobody has more than its share, that no place is free for one who may have it, and
// that nothing is left at the end. Each byte is one step: who enters, or which of
// the tickets leaves.
func FuzzQueue(f *testing.F) {
	f.Add(byte(3), byte(1), byte(2), []byte{0, 0, 1, 9, 18, 128, 129, 0, 130})
	f.Add(byte(1), byte(1), byte(0), []byte{0, 1, 2, 3, 128, 128, 128, 128})
	f.Fuzz(func(t *testing.T, total, ofLine, ofGroup byte, steps []byte) {
		q := New(1+int(total)%8, 1+int(ofLine)%4, int(ofGroup)%5)
		var tickets []*Ticket
		for _, step := range steps {
			if step < 128 {
				if k := q.Enter(fmt.Sprintf("g%d.l%d", step%3, step/3%3)); k != nil {
					tickets = append(tickets, k)
				}
			} else if len(tickets) > 0 {
				at := int(step) % len(tickets)
				q.Leave(tickets[at])
				tickets = append(tickets[:at], tickets[at+1:]...)
			}
			holdShares(t, q, tickets)
		}
		for _, k := range tickets {
			q.Leave(k)
		}
		if q.running != 0 || q.waiting != 0 || len(q.lines)+len(q.groups)+len(q.order) != 0 {
			t.Fatalf("something is left: %+v", q)
		}
	})
}

func holdShares(t *testing.T, q *Queue, tickets []*Ticket) {
	t.Helper()
	running, ofLine, ofGroup := 0, map[*line]int{}, map[*group]int{}
	var waiting []*Ticket
	for _, k := range tickets {
		select {
		case <-k.Turn():
			running++
			ofLine[k.line]++
			ofGroup[k.line.group]++
		default:
			waiting = append(waiting, k)
		}
	}
	if running > q.total {
		t.Fatalf("%d have one of %d places", running, q.total)
	}
	for _, k := range tickets {
		if ofLine[k.line] > q.ofLine || ofGroup[k.line.group] > q.ofGroup {
			t.Fatalf("%s has %d of %d, its group %d of %d", k.line.name, ofLine[k.line], q.ofLine, ofGroup[k.line.group], q.ofGroup)
		}
	}
	for _, k := range waiting {
		if running < q.total && ofLine[k.line] < q.ofLine && ofGroup[k.line.group] < q.ofGroup {
			t.Fatalf("%s waits beside a free place", k.line.name)
		}
	}
}
