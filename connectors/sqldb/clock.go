package sqldb

import (
	"sync/atomic"
	"time"
)

// Clock says what a server's times are by the clock of this machine, which may be
// another. It is safe for concurrent use. The zero value knows nothing yet.
type Clock struct {
	// ahead is by how much the server's clock is ahead of ours, at most.
	ahead atomic.Pointer[time.Duration]
}

// Compare notes what the server's clock showed in the answer to a question that was put
// at a time of ours. Until the server looked, ours went on: so the server's is ahead by no
// more than the difference.
func (c *Clock) Compare(asked, shown time.Time) {
	ahead := shown.Sub(asked)
	c.ahead.Store(&ahead)
}

// Ours returns what our clock showed no later than when the server's showed a time that has
// passed. It returns the zero time for the zero time, for a time to come, which is none of
// the server's clock, and while nothing was compared.
func (c *Clock) Ours(theirs time.Time) time.Time {
	ahead := c.ahead.Load()
	if ahead == nil || theirs.IsZero() {
		return time.Time{}
	}
	at := theirs.Add(-*ahead)
	if at.After(time.Now()) {
		return time.Time{}
	}
	return at.UTC()
}
