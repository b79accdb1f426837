package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Limits of latest: how long it may take, and the least time between two questions
// to the log, so that whoever names things that do not exist costs little.
const (
	latestLimit = 2 * time.Second
	latestEvery = 20 * time.Millisecond
)

// latest brings the read model of one of several nodes to the present end of the
// log, for requests that cannot name the sequence that they need: what another node
// has just answered must be known here before it is called unknown. Concurrent
// requests share one question. It is safe for concurrent use.
type latest struct {
	end  func(ctx context.Context) (uint64, error)        // the last sequence of the log
	wait func(ctx context.Context, sequence uint64) error // until the read model has it
	next chan struct{}                                    // signals that asked is set

	mu    sync.Mutex
	asked *question // the question that has not been sent yet; nil for none
}

// question is one question to the log, for everybody who came before it was sent.
type question struct {
	answered chan struct{}
	err      error
}

func newLatest(end func(context.Context) (uint64, error), wait func(context.Context, uint64) error) *latest {
	return &latest{end: end, wait: wait, next: make(chan struct{}, 1)}
}

// Reach returns when the read model has everything that the log had when Reach was
// called, at once if l is nil. It fails if that takes longer than latestLimit or if
// ctx is done first. It needs a Run.
func (l *latest) Reach(ctx context.Context) error {
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, latestLimit)
	defer cancel()
	l.mu.Lock()
	q := l.asked
	if q == nil {
		q = &question{answered: make(chan struct{})}
		l.asked = q
		l.next <- struct{}{} // Run takes it before it takes the question
	}
	l.mu.Unlock()
	select {
	case <-q.answered:
		return q.err
	case <-ctx.Done():
		return fmt.Errorf("the end of the log is not known: %w", context.Cause(ctx))
	}
}

// Run answers Reach until ctx is done.
func (l *latest) Run(ctx context.Context) {
	every := time.NewTicker(latestEvery)
	defer every.Stop()
	for {
		select {
		case <-l.next:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		q := l.asked
		l.asked = nil
		l.mu.Unlock()
		q.err = l.once(ctx)
		close(q.answered)
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l *latest) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, latestLimit)
	defer cancel()
	sequence, err := l.end(ctx)
	if err != nil {
		return err
	}
	return l.wait(ctx, sequence)
}
