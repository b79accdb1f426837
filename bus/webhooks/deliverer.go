package webhooks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"headwater/bus/event"
	"headwater/bus/kv"
)

const leaseKey = "lease"

// Deliver delivers every webhook while this process holds the lease, and
// otherwise waits for the lease. It returns after ctx is done, running requests
// have had their grace period, states are stored and the lease is released. Call
// it at most once in each process.
func (g *Registry) Deliver(ctx context.Context) {
	l := &lease{bucket: g.Bucket, holder: rand.Text(), time: g.Options.Lease}
	for ctx.Err() == nil {
		if err := l.acquire(ctx); err != nil {
			if ctx.Err() == nil {
				g.Log.Warn("cannot ask who delivers webhooks, will try again", "error", err)
				wait(ctx, g.Options.Lease/3)
			}
			continue
		}
		g.hold(ctx, l)
	}
}

// hold delivers until ctx is done or the lease is lost.
func (g *Registry) hold(ctx context.Context, l *lease) {
	// When ctx is done requests have a grace period; without the lease nothing
	// may go on.
	hard, lost := context.WithCancel(context.WithoutCancel(ctx))
	soft, stop := context.WithCancel(ctx)
	defer lost()
	defer stop()
	var renewing sync.WaitGroup
	renewing.Go(func() {
		if err := l.keep(hard); err != nil {
			g.Log.Warn("another process may deliver the webhooks now", "error", err)
			lost()
			stop()
		}
	})
	g.supervise(soft, hard)
	lost()
	renewing.Wait()
	if ctx.Err() != nil {
		l.free(context.WithoutCancel(ctx))
	}
}

// supervise runs a runner for every webhook until ctx is done, and returns when
// all of them have ended.
func (g *Registry) supervise(ctx, hard context.Context) {
	active := map[string]context.CancelFunc{}
	ended := make(chan string)
	look := time.NewTimer(0)
	defer look.Stop()
	stopped := ctx.Done()
	for stopped != nil || len(active) > 0 {
		select {
		case key := <-ended:
			active[key]()
			delete(active, key)
		case <-look.C:
			if ctx.Err() == nil {
				g.look(ctx, hard, active, ended)
				look.Reset(g.Options.Poll)
			}
		case <-stopped:
			stopped = nil // its runners' contexts have ended with this one
		}
	}
}

// look starts runners for new webhooks and stops those of deleted ones.
func (g *Registry) look(ctx, hard context.Context, active map[string]context.CancelFunc, ended chan<- string) {
	keys, err := g.Bucket.Keys(ctx, "def")
	if err != nil {
		if ctx.Err() == nil {
			g.Log.Warn("cannot list the webhooks, will try again", "error", err)
		}
		return
	}
	there := map[string]bool{}
	for _, key := range keys {
		there[key] = true
		a, ok := addressOf(key)
		if !ok || active[key] != nil {
			continue
		}
		one, cancel := context.WithCancel(ctx)
		active[key] = cancel
		go func() {
			err := g.deliver(one, hard, a)
			if err != nil && !errors.Is(err, errSuperseded) && one.Err() == nil {
				g.Log.Warn("a webhook stands still, will try again", "webhook", a.Source, "error", err)
				wait(one, g.Options.Lease)
			}
			ended <- key
		}()
	}
	for key, cancel := range active {
		if !there[key] {
			cancel()
		}
	}
}

// addressOf returns the address of a webhook from the key of its definition.
func addressOf(key string) (event.Address, bool) {
	tokens, ok := strings.CutPrefix(key, "def.")
	a, _, err := event.ParseAddress("def", "def."+tokens+".webhook")
	return a, ok && err == nil
}

// lease is the right to deliver. A process takes it from a holder whose revision
// has not changed for the lease's whole duration, by the process's own clock.
type lease struct {
	bucket   kv.Store
	holder   string
	time     time.Duration
	revision uint64
}

// acquire waits until this process has the lease. It returns ctx's error if ctx
// is done first.
func (l *lease) acquire(ctx context.Context) error {
	var seen uint64
	var since time.Time
	for {
		entry, err := l.bucket.Get(ctx, leaseKey)
		switch {
		case errors.Is(err, kv.ErrKeyNotFound):
			l.revision, err = l.bucket.Create(ctx, leaseKey, []byte(l.holder), 0)
			if err == nil {
				return nil
			}
		case err != nil:
			return err
		case len(entry.Value) == 0, entry.Revision == seen && time.Since(since) >= l.time:
			l.revision, err = l.bucket.Update(ctx, leaseKey, []byte(l.holder), entry.Revision)
			if err == nil {
				return nil
			}
		case entry.Revision != seen:
			seen, since = entry.Revision, time.Now()
		}
		if err != nil && !errors.Is(err, kv.ErrConflict) && !errors.Is(err, kv.ErrKeyExists) {
			return err
		}
		if !wait(ctx, l.time/10) {
			return ctx.Err()
		}
	}
}

// keep renews the lease until ctx is done. It returns an error if the lease is
// lost, or could not be renewed before another process may take it.
func (l *lease) keep(ctx context.Context) error {
	renewed := time.Now()
	for wait(ctx, l.time/3) {
		begun := time.Now()
		try, cancel := context.WithDeadline(ctx, renewed.Add(l.time*2/3))
		revision, err := l.bucket.Update(try, leaseKey, []byte(l.holder), l.revision)
		cancel()
		switch {
		case err == nil:
			l.revision, renewed = revision, begun
		case ctx.Err() != nil:
			return nil
		default:
			return fmt.Errorf("the lease was not renewed: %w", err)
		}
	}
	return nil
}

// free releases the lease at once. If that fails, the next holder waits for its
// end.
func (l *lease) free(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, _ = l.bucket.Update(ctx, leaseKey, nil, l.revision)
}

// wait sleeps for d. It returns false as soon as ctx is done.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
