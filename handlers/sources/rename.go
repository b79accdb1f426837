package sources

import (
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
)

// Rename gives a source another name, as a new version of its configuration.
// Nothing is asked of the source, which may be down, and nothing moves: keys and
// tables lie under the source's id.
func (s *Sources) Rename(ctx context.Context, j *history.Job, c *command.RenameSource) error {
	_, err := j.AdvanceKnown(ctx, func(v history.View) (history.Move, error) {
		if v.Ended {
			return history.Move{}, nil
		}
		if gone := v.Missing(); gone != nil {
			return j.RejectedFor(gone), nil
		}
		renamed := &event.SourceConnected{
			Meta: j.Meta(true), Name: c.Name, Type: v.Type, Connector: v.Connector, ConfigVersion: v.ConfigVersion,
			Config: v.Config, SecretRef: v.SecretRef, Metadata: v.Metadata, Sync: v.Sync, Unchanged: v.Name == c.Name,
		}
		if renamed.Unchanged {
			return history.Move{Data: renamed}, nil
		}
		id, err := j.Holder(c.Name)
		if err != nil {
			return history.Move{}, err
		}
		if id != "" {
			return j.Rejected(event.ReasonConflict, fmt.Sprintf("%q is the name of another source (%s); choose another name, or remove that one first", c.Name, id)), nil
		}
		renamed.ConfigVersion++
		return history.Move{Data: renamed}, nil
	})
	return err
}
