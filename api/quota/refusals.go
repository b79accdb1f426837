package quota

import (
	"sync"
	"time"
)

// How many refusals are recorded: a burst, and then one in each interval.
const (
	refusalsOfCaller, callerInterval             = 20, 30 * time.Second
	refusalsOfOrganization, organizationInterval = 100, 10 * time.Second
	maxRefused                                   = 1024 // callers of an organization, and organizations, that are tracked
)

// Refusals limits how many refused requests enter the history. The zero value is
// ready for use. It is safe for concurrent use.
type Refusals struct {
	mu  sync.Mutex
	all map[string]*organizationRefusals
}

type organizationRefusals struct {
	bucket
	callers map[string]*bucket
}

// bucket is a token bucket: the number of refusals that may be recorded now.
type bucket struct {
	left    float64
	at      time.Time
	skipped uint64
}

func (b *bucket) fill(now time.Time, most int, interval time.Duration) {
	if b.at.IsZero() {
		b.left = float64(most)
	} else {
		b.left = min(float64(most), b.left+float64(now.Sub(b.at))/float64(interval))
	}
	b.at = now
}

// Take reports whether a refusal may be recorded now, and how many of the
// caller's refusals were not recorded since the last one. Callers and
// organizations beyond the tracked number are not recorded.
func (a *Refusals) Take(organization, caller string, now time.Time) (skipped uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string]*organizationRefusals{}
	}
	org := a.all[organization]
	if org == nil {
		forget(a.all, func(o *organizationRefusals) time.Time { return o.at }, now.Add(-refusalsOfOrganization*organizationInterval))
		if len(a.all) >= maxRefused {
			return 0, false
		}
		org = &organizationRefusals{callers: map[string]*bucket{}}
		a.all[organization] = org
	}
	org.fill(now, refusalsOfOrganization, organizationInterval)
	one := org.callers[caller]
	if one == nil {
		forget(org.callers, func(b *bucket) time.Time { return b.at }, now.Add(-refusalsOfCaller*callerInterval))
		if len(org.callers) >= maxRefused {
			return 0, false
		}
		one = &bucket{}
		org.callers[caller] = one
	}
	one.fill(now, refusalsOfCaller, callerInterval)
	if org.left < 1 || one.left < 1 {
		one.skipped++
		return 0, false
	}
	org.left--
	one.left--
	skipped, one.skipped = one.skipped, 0
	return skipped, true
}

// forget removes entries once the map is full: those whose last refusal is so
// long ago that their bucket is full again.
func forget[T any](all map[string]T, last func(T) time.Time, before time.Time) {
	if len(all) < maxRefused {
		return
	}
	for name, one := range all {
		if last(one).Before(before) {
			delete(all, name)
		}
	}
}
