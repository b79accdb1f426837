package handlers

import (
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/outcome"
)

// rename gives a source another name, as a new version of its configuration.
// Nothing is asked of the source, which may be down, and nothing moves: keys and
// tables lie under the source's id.
func (h *Handlers) rename(ctx context.Context, j *job, c *command.RenameSource) error {
	_, err := j.advanceKnown(ctx, func(v view) (move, error) {
		if v.ended {
			return move{}, nil
		}
		if gone := missing(v); gone != nil {
			reason, message := outcome.Explain(gone)
			return j.rejected(reason, message), nil
		}
		renamed := &event.SourceConnected{
			Meta: j.meta(true), Name: c.Name, Type: v.Type, Connector: v.Connector, ConfigVersion: v.ConfigVersion,
			Config: v.Config, SecretRef: v.SecretRef, Metadata: v.Metadata, Sync: v.Sync, Unchanged: v.Name == c.Name,
		}
		if renamed.Unchanged {
			return move{data: renamed}, nil
		}
		id, err := j.holder(c.Name)
		if err != nil {
			return move{}, err
		}
		if id != "" {
			return j.rejected(event.ReasonConflict, fmt.Sprintf("%q is the name of another source (%s); choose another name, or remove that one first", c.Name, id)), nil
		}
		renamed.ConfigVersion++
		return move{data: renamed}, nil
	})
	return err
}
