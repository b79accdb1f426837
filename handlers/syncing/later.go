package syncing

import (
	"context"
	"time"

	"headwater/handlers/inspect"
)

// later looks every AsideEvery, in a continuous sync, for tables that its source has by now,
// as no log tells of a table that is not followed. The next tick ends the round for them. The
// caller calls end, which waits for its goroutine.
func (f *follower) later(ctx context.Context) (end func()) {
	f.grown.Store(false)
	if f.follows == 0 {
		return func() {}
	}
	here := map[string]bool{}
	for _, t := range f.attempt.tables {
		here[t.table.String()] = true
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(f.h.Options.AsideEvery)
		defer tick.Stop()
		for !f.grown.Load() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := f.seekLater(ctx, here); err != nil && ctx.Err() == nil {
				f.j.Log.Debug("the source could not be asked for new tables", "error", err)
			}
		}
	}()
	return func() {
		stop()
		<-ended
	}
}

// seekLater looks once, over a session of its own because the sync's reads the log.
func (f *follower) seekLater(ctx context.Context, here map[string]bool) error {
	conn, err := f.h.Inspector.OpenCurrent(ctx, f.j, f.source, limitsOf(f.options))
	if err != nil {
		return err
	}
	defer inspect.Close(f.j, conn)
	found, err := f.h.Inspector.Discover(ctx, f.j, conn)
	if err != nil {
		return err
	}
	for _, t := range found.Tables {
		if name := t.String(); !here[name] && f.choice.Takes(t.Namespace, t.Name) {
			f.grown.Store(true)
			f.j.Log.Debug("the source has another table", "table", name)
		}
	}
	return nil
}
