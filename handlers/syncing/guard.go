package syncing

import (
	"context"
	"errors"
	"time"

	"headwater/connectors/driver"
)

// loading is what the message about a given up log adds while tables are read whole.
const loading = ", while tables were read whole; raise sync_options.lag_limit_bytes for the first read"

// guard watches how much of its log the source keeps while tables are read whole, which
// may take hours: nothing is confirmed meanwhile, so the log grows. It asks every
// HeartbeatEvery, applies the same bounds as while changes are read, and ends the work, by
// stop, if the log is gone. The caller calls end, which waits for its goroutine.
func (f *follower) guard(work context.Context, stop context.CancelCauseFunc) (end func()) {
	if f.log == nil || len(f.tables) == 0 || f.at.position() == "" {
		return func() {}
	}
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(f.h.Options.HeartbeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-enough:
				return
			case <-work.Done():
				return
			case <-tick.C:
			}
			if err := f.look(work); err != nil {
				if work.Err() == nil {
					stop(err)
				}
				return
			}
		}
	}()
	return func() {
		close(enough)
		<-ended
	}
}

// look asks the source once. Only bytes that it retains for this reader count: a server
// that keeps its log for nobody in particular does not fill its disk because of it.
func (f *follower) look(work context.Context) error {
	s, err := f.log.Standing(work)
	switch {
	case errors.Is(err, driver.ErrReplaced):
		return f.gone(err)
	case err != nil: // whoever reads a table finds out
		f.j.Log.Debug("the log of changes could not be asked how it stands", "error", err)
		return nil
	}
	f.at.keeps(s)
	if s.Retained >= 0 {
		if err := f.bounds(s.Retained, loading); err != nil {
			return err
		}
	}
	return f.at.tell(f, false)
}
