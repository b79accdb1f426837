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
	for {
		if _, err := j.AdvanceKnown(ctx, one.next); err != nil {
			return err
		}
		if !one.held {
			break
		}
		// What reads the log has been told to end: nobody holds it any more.
		if err := one.letGo(ctx); err != nil {
			return err
		}
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
	asked    *asked
	released bool
	failed   error // why it is not released
	notes    []string
}

// asked is what a source's servers were asked to let go of: what was taken up, and left, up to
// some events. A sync that has begun since may have taken the log up again.
type asked struct{ taken, moved uint64 }

func askedOf(v history.View) asked {
	a := asked{moved: v.Moved}
	if v.Taken != nil {
		a.taken = v.Taken.Sequence
	}
	return a
}

// letGo has the servers let the source's log go. It asks nothing while another sync that may
// read it has begun: that one is ended first.
func (r *removing) letGo(ctx context.Context) (err error) {
	v, err := r.j.Load(ctx)
	if err != nil || v.Running != nil && v.Connected {
		return err
	}
	of := askedOf(v)
	if _, err := r.of.Logs.Leave(ctx, r.j, 0); err != nil {
		return err
	}
	r.released, r.failed, r.notes = false, nil, nil
	if v.MayKeep() {
		if r.failed = r.of.Logs.Release(ctx, r.j, v); ctx.Err() != nil {
			return ctx.Err()
		}
		r.released, r.notes = r.failed == nil, r.of.Logs.Removed(r.j, v, r.c.Purge || r.of.Keep <= 0, r.failed)
	}
	r.asked = &of
	return nil
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
	switch {
	case !v.MayKeep() && len(v.Left) == 0:
		return history.Move{}, false
	case r.asked == nil || *r.asked != askedOf(v):
		r.held = true
		return history.Move{}, true
	case !v.MayKeep():
		return history.Move{}, false
	case !purges && r.released:
		return sourcelog.GivenUp(r.j, v, true, sourcelog.Rereads), false
	case purges && v.Changes.Position != "":
		return sourcelog.GivenUp(r.j, v, r.released, r.of.Logs.PurgedLog(r.j, v, r.failed)), false
	}
	return history.Move{}, false
}
