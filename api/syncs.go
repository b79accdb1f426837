package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

// syncs answers with the syncs of a scope, newest first.
func (h *Handler) syncs(_ context.Context, r *request) (*web.Answer, error) {
	page, err := h.Reads.Syncs(projections.SyncQuery{
		Organization: r.caller.Organization, Workspace: r.workspace, Owners: []string{r.owner(r.query.Get("scope"))},
		SourceID: r.query.Get("source_id"), Status: r.query.Get("status"), Limit: r.limit(), Cursor: r.query.Get("cursor"),
	})
	if err != nil {
		return nil, readFailure(err)
	}
	return r.page(web.Count(page.Count, "sync"), page), nil
}

// sync answers with one sync and its tables. A sync of another user is a 404.
func (h *Handler) sync(_ context.Context, r *request) (*web.Answer, error) {
	sync, err := h.findSync(r)
	if err != nil {
		return nil, err
	}
	a, err := web.Success(http.StatusOK, "The sync is "+sync.Status, web.Raw(sync.JSON))
	if err != nil {
		return nil, err
	}
	a.Header.Set(headerSequence, strconv.FormatUint(h.Reads.Position(), 10))
	return a, nil
}

// findSync returns the sync named by the path. A sync of another user is a 404.
func (h *Handler) findSync(r *request) (projections.Sync, error) {
	id := r.variable("sync_id")
	sync, err := h.Reads.Sync(r.caller.Organization, r.workspace, id)
	if err == nil && !r.sees(sync.Address.Owner) {
		err = projections.ErrNotFound
	}
	if errors.Is(err, projections.ErrNotFound) {
		return sync, web.Fail(http.StatusNotFound, "not_found", "There is no sync %s in this workspace; one that waits for its turn is cancelled by its operation", contract.Printable(id))
	}
	return sync, err
}

// syncLook is how often to check whether a cancelled sync has ended.
const syncLook = 50 * time.Millisecond

// planCancelSync asks one sync to stop; other syncs of its operation go on. Like
// planCancel, its answer waits for what it cancels.
func (h *Handler) planCancelSync(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	sync, err := h.findSync(r)
	if err != nil {
		return nil, err
	}
	op := sync.Operation.ID
	j := &job{kind: event.KindCancel, owner: sync.Address.Owner, follows: op, targets: prior}
	if sync.Ended() {
		j.done, err = web.Success(http.StatusOK, "The sync had ended before: it is "+sync.Status, web.Raw(sync.JSON))
		return j, err
	}
	if prior == nil {
		j.targets = []idempotency.Target{{SourceID: sync.Address.Source, Name: sync.SourceName, SyncID: sync.ID}}
	}
	j.payload = func(context.Context, idempotency.Target) (command.Data, error) {
		return &command.CancelOperation{Cancels: op, SyncID: sync.ID}, nil
	}
	j.until = func(ctx context.Context) error {
		for {
			now, err := h.Reads.Sync(r.caller.Organization, r.workspace, sync.ID)
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
	j.compose = func(projections.Operation) (*web.Answer, error) {
		now, err := h.Reads.Sync(r.caller.Organization, r.workspace, sync.ID)
		if err != nil {
			return nil, err
		}
		return web.Success(http.StatusOK, "The sync is "+now.Status, web.Raw(now.JSON))
	}
	return j, nil
}
