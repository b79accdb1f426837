package wire

import (
	"context"
	"sync"
)

// Signal wakes all its waiters, any number of times. The zero value is ready for
// use. It is raised after a reconnect, when the broker may have lost waiting
// requests; without it that would be noticed only when their heartbeats are
// missed.
type Signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// raised returns a channel that is closed the next time Raise is called.
func (s *Signal) raised() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// Raise wakes all waiters.
func (s *Signal) Raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// Until returns a context that ends with ctx or when the signal is raised. The
// caller calls the CancelFunc.
func (s *Signal) Until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	raised := s.raised()
	go func() {
		select {
		case <-raised:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
