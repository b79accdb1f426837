// Package clustertest checks a run of a cluster under faults. From what clients
// recorded during the run and from the state at its end it finds what was lost,
// doubled, stuck or stale. It knows no broker and no process; the test that runs
// the cluster collects both.
package clustertest

import (
	"sync"
	"time"
)

// Outcome is what a client knows of an operation when it stops asking.
type Outcome string

// How operations end.
const (
	OK      Outcome = "ok"      // reported as done: it happened, once
	Failed  Outcome = "fail"    // refused or reported as failed: it had no effect
	Unknown Outcome = "unknown" // no answer, a 5xx, or a timeout: it happened once or not at all
)

// Kind is what an operation asks for.
type Kind string

// Kinds of operations.
const (
	Connect Kind = "connect"
	Sync    Kind = "sync"
	Cleanup Kind = "cleanup"
	List    Kind = "list"   // reads one source by its name
	Schema  Kind = "schema" // reads one source by its id
)

func (k Kind) reads() bool { return k == List || k == Schema }

// Operation is one request of a client, with all its retries under one
// Idempotency-Key.
type Operation struct {
	Client string
	// Actor is a user in whose name only this operation was sent. It identifies
	// the operation in the stream even if no answer contained its id.
	Actor  string
	Kind   Kind
	Source string // the source's name
	Node   int    // the API node that was asked last
	Tries  int

	// Begin and End order all operations of all clients. End is 0 for an
	// operation that was never completed, which counts as Unknown.
	Begin, End         int64
	Invoked, Completed time.Time

	Outcome  Outcome
	SyncID   string // of a successful sync: the sync that did it
	Seen     uint64 // the Min-Sequence of the request
	Sequence uint64 // the sequence in the answer; 0 for none
	Present  bool   // of a successful read: the source existed
	Answer   string // the last answer, for people
}

// History is what all clients recorded. It is safe for concurrent use.
type History struct {
	mu   sync.Mutex
	tick int64
	all  []*Operation
}

// Begin records that a client is about to send an operation.
func (h *History) Begin(op Operation) *Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	op.Begin, op.Invoked, op.Outcome = h.tick, time.Now(), Unknown
	h.all = append(h.all, &op)
	return &op
}

// End records the outcome of the operation that Begin returned. set fills in the
// answer.
func (h *History) End(op *Operation, outcome Outcome, set func(*Operation)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	op.End, op.Completed, op.Outcome = h.tick, time.Now(), outcome
	if set != nil {
		set(op)
	}
}

// Operations returns a copy of all records, in the order of Begin.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Operation, len(h.all))
	for i, op := range h.all {
		all[i] = *op
	}
	return all
}

// Count returns how many operations of a kind had that outcome.
func (h *History) Count(kind Kind, outcome Outcome) (n int) {
	for _, op := range h.Operations() {
		if op.Kind == kind && op.Outcome == outcome && op.End > 0 {
			n++
		}
	}
	return n
}
