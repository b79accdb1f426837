package proof

import (
	"context"
	"time"
)

// pace limits work to a share of one processor: after each stretch of work it
// pauses in proportion.
type pace struct {
	share float64 // above 0 and at most 1
	began time.Time
}

func newPace(share float64) *pace { return &pace{share: share, began: time.Now()} }

// rest pauses for the work since the last rest. It returns false if ctx is done.
func (p *pace) rest(ctx context.Context) bool {
	if p.share >= 1 {
		return ctx.Err() == nil
	}
	worked := time.Since(p.began)
	timer := time.NewTimer(time.Duration(float64(worked) * (1/p.share - 1)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	p.began = time.Now()
	return true
}
