package handlers

import (
	"context"
	"errors"
	"time"

	"headwater/connectors/driver"
)

// loading is what a log that is given up while tables are read whole leads on to.
const loading = ", while tables were read whole; raise sync_options.lag_limit_bytes for the first read"

// guard looks at what the source keeps of its log while tables are read whole, which
// may take hours: nothing is confirmed meanwhile, and the log is kept from where it
// was taken up. It tells of it and bounds it as while changes are read, and ends a
// reading whose changes are not to be had any more. The returned function ends it.
func (f *follower) guard(work context.Context) (end func()) {
	if f.log == nil || len(f.tables) == 0 || f.at.position() == "" {
		return func() {}
	}
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(f.h.options.HeartbeatEvery)
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
					f.stop(err)
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

// look asks the source once. What a server keeps for nobody in particular fills no
// disk by the reader's fault, so only what it retains counts.
func (f *follower) look(work context.Context) error {
	s, err := f.log.Standing(work)
	switch {
	case errors.Is(err, driver.ErrReplaced):
		return f.gone(err)
	case err != nil: // whoever reads a table finds out
		f.j.log.Debug("the log of changes could not be asked how it stands", "error", err)
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
