// Package quota bounds what one user, workspace or organization may take of
// something: commands and streams under way, bytes not read yet, pages made at
// once, refusals in the history.
package quota

import "sync"

// Limiter bounds what one user, workspace or organization may have under way. The
// zero value is ready for use.
type Limiter struct {
	mu    sync.Mutex
	taken map[string]int64
}

// Share is how much one of them may take.
type Share struct {
	Key  string
	Most int64
	Whom string // "The workspace has", for the caller
}

// Enter takes n of every share, or nothing of any and returns the one that is
// full. Whoever entered leaves the same.
func (l *Limiter) Enter(n int64, shares ...Share) *Share {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range shares {
		if now := l.taken[p.Key]; now > 0 && now+n > p.Most {
			return &shares[i]
		}
	}
	if l.taken == nil {
		l.taken = map[string]int64{}
	}
	for _, p := range shares {
		l.taken[p.Key] += n
	}
	return nil
}

func (l *Limiter) Leave(n int64, shares ...Share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range shares {
		if l.taken[p.Key] -= n; l.taken[p.Key] <= 0 {
			delete(l.taken, p.Key)
		}
	}
}

// InUse returns how many shares have something taken of them.
func (l *Limiter) InUse() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.taken)
}
