package webhooks

import (
	"context"
	"sync"
	"sync/atomic"
)

const (
	// MaxPerOrganization is how many webhooks an organization may have.
	MaxPerOrganization = 500
	// shareUnderWay is how many requests of one organization's webhooks run at
	// once.
	shareUnderWay = 64
	// shareBytes is the total size of bodies that wait in memory for one
	// organization. One event of each webhook is always admitted.
	shareBytes = 64 << 20
)

// share is what the webhooks of one organization may use of this process.
type share struct {
	places chan struct{} // one for each running request
	bytes  atomic.Int64  // size of waiting bodies
}

// enter waits for a place. It returns false if ctx is done.
func (s *share) enter(ctx context.Context) bool {
	select {
	case s.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *share) leave() { <-s.places }

// sharesOf holds the shares of organizations that have had webhooks.
type sharesOf struct {
	mu  sync.Mutex
	all map[string]*share
}

func (s *sharesOf) of(organization string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]*share{}
	}
	if s.all[organization] == nil {
		s.all[organization] = &share{places: make(chan struct{}, shareUnderWay)}
	}
	return s.all[organization]
}
