package jobs

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"headwater/api/call"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/projections"
)

// errDraining ends a wait because the node shuts down.
var errDraining = errors.New("the node is shutting down")

// wait waits until the operation has ended, for as long as the client wants to
// wait.
func (t *task) wait(ctx context.Context) (op projections.Operation, ended bool, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ctx, cancel := context.WithTimeout(ctx, t.prefer.wait)
	defer cancel()
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		select {
		case <-t.runner.Draining:
			stop(errDraining)
		case <-finished:
		}
	}()
	if t.Until != nil {
		err = t.Until(ctx)
	} else {
		op, err = t.runner.Model.WaitOperation(ctx, t.caller.Organization, t.workspace, t.awaited())
	}
	switch {
	case err == nil:
		return op, true, nil
	case ctx.Err() != nil:
		return op, false, nil
	case errors.Is(err, projections.ErrClosed):
		return op, false, web.Unavailable(err)
	}
	return op, false, err
}

func (t *task) awaited() string {
	if t.Follows != "" {
		return t.Follows
	}
	return t.id
}

// accept appends OperationAccepted, so that the operation can be read from the
// log before its targets have outcomes.
func (t *task) accept(ctx context.Context) error {
	if t.accepted || t.Follows != "" {
		return nil
	}
	targets := make([]event.Target, len(t.Targets))
	for i, target := range t.Targets {
		targets[i] = event.Target{SourceID: target.SourceID, Name: target.Name, SyncID: target.SyncID, Attached: target.Attached}
	}
	e := &event.Event{
		ID: t.seed.UUID("accepted"), Time: time.Now().UTC(), TraceParent: t.trace,
		Data: &event.OperationAccepted{Meta: event.At(t.address(t.id), t.operation(0)), Accepted: targets},
	}
	sequence, err := t.runner.Events.Append(ctx, 0, e)
	if err != nil {
		return web.Unavailable(err)
	}
	t.accepted = true
	// The client may read the operation from this node at once. If the node does
	// not catch up in time, that read answers later; the operation is recorded
	// either way.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = t.runner.Model.Wait(ctx, sequence)
	return nil
}

// later returns the 202 for an operation that has not ended.
func (t *task) later(ctx context.Context) (*web.Answer, error) {
	if err := t.accept(ctx); err != nil {
		return nil, err
	}
	id := t.awaited()
	a, err := web.Success(http.StatusAccepted, "Accepted and still running; see operation "+id, map[string]string{"operation_id": id, "status": projections.StatusRunning})
	if err != nil {
		return nil, err
	}
	a.Header.Set("Location", t.location+id)
	a.Header.Set(call.HeaderSequence, strconv.FormatUint(t.runner.Model.Position(), 10))
	t.prefer.applied(a.Header, true)
	return a, nil
}
