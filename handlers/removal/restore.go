package removal

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/outcome"
)

// Restore brings a removed source back as it was. Nothing has to be copied:
// keys, schema and tables were kept, and the one event makes them reachable
// again. It is refused once the grace period has passed, also before purge has
// come to the source; of the two events, the history takes one.
func (r *Removals) Restore(ctx context.Context, j *history.Job, c *command.RestoreSource) error {
	_, err := j.AdvanceKnown(ctx, func(v history.View) (history.Move, error) {
		if v.Ended {
			return history.Move{}, nil
		}
		name := cmp.Or(c.Name, v.Name)
		restored := &event.SourceRestored{
			Meta: j.Meta(true), Name: name, Type: v.Type, Connector: v.Connector, ConfigVersion: v.ConfigVersion, SchemaVersion: v.SchemaVersion,
		}
		if v.Connected {
			if name != v.Name {
				return j.Rejected(event.ReasonConflict, fmt.Sprintf("%q is not removed; rename it", v.Name)), nil
			}
			restored.Unchanged = true
			return history.Move{Data: restored}, nil
		}
		why, err := unrestorable(j, v, name)
		if err != nil {
			return history.Move{}, err
		}
		if why != nil {
			return j.Rejected(why.Reason, why.Message), nil
		}
		restored.Removed = v.Removal.Sequence
		if log := v.Changes; log.Position == "" && log.Message != "" {
			restored.Notes = []string{"its log of changes was given up: the next sync of mode cdc reads the tables whole"}
		}
		return history.Move{Data: restored}, nil
	})
	return err
}

// unrestorable returns why a source that is not there cannot be restored under
// a name, nil if it can.
func unrestorable(j *history.Job, v history.View, name string) (*outcome.Failure, error) {
	switch {
	case v.Removal == nil:
		return outcome.Failf(event.ReasonSourceRemoved, "the source was never connected"), nil
	case v.Removal.Purged:
		return outcome.Failf(event.ReasonPurged, "%q is destroyed; connect it again", v.Name), nil
	case !time.Now().Before(v.Removal.DestroyedAfter):
		return outcome.Failf(event.ReasonPurged, "the time to restore %q ended at %s; connect it again", v.Name, v.Removal.DestroyedAfter.Format(time.RFC3339)), nil
	}
	id, err := j.Holder(name)
	if err != nil || id == "" {
		return nil, err
	}
	return outcome.Failf(event.ReasonConflict, "%q is the name of another source now (%s); remove that one first, or give this one another name with names", name, id), nil
}
