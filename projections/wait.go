package projections

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"

	"headwater/bus/event"
	"headwater/projections/layout"
)

// waiting holds the callers that wait, by what wakes them. A waiter costs no
// goroutine, and a batch touches only the waiters it concerns.
type waiting struct {
	mu         sync.Mutex
	sequences  sequenceHeap
	operations map[string]map[chan struct{}]struct{}
	sources    map[event.Address]map[chan struct{}]struct{}
	schedules  map[chan struct{}]struct{}
	revoked    []func(id string)
}

// wake signals every waiter that a batch concerns. If changed is nil it signals
// all that watch a source. It never blocks.
func (w *waiting) wake(position uint64, changed map[event.Address]struct{}, ended, revoked []string, scheduled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range revoked {
		for _, told := range w.revoked {
			told(id)
		}
	}
	for len(w.sequences) > 0 && w.sequences[0].sequence <= position {
		close(heap.Pop(&w.sequences).(*sequenceWait).done)
	}
	for _, k := range ended {
		for ch := range w.operations[k] {
			close(ch)
		}
		delete(w.operations, k)
	}
	if scheduled {
		for ch := range w.schedules {
			signal(ch)
		}
	}
	if len(w.sources) == 0 {
		return
	}
	if changed == nil {
		for _, watching := range w.sources {
			for ch := range watching {
				signal(ch)
			}
		}
	}
	for a := range changed {
		for ch := range w.sources[a] {
			signal(ch)
		}
	}
}

// signal sends to a channel with a buffer of one, unless a signal is waiting
// there already: the reader has yet to look in any case.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// operation returns a channel that is closed when the operation with that key
// ends. The caller calls stop.
func (w *waiting) operation(k string) (ended <-chan struct{}, stop func()) {
	ch := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.operations == nil {
		w.operations = make(map[string]map[chan struct{}]struct{})
	}
	add(w.operations, k, ch)
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		remove(w.operations, k, ch)
	}
}

func add[K comparable](all map[K]map[chan struct{}]struct{}, k K, ch chan struct{}) {
	if all[k] == nil {
		all[k] = make(map[chan struct{}]struct{})
	}
	all[k][ch] = struct{}{}
}

func remove[K comparable](all map[K]map[chan struct{}]struct{}, k K, ch chan struct{}) {
	if delete(all[k], ch); len(all[k]) == 0 {
		delete(all, k)
	}
}

// Wait waits until the log is applied up to sequence. It returns ctx's error if
// ctx is done first, or ErrClosed if the store is closed.
func (s *Store) Wait(ctx context.Context, sequence uint64) error {
	if s.Position() >= sequence {
		return nil
	}
	w := &s.waiting
	entry := &sequenceWait{sequence: sequence, done: make(chan struct{})}
	w.mu.Lock()
	// Apply moves the position before it takes mu to wake the waiters.
	if s.Position() >= sequence {
		w.mu.Unlock()
		return nil
	}
	heap.Push(&w.sequences, entry)
	w.mu.Unlock()
	select {
	case <-entry.done:
		return nil
	case <-s.closed:
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if entry.index < 0 { // woken meanwhile
		return nil
	}
	heap.Remove(&w.sequences, entry.index)
	if ctx.Err() == nil {
		return ErrClosed
	}
	return fmt.Errorf("wait for sequence %d: %w", sequence, context.Cause(ctx))
}

// WaitOperation waits until the operation has ended, even if nothing is known of
// it yet, and returns it. If ctx is done first, it returns ctx's error and the
// operation as it is by then, or the zero Operation if it is unknown.
func (s *Store) WaitOperation(ctx context.Context, organization, workspace, id string) (Operation, error) {
	// Register first and look afterwards: the end is then either seen or
	// signalled.
	ended, stop := s.waiting.operation(string(layout.Key(layout.KeyOperation, organization, workspace, id)))
	defer stop()
	o, err := s.Operation(organization, workspace, id)
	if err == nil && o.Ended() || err != nil && !isNotFound(err) {
		return o, err
	}
	select {
	case <-ended:
		return s.Operation(organization, workspace, id)
	case <-s.closed:
		return o, ErrClosed
	case <-ctx.Done():
		if o, err = s.Operation(organization, workspace, id); err == nil && o.Ended() {
			return o, nil
		}
		return o, fmt.Errorf("wait for operation %s: %w", id, context.Cause(ctx))
	}
}

// WatchSource returns a channel that receives a signal after events of that
// source were applied; signals do not accumulate. Read the source first, then
// wait. The channel is never closed; it is unregistered when ctx is done.
func (s *Store) WatchSource(ctx context.Context, a event.Address) <-chan struct{} {
	ch := make(chan struct{}, 1)
	w := &s.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sources == nil {
		w.sources = make(map[event.Address]map[chan struct{}]struct{})
	}
	add(w.sources, a, ch)
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		remove(w.sources, a, ch)
	})
	return ch
}

// WatchSchedules is like WatchSource, for changes of the times at which runs of
// schedules are due.
func (s *Store) WatchSchedules(ctx context.Context) <-chan struct{} {
	ch := make(chan struct{}, 1)
	w := &s.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.schedules == nil {
		w.schedules = make(map[chan struct{}]struct{})
	}
	w.schedules[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.schedules, ch)
	})
	return ch
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// sequenceWait is one call of Wait.
type sequenceWait struct {
	sequence uint64
	done     chan struct{}
	index    int // in the heap; -1 once woken
}

// sequenceHeap is a heap with the smallest sequence first.
type sequenceHeap []*sequenceWait

func (h sequenceHeap) Len() int           { return len(h) }
func (h sequenceHeap) Less(i, j int) bool { return h[i].sequence < h[j].sequence }
func (h sequenceHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *sequenceHeap) Push(x any) {
	entry := x.(*sequenceWait)
	entry.index = len(*h)
	*h = append(*h, entry)
}

// Pop implements heap.Interface.
func (h *sequenceHeap) Pop() any {
	last := len(*h) - 1
	entry := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	entry.index = -1
	return entry
}
