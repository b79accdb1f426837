package projections

import (
	"context"
	"time"
)

// pace slows work down to a share of one processor: after each stretch of work
// comes a rest that is longer by as much. A nil pace does not rest.
type pace struct {
	share float64 // above 0, at most 1
	began time.Time
}

func newPace(share float64) *pace { return &pace{share: share, began: time.Now()} }

// rest pauses for what was worked since the last rest, and reports whether ctx
// goes on.
func (p *pace) rest(ctx context.Context) bool {
	if p == nil || p.share >= 1 {
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
