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
	r := &removing{h: h, j: j, c: c}
	_, err := j.advanceKnown(ctx, r.next)
	if err == nil && r.held {
		// What reads the log has been told to end: nobody holds it any more.
		if err = r.letGo(ctx); err == nil {
			_, err = j.advanceKnown(ctx, r.next)
		}
	}
	if err != nil {
		return err
	}
	if !r.purges {
		return j.releaseLater(ctx)
	}
	j.h.connectors.Forget(j.address.Tokens())
	return j.destroyPurged(ctx)
}

// removing is one removal under way.
type removing struct {
	h        *Handlers
	j        *job
	c        *command.RemoveSource
	purges   bool
	held     bool // its server keeps a log for it, and was not asked to let go
	asked    bool
	released bool
	notes    []string
}

func (r *removing) letGo(ctx context.Context) (err error) {
	v, err := r.j.load(ctx)
	if err != nil {
		return err
	}
	r.asked = true
	r.released, r.notes, err = r.j.letGo(ctx, v, r.c.Purge || r.h.options.Keep <= 0)
	return err
}

func (r *removing) next(v view) (move, error) {
	j, c := r.j, r.c
	purges := c.Purge || r.h.options.Keep <= 0
	r.held, r.purges = false, v.Removal != nil && (v.Removal.Purged || c.Purge)
	switch {
	case v.ended:
		return move{}, nil
	case v.restorable() && c.Purge:
		if m, wait := r.log(v, true); wait || m.data != nil {
			return m, nil
		}
		return purged(j, v), nil
	case v.Removal != nil && v.Removal.Purged && !v.Removal.Destroyed:
		return move{}, nil // what is left of it is destroyed, and then told
	case missing(v) != nil:
		reason, message := outcome.Explain(missing(v))
		return j.rejected(reason, message), nil
	case v.Running != nil:
		return cancelled(j, v.Running.SyncID, v.Running.Operation, event.ReasonSourceRemoved, "the source was removed"), nil
	}
	if m, wait := r.log(v, purges); wait || m.data != nil {
		return m, nil
	}
	removed := &event.SourceRemoved{Meta: j.meta(!purges), Name: v.Name, Purged: purges, Notes: r.notes}
	if !purges {
		after := time.Now().Add(r.h.options.Keep).UTC()
		removed.DestroyedAfter = &after
	}
	r.purges = removed.Purged
	return move{data: removed}, nil
}

// log returns the event that tells what became of the log that a source's server
// keeps for it, once that was asked to let go; wait says that it is to be first.
func (r *removing) log(v view, purges bool) (m move, wait bool) {
	switch {
	case v.Changes.Position == "":
		return move{}, false
	case !r.asked:
		r.held = true
		return move{}, true
	case purges && len(r.notes) > 0:
		return r.j.givenUp(v, r.released, r.notes[0]), false
	case purges:
		return r.j.givenUp(v, true, purgedLog(r.j, v.Connector, nil)), false
	case r.released:
		return r.j.givenUp(v, true, rereads), false
	}
	return move{}, false
}
