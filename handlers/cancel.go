package handlers

import (
	"cmp"
	"context"
	"fmt"

	"headwater/bus/command"
	"headwater/bus/event"
)

// cancel ends what another operation is doing to this source, whether it runs
// or is still queued: it writes the outcome into the history, where the worker
// that does it finds it. Whatever has its outcome already is left alone, so a
// cancel that is handed out again does nothing.
//
// A target that waits for a sync of another operation ends; that sync goes on. The
// cancel itself has no outcome of its own: its caller waits for the cancelled operation
// to end.
func (h *Handlers) cancel(ctx context.Context, j *job, c *command.CancelOperation) error {
	if err := j.awaitAccepted(ctx, c.Cancels); err != nil {
		return err
	}
	_, err := j.advance(ctx, func(v view) (move, error) {
		op, err := h.state.Operation(j.address, c.Cancels)
		if err != nil {
			return move{}, fmt.Errorf("read the operation's state: %w", err)
		}
		if v.Running != nil && v.Running.Operation.ID == c.Cancels {
			return cancelled(j, v.Running.SyncID, v.Running.Operation, event.ReasonCancelled, "the sync was cancelled"), nil
		}
		target, ok := op.TargetOf(j.address.Source, c.SyncID)
		if !ok || target.Ended {
			return move{}, nil
		}
		whole := event.Operation{ID: c.Cancels, Kind: op.Kind, Targets: op.Total, Target: target.Index, Actor: op.Actor}
		id := cmp.Or(c.SyncID, target.SyncID)
		if op.Kind == event.KindSync && id != "" && !target.Attached {
			return cancelled(j, id, whole, event.ReasonCancelled, "the sync was cancelled before it began"), nil
		}
		whole.Final = true
		return move{discriminator: c.Cancels, stop: true, data: &event.CommandRejected{
			Meta: event.At(j.address, whole), Command: command.ForKind(op.Kind), Reason: event.ReasonCancelled, Message: "the operation was cancelled",
			By: j.operation.Actor,
		}}, nil
	})
	return err
}

// awaitAccepted waits until this node's read model has the operation, because a queued
// sync is known by its operation alone.
func (j *job) awaitAccepted(ctx context.Context, operation string) error {
	address := j.address
	address.Source = operation
	last, err := j.h.events.LastSequence(ctx, address)
	if err != nil {
		return fmt.Errorf("read whether the operation was accepted: %w", err)
	}
	if err := j.h.state.Wait(ctx, last); err != nil {
		return fmt.Errorf("wait for the projection: %w", err)
	}
	return nil
}

// cancelled returns the event that ends a sync on behalf of its own operation.
func cancelled(j *job, syncID string, op event.Operation, reason event.Reason, message string) move {
	op.Final = true
	return move{discriminator: syncID, data: &event.SyncCancelled{
		Meta: event.At(j.address, op), SyncID: syncID, Reason: reason, By: j.operation.Actor, Message: message,
	}}
}
