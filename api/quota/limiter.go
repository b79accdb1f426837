// Package quota limits how much one user, workspace or organization may have in
// use: commands and streams in progress, unread bytes, pages being built,
// refusals in the history.
package quota

import "sync"

// Limiter limits how much each share may have in use. The zero value is ready
// for use. It is safe for concurrent use.
type Limiter struct {
	mu    sync.Mutex
	taken map[string]int64
}

// Share is how much one user, workspace or organization may have in use.
type Share struct {
	Key  string
	Most int64
	Whom string // begins a sentence for the caller: "The workspace has"
}

// Enter takes n of every share and returns nil, or takes nothing and returns the
// share that would be exceeded. Call Leave with the same arguments afterwards.
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

// Leave returns what Enter took with the same arguments.
func (l *Limiter) Leave(n int64, shares ...Share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range shares {
		if l.taken[p.Key] -= n; l.taken[p.Key] <= 0 {
			delete(l.taken, p.Key)
		}
	}
}

// InUse returns the number of shares with something in use.
func (l *Limiter) InUse() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.taken)
}
