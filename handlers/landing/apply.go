package landing

import (
	"context"
	"slices"

	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/manifest"
	"headwater/handlers/landing/syncstate"
)

// changeBy is change for the changes of a log.
func (w *Writer) changeBy(ctx context.Context, at kvcatalog.Loaded, made *manifest.Draft) (c change, err error) {
	apply, truncated, dropped := w.pendingChanges()
	c.replaces, c.dropped = truncated, dropped
	for _, b := range w.follow.batches {
		c.deleted += rowsIn(b.gone)
	}
	c.other = c.deleted
	if len(apply) == 0 && !truncated {
		return c, nil
	}
	if w.target.Log {
		for _, b := range apply {
			c.add = append(c.add, b.rows...)
		}
		return c, nil
	}
	live, deletes, err := manifest.DataFiles(made, at.Meta.CurrentSnapshot())
	if err != nil {
		return c, err
	}
	k := &keeping{w: w, made: made, live: live, deletes: deletes}
	if truncated {
		c.old, c.deletes = live, deletes
		k.live, k.deletes = nil, nil
		if w.target.Soft {
			rows, err := w.allDeleted(ctx, made, live, deletes)
			if err != nil {
				return c, err
			}
			apply = slices.Concat([]batch{{rows: rows}}, apply)
		}
	}
	var pending []incoming
	for _, b := range apply {
		if len(b.Kept) > 0 {
			whole, err := k.whole(ctx, b)
			if err != nil {
				return c, err
			}
			b.rows = slices.Concat(b.rows, whole)
		}
		k.before = append(k.before, b)
		pending = append(pending, b.incoming()...)
		c.add = append(c.add, b.rows...)
		for _, f := range b.gone {
			c.dropped = append(c.dropped, f.FilePath())
		}
		for _, p := range b.Kept {
			c.dropped = append(c.dropped, p.Name)
		}
	}
	if len(k.live) == 0 && len(apply) == 1 {
		return c, nil // one batch has a key once
	}
	was, err := syncstate.Of(at.Meta)
	if err != nil {
		return c, err
	}
	c.doomed, _, err = w.doomedRows(ctx, pending, k.live, k.deletes, w.mayHoldVersions(was) && !truncated)
	return c, err
}

// place says in the state to commit how far in the source's log the table is.
func (w *Writer) place(now *syncstate.State) {
	switch {
	case w.target.Mode == Changes:
		now.Position, now.Followed = w.follow.position, w.target.followed()
		if !w.follow.at.IsZero() {
			at := w.follow.at.UTC()
			now.PositionAt = &at
		}
	case w.target.Position != "":
		now.Position, now.Followed = w.target.Position, w.target.followed()
	}
}
