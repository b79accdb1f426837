// Package removal removes sources, restores them within their grace period, and destroys
// their keys and tables after it.
package removal

import (
	"context"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/sourcelog"
)

// Remove takes a source away: it ends a running sync first, then the source.
// Its keys and what it landed are kept for the grace period, sealed and hidden,
// and destroyed after it by purge; at once where there is none or the command
// says so. A source that is kept is purged by a command that does.
func (r *Removals) Remove(ctx context.Context, j *history.Job, c *command.RemoveSource) error {
	one := &removing{of: r, j: j, c: c}
	_, err := j.AdvanceKnown(ctx, one.next)
	if err == nil && one.held {
		// What reads the log has been told to end: nobody holds it any more.
		if err = one.letGo(ctx); err == nil {
			_, err = j.AdvanceKnown(ctx, one.next)
		}
	}
	if err != nil {
		return err
	}
	if !one.purges {
		return r.Logs.ReleaseLater(ctx, j)
	}
	r.Inspector.Forget(j)
	return r.DestroyPurged(ctx, j)
}

// removing is one removal under way.
type removing struct {
	of       *Removals
	j        *history.Job
	c        *command.RemoveSource
	purges   bool
	held     bool // a server keeps a log for it, or may, and was not asked to let go
	cut      bool // a sync was ended that may have taken up a log of which the history does not know
	asked    bool
	released bool
	notes    []string
}

func (r *removing) letGo(ctx context.Context) (err error) {
	v, err := r.j.Load(ctx)
	if err != nil {
		return err
	}
	r.asked = true
	if _, err := r.of.Logs.Leave(ctx, r.j, 0); err != nil {
		return err
	}
	if v.Changes.Position != "" {
		r.released, r.notes, err = r.of.Logs.ReleaseRemoved(ctx, r.j, v, r.c.Purge || r.of.Keep <= 0)
	} else if r.cut {
		r.notes, err = r.of.Logs.ReleaseUnsaid(ctx, r.j, v)
	}
	return err
}

func (r *removing) next(v history.View) (history.Move, error) {
	j, c := r.j, r.c
	purges := c.Purge || r.of.Keep <= 0
	r.held, r.purges = false, v.Removal != nil && (v.Removal.Purged || c.Purge)
	switch {
	case v.Ended:
		return history.Move{}, nil
	case v.Restorable() && c.Purge:
		if m, wait := r.log(v, true); wait || m.Data != nil {
			return m, nil
		}
		return purged(j, v), nil
	case v.Removal != nil && v.Removal.Purged && !v.Removal.Destroyed:
		return history.Move{}, nil // what is left of it is destroyed, and then told
	case v.Missing() != nil:
		return j.RejectedFor(v.Missing()), nil
	case v.Running != nil:
		r.cut = r.cut || v.Captures()
		return j.Cancelled(v.Running.SyncID, v.Running.Operation, event.ReasonSourceRemoved, "the source was removed"), nil
	}
	if m, wait := r.log(v, purges); wait || m.Data != nil {
		return m, nil
	}
	removed := &event.SourceRemoved{Meta: j.Meta(!purges), Name: v.Name, Purged: purges, Notes: r.notes}
	if !purges {
		after := time.Now().Add(r.of.Keep).UTC()
		removed.DestroyedAfter = &after
	}
	r.purges = removed.Purged
	return history.Move{Data: removed}, nil
}

// log returns the event that tells what became of the log that a source's server
// keeps for it, once that was asked to let go; wait says that it is to be first.
func (r *removing) log(v history.View, purges bool) (m history.Move, wait bool) {
	none := v.Changes.Position == ""
	switch {
	case none && (r.asked || !r.cut && len(v.Left) == 0):
		return history.Move{}, false
	case !r.asked:
		r.held = true
		return history.Move{}, true
	case purges && len(r.notes) > 0:
		return sourcelog.GivenUp(r.j, v, r.released, r.notes[0]), false
	case purges:
		return sourcelog.GivenUp(r.j, v, true, r.of.Logs.PurgedLog(r.j, v.Connector, nil)), false
	case r.released:
		return sourcelog.GivenUp(r.j, v, true, sourcelog.Rereads), false
	}
	return history.Move{}, false
}
