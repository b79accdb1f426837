package history

import (
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/outcome"
)

// Rejected returns the CommandRejected that ends the job's target.
func (j *Job) Rejected(reason event.Reason, message string) Move {
	return Move{Data: &event.CommandRejected{Meta: j.Meta(true), Command: j.Name, Reason: reason, Message: message}}
}

// RejectedFor returns the CommandRejected that says why.
func (j *Job) RejectedFor(why error) Move { return j.Rejected(outcome.Explain(why)) }

// Reject ends the job's target for a reason that its verb found before it began,
// unless it has ended. The error is one to try the command again for.
func (j *Job) Reject(ctx context.Context, why error) error {
	_, err := j.Advance(ctx, func(v View) (Move, error) {
		if v.Ended {
			return Move{}, nil
		}
		return j.RejectedFor(why), nil
	})
	return err
}

// Cancelled returns the event that ends a sync on behalf of its own operation.
func (j *Job) Cancelled(syncID string, op event.Operation, reason event.Reason, message string) Move {
	op.Final = true
	return Move{Discriminator: syncID, Data: &event.SyncCancelled{
		Meta: event.At(j.Address, op), SyncID: syncID, Reason: reason, By: j.Operation.Actor, Message: message,
	}}
}

// Missing returns why there is no source to work with, nil if there is one.
func (v View) Missing() error {
	if v.Connected {
		return nil
	}
	// Who asked saw it there.
	return outcome.Failf(event.ReasonSourceRemoved, "the source is not there any more")
}

// Holder returns the id of the source that has a name, "" for none.
func (j *Job) Holder(name string) (string, error) {
	id, err := j.State.SourceID(j.Address.Organization, j.Address.Workspace, j.Address.Owner, name)
	if err != nil {
		return "", fmt.Errorf("read the name's state: %w", err)
	}
	holder := j.Address
	holder.Source = id
	other, err := j.State.Source(holder)
	if err != nil {
		return "", fmt.Errorf("read who has the name: %w", err)
	}
	if !other.Connected {
		return "", nil
	}
	return id, nil
}

// SyncOf returns the id of the sync that a command asks for, "" for none.
func SyncOf(d command.Data) string {
	switch c := d.(type) {
	case *command.SyncSource:
		return c.SyncID
	case *command.FollowSource:
		return c.SyncID
	}
	return ""
}
