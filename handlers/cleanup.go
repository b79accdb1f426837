package handlers

import (
	"context"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/outcome"
)

// remove takes a source away: it ends a running sync first, then the source.
// Its keys and what it landed are kept for the grace period, sealed and hidden,
// and destroyed after it by purge; at once where there is none or the command
// says so. A source that is kept is purged by a command that does.
func (h *Handlers) remove(ctx context.Context, j *job, c *command.RemoveSource) error {
	purges := false
	_, err := j.advanceKnown(ctx, func(v view) (move, error) {
		purges = v.Removal != nil && (v.Removal.Purged || c.Purge)
		switch {
		case v.ended:
			return move{}, nil
		case v.restorable() && c.Purge:
			return purged(j, v), nil
		case v.Removal != nil && v.Removal.Purged && !v.Removal.Destroyed:
			return move{}, nil // what is left of it is destroyed, and then told
		case missing(v) != nil:
			reason, message := outcome.Explain(missing(v))
			return j.rejected(reason, message), nil
		case v.Running != nil:
			return cancelled(j, v.Running.SyncID, v.Running.Operation, event.ReasonSourceRemoved, "the source was removed"), nil
		}
		purged := c.Purge || h.options.Keep <= 0
		removed := &event.SourceRemoved{Meta: j.meta(!purged), Name: v.Name, Purged: purged}
		if !purged {
			after := time.Now().Add(h.options.Keep).UTC()
			removed.DestroyedAfter = &after
		}
		purges = removed.Purged
		return move{data: removed}, nil
	})
	if err != nil || !purges {
		return err
	}
	j.h.connectors.Forget(j.address.Tokens())
	return j.destroyPurged(ctx)
}
