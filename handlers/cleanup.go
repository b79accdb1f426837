package handlers

import (
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
)

// remove ends a source: a running sync first, then its history, then its keys
// and what it landed. The last two come after the event, so that a source whose
// data is gone is never shown as connected; a worker that dies between is
// followed by one that finds the source removed and finishes.
//
// No grace period is kept: the keys are destroyed at once, whether the command
// asks to purge or not, and the event says so.
func (h *Handlers) remove(ctx context.Context, j *job, _ *command.RemoveSource) error {
	removed := false
	_, err := j.advance(ctx, func(v view) (move, error) {
		removed = v.done
		switch {
		case v.ended:
			return move{}, nil
		case missing(v) != nil:
			reason, message := explain(missing(v))
			return j.rejected(reason, message), nil
		case v.Running != nil:
			return cancelled(j, v.Running.SyncID, v.Running.Operation, event.ReasonSourceRemoved, "the source was removed"), nil
		}
		removed = true
		return move{data: &event.SourceRemoved{Meta: j.meta(true), Name: v.Name, Purged: true}}, nil
	})
	if err != nil || !removed {
		return err
	}
	if err := h.vault.Destroy(ctx, j.address); err != nil {
		return fmt.Errorf("destroy the keys of a removed source: %w", err)
	}
	h.seam("destroyed")
	if err := h.lake.Drop(ctx, j.address); err != nil {
		return fmt.Errorf("drop the tables of a removed source: %w", err)
	}
	return nil
}
