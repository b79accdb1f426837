package fairqueue

import (
	"fmt"
	"testing"
)

// An organization with many workspaces has its share of places and of waiting,
// and each of its turns comes after one of another organization's.
func TestOrganizationsBeforeWorkspaces(t *testing.T) {
	line := New(4, 2, 3)
	isUp := func(k *Ticket) bool {
		select {
		case <-k.turn:
			return true
		default:
			return false
		}
	}
	up := func(all []*Ticket) (n int) {
		for _, k := range all {
			if isUp(k) {
				n++
			}
		}
		return n
	}
	var evil []*Ticket
	for n := range 12 {
		evil = append(evil, line.Enter(fmt.Sprintf("evil.w%d", n/2)))
	}
	if up(evil) != 3 {
		t.Fatalf("%d of one organization at once", up(evil))
	}
	acme := []*Ticket{line.Enter("acme.a"), line.Enter("acme.a"), line.Enter("acme.b")}
	if up(acme) != 1 {
		t.Fatalf("%d of the other organization at once", up(acme))
	}
	for n, want := range []int{1, 2, 2, 3} { // a place of evil's is free: turns go round
		line.Leave(evil[n])
		if up(acme) != want {
			t.Fatalf("after %d: %d of the other organization began", n+1, up(acme))
		}
	}
	for _, k := range append(evil[4:], acme...) {
		line.Leave(k)
	}
	if line.running != 0 || line.waiting != 0 || len(line.lines)+len(line.groups)+len(line.order) != 0 {
		t.Errorf("something is left: %+v", line)
	}
	n := 0
	for line.Enter(fmt.Sprintf("evil.w%d", n/8)) != nil {
		n++
	}
	if n != maxOfGroup+3 {
		t.Errorf("%d of one organization wait and run", n)
	}
	if line.Enter("acme.a") == nil {
		t.Error("its line keeps the other organization out")
	}
}
