package api

import "sync"

// limiter bounds what one workspace may have under way.
type limiter struct {
	max      int
	mu       sync.Mutex
	inFlight map[string]int
}

// enter takes a place, or reports that there is none. Whoever got one leaves.
func (l *limiter) enter(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight[key] >= l.max {
		return false
	}
	l.inFlight[key]++
	return true
}

func (l *limiter) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight[key]--; l.inFlight[key] <= 0 {
		delete(l.inFlight, key)
	}
}
