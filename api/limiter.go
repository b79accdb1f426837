package api

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// limiter bounds what one user, workspace or organization may have under way. The
// zero value is ready for use.
type limiter struct {
	mu    sync.Mutex
	taken map[string]int64
}

// share is how much one of them may take.
type share struct {
	key  string
	most int64
	whom string // "The workspace has", for the caller
}

// enter takes n of every share, or nothing of any and returns the one that is
// full. Whoever entered leaves the same.
func (l *limiter) enter(n int64, shares ...share) *share {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range shares {
		if now := l.taken[p.key]; now > 0 && now+n > p.most {
			return &shares[i]
		}
	}
	if l.taken == nil {
		l.taken = map[string]int64{}
	}
	for _, p := range shares {
		l.taken[p.key] += n
	}
	return nil
}

func (l *limiter) leave(n int64, shares ...share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range shares {
		if l.taken[p.key] -= n; l.taken[p.key] <= 0 {
			delete(l.taken, p.key)
		}
	}
}

func (r *request) ofUser(most int) share {
	return share{"u\x00" + r.caller.Organization + "\x00" + r.caller.Username, int64(most), "You have"}
}

func (r *request) ofWorkspace(most int) share {
	return share{"w\x00" + r.caller.Organization + "\x00" + r.workspace, int64(most), "The workspace has"}
}

func (r *request) ofOrganization(most int64) share {
	return share{"o\x00" + r.caller.Organization, most, "The organization has"}
}

// commandShares are what a command takes one of.
func (h *Handler) commandShares(r *request) []share {
	most := h.Options.MaxInFlight
	return []share{r.ofWorkspace(most), r.ofOrganization(4 * int64(most))}
}

// streamShares are what a stream of events takes one of.
func (h *Handler) streamShares(r *request) []share {
	most := h.Options.MaxStreams
	return []share{r.ofUser(most), r.ofWorkspace(4 * most), r.ofOrganization(16 * int64(most))}
}

// hold has the request take n of some shares until it was answered, or returns
// the refusal.
func (r *request) hold(l *limiter, n int64, refuse func(*share) *failure, shares ...share) error {
	if full := l.enter(n, shares...); full != nil {
		return refuse(full)
	}
	before := r.release
	r.release = func() {
		l.leave(n, shares...)
		if before != nil {
			before()
		}
	}
	return nil
}

// smallAnswer is what nobody counts, in bytes: the connection takes it.
const smallAnswer = 64 << 10

// writable counts the bytes of a large answer as not taken, until the request
// is released. It returns the answer, or the refusal in its place.
func (h *Handler) writable(r *request, a *answer) *answer {
	n := int64(len(a.body) + len(a.through))
	if n <= smallAnswer || r.caller.Organization == "" {
		return a
	}
	err := r.hold(&h.unread, n, func(p *share) *failure {
		return fail(http.StatusTooManyRequests, "too_many_requests", "%s %d MiB of answers that its clients have not read yet; read them, or ask for less at once with limit", p.whom, p.most>>20).later(time.Second)
	}, r.ofOrganization(h.Options.MaxUnread))
	if err != nil {
		return asFailure(err).answer()
	}
	return a
}

// pagesAtOnce is how many pages of events are made for one organization at once,
// half of the processors; further ones wait. They are the one read that takes long
// on a processor.
var pagesAtOnce = max(1, runtime.GOMAXPROCS(0)/2)

// queues are places of organizations for which requests wait.
type queues struct{ of sync.Map } // chan struct{} by organization

// enter waits for a place, and returns what gives it back, or the error of ctx.
func (q *queues) enter(ctx context.Context, organization string) (leave func(), err error) {
	found, _ := q.of.LoadOrStore(organization, make(chan struct{}, pagesAtOnce))
	places := found.(chan struct{})
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
