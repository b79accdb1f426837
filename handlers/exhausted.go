package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/history"
	"headwater/handlers/outcome"
)

// Exhausted ends the target of a command that the bus delivers no more: its error was
// permanent, its retries are used up, or it cannot be read. The subscriber calls it
// before it moves the message to the dead letters. An error means that the failure event
// could not be appended; the caller tries again. A message that does not name an operation
// has no target: it is logged, and nil is returned.
func (h *Handlers) Exhausted(ctx context.Context, msg *message.Message, cause error) error {
	c, err := bus.CommandOf(msg)
	if err == nil {
		return h.failTarget(ctx, h.histories.Job(c), cause)
	}
	// Where a message may have its effect is told by its subject, not its body.
	address, name, addressErr := event.ParseAddress(command.SubjectPrefix, msg.Metadata.Get(bus.MetaSubject))
	var meta event.Meta
	if addressErr != nil || json.Unmarshal(msg.Payload, &meta) != nil || meta.Operation.ID == "" {
		h.log.Error("a command without a readable operation", "message", msg.UUID, "error", err)
		return nil
	}
	lost := &unreadable{name: name}
	lost.Meta.Meta = event.At(address, meta.Operation)
	j := h.histories.Job(&command.Command{ID: msg.UUID, Time: time.Now(), Data: lost})
	return h.failTarget(ctx, j, outcome.Failf(event.ReasonInternal, "the request could not be read by this version of the service"))
}

// unreadable stands for a command whose payload is not what its name says.
type unreadable struct {
	command.Meta
	name string
}

func (u *unreadable) CommandName() string { return u.name }

// failTarget ends the job's target with the failure event of its verb, and does
// what else must not be left behind.
func (h *Handlers) failTarget(ctx context.Context, j *history.Job, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, h.options.Grace)
	defer cancel()
	reason, message := outcome.Explain(cause)
	if reason == event.ReasonInternal || reason == event.ReasonCancelled {
		// A worker that was stopped again and again is our fault as well.
		reason = event.ReasonInternal
		j.Log.Error("a command was given up", "error", cause)
	}
	_, err := j.Advance(ctx, func(v history.View) (history.Move, error) {
		if verb, _ := verbOf(j.Data); v.Ended && !verb.whole {
			return history.Move{}, nil
		}
		return h.failed(j, v, &outcome.Failure{Reason: reason, Message: message})
	})
	if err != nil {
		return fmt.Errorf("give up %s of %s: %w", j.Name, j.Address.Source, err)
	}
	if v, known := verbOf(j.Data); known && v.settle != nil {
		return v.settle(ctx, h, j)
	}
	return nil
}

// failed returns the final event of the job's verb for a failure. A command that
// cannot be read is rejected.
func (h *Handlers) failed(j *history.Job, v history.View, why *outcome.Failure) (history.Move, error) {
	if verb, known := verbOf(j.Data); known {
		return verb.failed(h, j, v, why)
	}
	return j.Rejected(why.Reason, why.Message), nil
}
