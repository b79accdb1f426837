package syncing

import (
	"fmt"
	"time"

	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/outcome"
)

// GivenUp ends the command's own sync with SyncFailed; where another runs, or
// the source is gone, there is only a command to reject.
func GivenUp(j *history.Job, v history.View, why *outcome.Failure) (history.Move, error) {
	id := history.SyncOf(j.Data)
	sync, err := j.State.Sync(j.Address, id)
	if err != nil {
		return history.Move{}, fmt.Errorf("read the sync's state: %w", err)
	}
	if sync.Ended {
		return history.Move{}, nil
	}
	if v.Running != nil && v.Running.SyncID != id || !v.Connected {
		return j.Rejected(why.Reason, why.Message), nil
	}
	failed := &event.SyncFailed{Meta: j.Meta(true), SyncID: id, Reason: why.Reason, Message: why.Message, Tables: []event.TableResult{}}
	if !sync.Started.IsZero() {
		failed.DurationMS = time.Since(sync.Started).Milliseconds()
	}
	return history.Move{Data: failed}, nil
}
