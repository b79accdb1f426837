package handlers

import (
	"cmp"
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
)

// cancel ends what another operation is doing to this source, whether it runs
// or is still queued: it writes the outcome into the history, where the worker
// that does it finds it. Whatever has its outcome already is left alone, so a
// cancel that is handed out again does nothing.
//
// A target that waits for a sync of another operation ends; that sync goes on. The
// cancel itself has no outcome of its own: its caller waits for the cancelled operation
// to end.
func (h *Handlers) cancel(ctx context.Context, j *history.Job, c *command.CancelOperation) error {
	if err := awaitAccepted(ctx, j, c.Cancels); err != nil {
		return err
	}
	_, err := j.Advance(ctx, func(v history.View) (history.Move, error) {
		op, err := j.State.Operation(j.Address, c.Cancels)
		if err != nil {
			return history.Move{}, fmt.Errorf("read the operation's state: %w", err)
		}
		if v.Running != nil && v.Running.Operation.ID == c.Cancels {
			return j.Cancelled(v.Running.SyncID, v.Running.Operation, event.ReasonCancelled, "the sync was cancelled"), nil
		}
		target, ok := op.TargetOf(j.Address.Source, c.SyncID)
		if !ok || target.Ended {
			return history.Move{}, nil
		}
		whole := event.Operation{ID: c.Cancels, Kind: op.Kind, Targets: op.Total, Target: target.Index, Actor: op.Actor}
		id := cmp.Or(c.SyncID, target.SyncID)
		if op.Kind == event.KindSync && id != "" && !target.Attached {
			return j.Cancelled(id, whole, event.ReasonCancelled, "the sync was cancelled before it began"), nil
		}
		whole.Final = true
		return history.Move{Discriminator: c.Cancels, Stop: true, Data: &event.CommandRejected{
			Meta: event.At(j.Address, whole), Command: command.ForKind(op.Kind), Reason: event.ReasonCancelled, Message: "the operation was cancelled",
			By: j.Operation.Actor,
		}}, nil
	})
	return err
}

// awaitAccepted waits until this node's read model has the operation, because a queued
// sync is known by its operation alone.
func awaitAccepted(ctx context.Context, j *history.Job, operation string) error {
	address := j.Address
	address.Source = operation
	last, err := j.Events.LastSequence(ctx, address)
	if err != nil {
		return fmt.Errorf("read whether the operation was accepted: %w", err)
	}
	if err := j.State.Wait(ctx, last); err != nil {
		return fmt.Errorf("wait for the projection: %w", err)
	}
	return nil
}
