package extract

import (
	"context"
	"sync"
)

// Widener is an optional interface of a Session. Widen lifts Request.Narrow: the read
// under way and those that follow it use as many connections as Request.Parallelism says.
// It may be called at any moment, concurrently, and more than once.
type Widener interface{ Widen() }

// wide is closed once its Session was widened.
type wide struct {
	once sync.Once
	c    chan struct{}
}

func (w *wide) Widen() { w.once.Do(func() { close(w.c) }) }

// each runs work for each of n readers at once and returns when all have ended. Those
// beyond narrow, where it is not 0, wait until the Session is widened; they are not
// run where the first ones ended before, or ctx did.
func (w *wide) each(ctx context.Context, n, narrow int, work func()) {
	if narrow <= 0 {
		narrow = n
	}
	var first, others sync.WaitGroup
	ended := make(chan struct{})
	for i := range n {
		if i < narrow {
			first.Go(work)
			continue
		}
		others.Go(func() {
			select {
			case <-w.c:
				work()
			case <-ended:
			case <-ctx.Done():
			}
		})
	}
	first.Wait()
	close(ended)
	others.Wait()
}

// Widen tells the child, whose call goes on without an answer to that.
func (s *remote) Widen() { _ = s.in.send(frameWiden) } // a child that has ended reads no more
