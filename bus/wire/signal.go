package wire

import (
	"context"
	"sync"
)

// Signal wakes everybody who waits for it, any number of times, and is
// ready as it is. After a
// reconnect, requests that wait at the broker may be forgotten there; without
// it they would be missed only when their heartbeats are.
type Signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// Raised returns a channel that is closed the next time Raise is called.
func (s *Signal) raised() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// Raise wakes everybody who waits.
func (s *Signal) Raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// Until returns a context that ends with ctx or when the signal is raised.
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
