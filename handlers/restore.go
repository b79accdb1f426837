package handlers

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/outcome"
)

// restore brings a removed source back as it was. Nothing has to be copied:
// keys, schema and tables were kept, and the one event makes them reachable
// again. It is refused once the grace period has passed, also before purge has
// come to the source; of the two events, the history takes one.
func (h *Handlers) restore(ctx context.Context, j *job, c *command.RestoreSource) error {
	_, err := j.advanceKnown(ctx, func(v view) (move, error) {
		if v.ended {
			return move{}, nil
		}
		name := cmp.Or(c.Name, v.Name)
		restored := &event.SourceRestored{
			Meta: j.meta(true), Name: name, Type: v.Type, Connector: v.Connector, ConfigVersion: v.ConfigVersion, SchemaVersion: v.SchemaVersion,
		}
		if v.Connected {
			if name != v.Name {
				return j.rejected(event.ReasonConflict, fmt.Sprintf("%q is not removed; rename it", v.Name)), nil
			}
			restored.Unchanged = true
			return move{data: restored}, nil
		}
		why, err := j.unrestorable(v, name)
		if err != nil {
			return move{}, err
		}
		if why != nil {
			return j.rejected(why.Reason, why.Message), nil
		}
		restored.Removed = v.Removal.Sequence
		if log := v.Changes; log.Position == "" && log.Message != "" {
			restored.Notes = []string{"its log of changes was given up: the next sync of mode cdc reads the tables whole"}
		}
		return move{data: restored}, nil
	})
	return err
}

// unrestorable returns why a source that is not there cannot be restored under
// a name, nil if it can.
func (j *job) unrestorable(v view, name string) (*outcome.Failure, error) {
	switch {
	case v.Removal == nil:
		return outcome.Failf(event.ReasonSourceRemoved, "the source was never connected"), nil
	case v.Removal.Purged:
		return outcome.Failf(event.ReasonPurged, "%q is destroyed; connect it again", v.Name), nil
	case !time.Now().Before(v.Removal.DestroyedAfter):
		return outcome.Failf(event.ReasonPurged, "the time to restore %q ended at %s; connect it again", v.Name, v.Removal.DestroyedAfter.Format(time.RFC3339)), nil
	}
	id, err := j.holder(name)
	if err != nil || id == "" {
		return nil, err
	}
	return outcome.Failf(event.ReasonConflict, "%q is the name of another source now (%s); remove that one first, or give this one another name with names", name, id), nil
}

// holder returns the id of the source that has a name, "" for none.
func (j *job) holder(name string) (string, error) {
	id, err := j.h.state.SourceID(j.address.Organization, j.address.Workspace, j.address.Owner, name)
	if err != nil {
		return "", fmt.Errorf("read the name's state: %w", err)
	}
	holder := j.address
	holder.Source = id
	other, err := j.h.state.Source(holder)
	if err != nil {
		return "", fmt.Errorf("read who has the name: %w", err)
	}
	if !other.Connected {
		return "", nil
	}
	return id, nil
}
