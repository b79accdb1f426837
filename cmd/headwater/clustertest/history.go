// Package clustertest judges a run of a cluster under faults: from what clients
// wrote down while it ran and from what is there at its end, it finds what was
// lost, doubled, stuck or answered stale. It knows no broker and no process; who
// runs the cluster gathers both.
package clustertest

import (
	"sync"
	"time"
)

// Outcome is what a client knows of an operation when it stops asking.
type Outcome string

const (
	OK      Outcome = "ok"      // answered as done: it happened, once
	Failed  Outcome = "fail"    // refused or answered as failed: it had no effect
	Unknown Outcome = "unknown" // no answer, a 5xx, a time-out: it happened once or not at all
)

// Kind is what an operation asks for.
type Kind string

const (
	Connect Kind = "connect"
	Sync    Kind = "sync"
	Cleanup Kind = "cleanup"
	List    Kind = "list"   // a read of one source by its name
	Schema  Kind = "schema" // a read of one source by its id
)

func (k Kind) reads() bool { return k == List || k == Schema }

// Operation is one thing that a client asked for, with all the tries that it took
// under one Idempotency-Key.
type Operation struct {
	Client string
	// Actor is the user in whose name this operation alone was sent: it is found
	// in the stream by it also when no answer told its id.
	Actor  string
	Kind   Kind
	Source string // the source's name
	Node   int    // which API node was asked last
	Tries  int

	// Begin and End order all operations of all clients; End is 0 for one that was
	// never completed, which counts as Unknown.
	Begin, End         int64
	Invoked, Completed time.Time

	Outcome  Outcome
	SyncID   string // of a sync that is OK: the one that did it
	Seen     uint64 // the Min-Sequence that was asked for
	Sequence uint64 // what the answer said; 0 for none
	Present  bool   // of a read that is OK: the source was there
	Answer   string // the last answer, for people
}

// History is what all clients wrote down. It may be used concurrently.
type History struct {
	mu   sync.Mutex
	tick int64
	all  []*Operation
}

// Begin notes that a client is about to send an operation.
func (h *History) Begin(op Operation) *Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	op.Begin, op.Invoked, op.Outcome = h.tick, time.Now(), Unknown
	h.all = append(h.all, &op)
	return &op
}

// End notes what a client knows of the operation that Begin returned; set fills
// in what was answered.
func (h *History) End(op *Operation, outcome Outcome, set func(*Operation)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	op.End, op.Completed, op.Outcome = h.tick, time.Now(), outcome
	if set != nil {
		set(op)
	}
}

// Operations returns a copy of everything that was noted, in the order of Begin.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Operation, len(h.all))
	for i, op := range h.all {
		all[i] = *op
	}
	return all
}

// Count returns how many operations of a kind ended so.
func (h *History) Count(kind Kind, outcome Outcome) (n int) {
	for _, op := range h.Operations() {
		if op.Kind == kind && op.Outcome == outcome && op.End > 0 {
			n++
		}
	}
	return n
}
