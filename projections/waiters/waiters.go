// Package waiters holds the callers that wait for a store, by what wakes them: a
// sequence, the end of an operation, a change of a source or of the schedules, the
// revocation of a token. A waiter costs no goroutine, and a batch touches only the
// waiters it concerns.
package waiters

import (
	"container/heap"
	"context"
	"sync"

	"headwater/bus/event"
)

// Waiters are the callers that wait for one store. The zero Waiters has none. It is
// safe for concurrent use.
type Waiters struct {
	mu         sync.Mutex
	sequences  sequenceHeap
	operations map[string]map[chan struct{}]struct{}
	sources    map[event.Address]map[chan struct{}]struct{}
	schedules  map[chan struct{}]struct{}
	revoked    []func(id string)
}

// Wake signals every waiter that a batch concerns: the position it reached, the
// sources it changed, the keys of the operations it ended, the tokens it revoked,
// and whether it changed the times at which runs are due. If changed is nil it
// signals all that watch a source. It never blocks.
func (w *Waiters) Wake(position uint64, changed map[event.Address]struct{}, ended, revoked []string, scheduled bool) {
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

// Sequence returns a channel that is closed when the position reaches a sequence,
// nil if reached says that it has. The caller calls stop, which reports whether
// the channel was closed.
func (w *Waiters) Sequence(sequence uint64, reached func() bool) (done <-chan struct{}, stop func() (woken bool)) {
	entry := &sequenceWait{sequence: sequence, done: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	// The position moves before Wake takes mu.
	if reached() {
		return nil, func() bool { return true }
	}
	heap.Push(&w.sequences, entry)
	return entry.done, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if entry.index < 0 {
			return true
		}
		heap.Remove(&w.sequences, entry.index)
		return false
	}
}

// Operation returns a channel that is closed when the operation with that key
// ends. The caller calls stop.
func (w *Waiters) Operation(k string) (ended <-chan struct{}, stop func()) {
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

// Source returns a channel that receives a signal after events of that source were
// applied; signals do not accumulate. The channel is never closed; it is
// unregistered when ctx is done.
func (w *Waiters) Source(ctx context.Context, a event.Address) <-chan struct{} {
	ch := make(chan struct{}, 1)
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

// Schedules is like Source, for changes of the times at which runs of schedules are
// due.
func (w *Waiters) Schedules(ctx context.Context) <-chan struct{} {
	ch := make(chan struct{}, 1)
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

// OnRevoked registers a function that Wake calls with the id of each revoked token.
// It must not block.
func (w *Waiters) OnRevoked(told func(id string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revoked = append(w.revoked, told)
}

// Waiting returns how many wait for sequences, operations and sources: of operations
// and sources, how many are waited for.
func (w *Waiters) Waiting() (sequences, operations, sources int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sequences), len(w.operations), len(w.sources)
}
