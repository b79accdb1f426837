package quota

import (
	"context"
	"runtime"
	"sync"
)

// pagesAtOnce is how many pages of events are made for one organization at once,
// half of the processors; further ones wait. They are the one read that takes long
// on a processor.
var pagesAtOnce = max(1, runtime.GOMAXPROCS(0)/2)

// Queues are places of organizations for which requests wait.
type Queues struct{ of sync.Map } // chan struct{} by organization

// Enter waits for a place, and returns what gives it back, or the error of ctx.
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
