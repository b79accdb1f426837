package syncing

import (
	"context"
	"slices"

	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/landing"
	"headwater/handlers/schema"
	"headwater/handlers/sourcelog"
)

// leaveLog releases the log once no table follows it any more, because the last syncs
// read them by other modes, or because a sync of mode cdc has ended before it told of one: another sync of mode cdc would read them whole and start a new
// log. A failure goes to the log, and each later sync tries again.
func (a *attempt) leaveLog(ctx context.Context) error {
	v, err := a.j.Load(ctx)
	untold := v.Changes.Position == "" // no table can go on in such a log
	if err != nil || untold && (!v.MayKeep() || v.Captures()) {
		return err
	}
	if follows, err := a.followed(); err != nil || follows && !untold {
		return err
	}
	if err := a.h.Logs.Release(ctx, a.j, v); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.j.Log.Warn("a log of changes that no table follows any more could not be released and will be tried again", "error", err)
		return nil
	}
	a.changes = nil
	return a.journal.decide(ctx, func(now history.View) (history.Move, error) {
		if now.Moved != v.Moved || now.Changes.Position != v.Changes.Position || !now.MayKeep() {
			return history.Move{}, nil // it was the log of a server that the source has left
		}
		return history.Move{Discriminator: v.Changes.Position, Data: &event.ChangesGivenUp{
			Meta: a.j.Meta(false), SyncID: a.id, Reader: sourcelog.ReaderOf(a.j.Address), Position: v.Changes.Position, Released: true, Reason: event.ReasonConflict,
			Message: "no table follows the log any more, as syncs read them whole or by another mode: the source's server keeps it no more, and the next sync of mode cdc reads the tables whole",
		}}, nil
	})
}

// followed reports whether a table that the source offers follows its log. What this sync
// has landed need not be in the history before it ends.
func (a *attempt) followed() (bool, error) {
	if slices.ContainsFunc(a.tables, func(t *tableRun) bool { return t.follow != nil && t.follow.aside.IsZero() }) {
		return true, nil
	}
	landed, err := a.j.State.Landed(a.j.Address)
	if err != nil {
		return false, err
	}
	gone := map[string]bool{}
	for _, t := range a.lost {
		gone[schema.Name(t.Namespace, t.Name)] = true
	}
	for _, t := range landed {
		if t.Mode == landing.Changes && !t.SetAside && !gone[schema.Name(t.Namespace, t.Name)] {
			return true, nil
		}
	}
	return false, nil
}
