package commands

import (
	"context"
	"net/http"
	"time"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

// CancelOperation asks all running targets of an operation to stop. The answer waits
// for the cancelled operation, because the cancel has no outcome of its own.
func (c *Calls) CancelOperation(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	op, err := r.FindOperation()
	if err != nil {
		return nil, err
	}
	j := &jobs.Job{Kind: event.KindCancel, Owner: op.Owner, Follows: op.ID, Targets: prior}
	if op.Ended() {
		j.Done, err = web.Success(http.StatusOK, "The operation had ended before: it is "+op.Status, web.Raw(op.JSON))
		return j, err
	}
	if prior == nil {
		for _, t := range op.Targets {
			if t.Status == projections.StatusRunning && t.SourceID != "" {
				j.Targets = append(j.Targets, idempotency.Target{SourceID: t.SourceID, Name: t.Name, SyncID: t.SyncID, At: t.Index})
			}
		}
	}
	j.Payload = func(_ context.Context, t idempotency.Target) (command.Data, error) {
		return &command.CancelOperation{Cancels: op.ID, SyncID: t.SyncID}, nil
	}
	j.Compose = func(op projections.Operation) (*web.Answer, error) {
		return web.Success(http.StatusOK, "The operation is "+op.Status, web.Raw(op.JSON))
	}
	return j, nil
}

// syncLook is how often to check whether a cancelled sync has ended.
const syncLook = 50 * time.Millisecond

// CancelSync asks one sync to stop; other syncs of its operation go on. Like
// CancelOperation, its answer waits for what it cancels.
func (c *Calls) CancelSync(r *call.Request, _ idempotency.Seed, prior []idempotency.Target) (*jobs.Job, error) {
	sync, err := r.FindSync()
	if err != nil {
		return nil, err
	}
	op := sync.Operation.ID
	j := &jobs.Job{Kind: event.KindCancel, Owner: sync.Address.Owner, Follows: op, Targets: prior}
	if sync.Ended() {
		j.Done, err = web.Success(http.StatusOK, "The sync had ended before: it is "+sync.Status, web.Raw(sync.JSON))
		return j, err
	}
	if prior == nil {
		j.Targets = []idempotency.Target{{SourceID: sync.Address.Source, Name: sync.SourceName, SyncID: sync.ID}}
	}
	j.Payload = func(context.Context, idempotency.Target) (command.Data, error) {
		return &command.CancelOperation{Cancels: op, SyncID: sync.ID}, nil
	}
	j.Until = func(ctx context.Context) error {
		for {
			now, err := c.Model.Sync(r.Caller.Organization, r.Workspace, sync.ID)
			if err != nil || now.Ended() {
				return err
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(syncLook):
			}
		}
	}
	j.Compose = func(projections.Operation) (*web.Answer, error) {
		now, err := c.Model.Sync(r.Caller.Organization, r.Workspace, sync.ID)
		if err != nil {
			return nil, err
		}
		return web.Success(http.StatusOK, "The sync is "+now.Status, web.Raw(now.JSON))
	}
	return j, nil
}
