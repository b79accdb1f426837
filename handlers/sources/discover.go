package sources

import (
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/schema"
)

// Discover reads a source's schema again. The final SchemaDiscovered is a new
// version with its diff, or, when nothing changed, the current version once more
// with an empty diff: readers that keep versions by number lose nothing by it,
// and the caller learns that the schema was looked at just now.
func (s *Sources) Discover(ctx context.Context, j *history.Job, _ *command.DiscoverSchema) error {
	v, err := j.Load(ctx)
	if err != nil || v.Ended {
		return err
	}
	var found schema.Found
	why := v.Missing()
	if why == nil {
		found, why, err = s.Inspector.InspectCurrent(ctx, j, v)
		if err != nil {
			return err
		}
	}
	_, err = j.Advance(ctx, func(v history.View) (history.Move, error) {
		if v.Ended {
			return history.Move{}, nil
		}
		if gone := v.Missing(); gone != nil {
			why = gone
		}
		if why != nil {
			return j.RejectedFor(why), nil
		}
		m, err := inspect.NewSchema(j, true, "discover", "", found)
		if err != nil || m.Data != nil {
			return m, err
		}
		current, err := j.State.Schema(j.Address)
		if err != nil {
			return history.Move{}, fmt.Errorf("read the schema: %w", err)
		}
		tables, left := found.Schema(current.Tables)
		return history.Move{Data: &event.SchemaDiscovered{
			Meta: j.Meta(true), Version: current.Version, Cause: "discover", Tables: tables, LeftOut: left,
		}}, nil
	})
	return err
}
