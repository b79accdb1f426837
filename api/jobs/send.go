package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"headwater/api/call"
	"headwater/api/web"
	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

// sendAtOnce is how many commands of one request are published concurrently.
const sendAtOnce = 8

// send publishes the command of every target. If the bus does not accept a
// command, its target is recorded as failed, so that the operation ends. If that
// cannot be recorded either, it is unknown which commands were stored, and send
// returns a 503.
func (t *task) send(ctx context.Context) error {
	sending, cancel := context.WithTimeout(ctx, t.runner.Limits.Send)
	defer cancel()
	errs, refs := make([]error, len(t.Targets)), make([]string, len(t.Targets))
	one := func(i int) {
		defer func() {
			if p := recover(); p != nil {
				call.LogPanic(t.runner.Log, t.request, p)
				errs[i] = errors.New("panic")
			}
		}()
		refs[i], errs[i] = t.sendOne(sending, i)
	}
	places := make(chan struct{}, sendAtOnce)
	var all sync.WaitGroup
	for i, target := range t.Targets {
		switch {
		case target.Attached:
		case len(t.Targets) == 1: // the usual case
			one(i)
		default:
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				one(i)
			})
		}
	}
	all.Wait()
	recording, cancelRecording := context.WithTimeout(ctx, 5*time.Second)
	defer cancelRecording()
	for i, err := range errs {
		if err == nil {
			continue
		}
		done, rejectErr := t.reject(recording, i, err)
		if rejectErr != nil {
			return web.Unavailable(errors.Join(err, rejectErr))
		}
		if done {
			continue
		}
		// The target has failed and no worker will need its secret.
		if refs[i] != "" {
			err = errors.Join(err, t.runner.Secrets.Forget(recording, t.address(t.Targets[i].SourceID), refs[i]))
		}
		t.runner.Log.Error("a command was not taken", "request_id", t.request, "operation", t.id, "target", i, "error", err)
	}
	return nil
}

// sendOne publishes one command. It returns the reference of the secret that was
// sealed for it, even with an error.
func (t *task) sendOne(ctx context.Context, i int) (ref string, err error) {
	data, err := t.Payload(ctx, t.Targets[i])
	if err != nil {
		return "", fmt.Errorf("prepare a command: %w", err)
	}
	switch d := data.(type) {
	case *command.ConnectSource:
		ref = d.SecretRef
	case *command.TestConnection:
		ref = d.SecretRef
	}
	now := time.Now().UTC()
	meta := event.At(t.address(t.Targets[i].SourceID), t.operation(i))
	meta.SourceName = t.Targets[i].Name
	*data.Header() = command.Meta{Meta: meta, Deadline: now.Add(t.deadline)}
	return ref, t.runner.Commands.Send(ctx, &command.Command{ID: t.commandID(i), Time: now, TraceParent: t.trace, Data: data})
}

func (t *task) commandID(i int) string { return t.seed.UUID("command", strconv.Itoa(i)) }

// reject records that a target failed, unless a worker that received the command
// has ended the target already. It returns true if that worker completed it. A
// worker that receives the command later finds the target ended and drops it.
func (t *task) reject(ctx context.Context, i int, cause error) (bool, error) {
	address, op := t.address(t.Targets[i].SourceID), t.operation(i)
	op.Final = true
	meta := event.At(address, op)
	meta.SourceName = t.Targets[i].Name
	reason, message := event.ReasonInternal, "the service could not hand the command to a worker; try again"
	if errors.Is(cause, bus.ErrTooLarge) {
		reason, message = event.ReasonLimit, "the configuration is too large"
	}
	e := &event.Event{
		ID: t.seed.UUID("rejected", strconv.Itoa(i)), Time: time.Now().UTC(), Causation: t.commandID(i), TraceParent: t.trace,
		Data: &event.CommandRejected{Meta: meta, Command: command.ForKind(t.Kind), Reason: reason, Message: message},
	}
	completed := false
	err := call.AppendNext(ctx, t.runner.Events, address, e, func(after uint64) (bool, error) {
		status, err := t.statusBy(ctx, after, i)
		completed = status == projections.StatusCompleted
		return status != projections.StatusRunning, err
	})
	return completed, err
}

// statusBy returns the status of a target as of that sequence of the log.
func (t *task) statusBy(ctx context.Context, sequence uint64, i int) (string, error) {
	if err := t.runner.Model.Wait(ctx, sequence); err != nil {
		return "", err
	}
	op, err := t.runner.Model.Operation(t.caller.Organization, t.workspace, t.id)
	if err != nil && !errors.Is(err, projections.ErrNotFound) {
		return "", err
	}
	for _, target := range op.Targets {
		if target.Index == i {
			return target.Status, nil
		}
	}
	return projections.StatusRunning, nil
}
