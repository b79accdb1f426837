package fairqueue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestTurns(t *testing.T) {
	line := New(2, 1, 0)
	isUp := func(k *Ticket) bool {
		select {
		case <-k.turn:
			return true
		default:
			return false
		}
	}
	a1, a2, a3, b1, c1 := line.Enter("a"), line.Enter("a"), line.Enter("a"), line.Enter("b"), line.Enter("c")
	if !isUp(a1) || isUp(a2) || !isUp(b1) || isUp(c1) {
		t.Fatal("the first of a and of b have the first turns")
	}
	line.Leave(b1)
	if isUp(a2) || !isUp(c1) {
		t.Fatal("a has its share, so it is c's turn")
	}
	b2 := line.Enter("b")
	line.Leave(a1)
	if !isUp(a2) || isUp(b2) {
		t.Fatal("a waits for longer than b")
	}
	a4 := line.Enter("a")
	line.Leave(a3) // gives up waiting
	line.Leave(a2)
	if !isUp(b2) || isUp(a4) {
		t.Fatal("b's turn comes before a's next")
	}
	for _, k := range []*Ticket{b2, c1, a4} {
		line.Leave(k)
	}
	if line.running != 0 || line.waiting != 0 || len(line.lines) != 0 || len(line.order) != 0 {
		t.Errorf("something is left: %+v", line)
	}
	for range maxOfLine + 2 {
		_ = line.Enter("a")
	}
	if line.Enter("a") != nil {
		t.Error("the line of one workspace has no end")
	}
	for n := 0; line.waiting < maxWaiting; n++ {
		line.Enter(fmt.Sprint("w", n/maxOfLine))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if line.AwaitSpace(ctx); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error("there is always room")
	}
	line.Leave(line.lines["w0"].tickets[0])
	line.AwaitSpace(t.Context())
}
