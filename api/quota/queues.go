package quota

import (
	"context"
	"runtime"
	"sync"
)

// pagesAtOnce is how many pages of events are built concurrently for one
// organization; further requests wait. It is half of the processors, because
// building a page is the one read that is CPU-bound.
var pagesAtOnce = max(1, runtime.GOMAXPROCS(0)/2)

// Queues are the waiting lines of organizations. The zero value is ready for
// use. It is safe for concurrent use.
type Queues struct{ of sync.Map } // chan struct{} by organization

// Enter waits for a free place and returns a function that releases it, or the
// error of ctx.
func (q *Queues) Enter(ctx context.Context, organization string) (leave func(), err error) {
	found, _ := q.of.LoadOrStore(organization, make(chan struct{}, pagesAtOnce))
	places := found.(chan struct{})
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
