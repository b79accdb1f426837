package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"headwater/api/contract"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

// operation answers with one operation and its targets.
func (h *Handler) operation(_ context.Context, r *request) (*web.Answer, error) {
	op, err := h.findOperation(r)
	if err != nil {
		return nil, err
	}
	a, err := web.Success(http.StatusOK, "The operation is "+op.Status, web.Raw(op.JSON))
	if err != nil {
		return nil, err
	}
	a.Header.Set(headerSequence, strconv.FormatUint(h.Reads.Position(), 10))
	return a, nil
}

// operations answers with the operations of a scope, newest first.
func (h *Handler) operations(_ context.Context, r *request) (*web.Answer, error) {
	page, err := h.Reads.Operations(projections.OperationQuery{
		Organization: r.caller.Organization, Workspace: r.workspace, Owner: r.owner(r.query.Get("scope")),
		Kind: r.query.Get("kind"), Status: r.query.Get("status"), Limit: r.limit(), Cursor: r.query.Get("cursor"),
	})
	if err != nil {
		return nil, readFailure(err)
	}
	return r.page(web.Count(page.Count, "operation"), page), nil
}

// findOperation returns the operation named by the path. An operation of another
// user is a 404, as if it did not exist.
func (h *Handler) findOperation(r *request) (projections.Operation, error) {
	id := r.variable("operation_id")
	op, err := h.Reads.Operation(r.caller.Organization, r.workspace, id)
	if err == nil && !r.sees(op.Owner) {
		err = projections.ErrNotFound
	}
	if errors.Is(err, projections.ErrNotFound) {
		return op, web.Fail(http.StatusNotFound, "not_found", "There is no operation %s in this workspace", contract.Printable(id))
	}
	return op, err
}

// sees reports whether the caller may see what belongs to owner.
func (r *request) sees(owner string) bool { return owner == "" || owner == r.caller.Username }

// planCancel asks all running targets of an operation to stop. The answer waits
// for the cancelled operation, because the cancel has no outcome of its own.
func (h *Handler) planCancel(r *request, _ idempotency.Seed, prior []idempotency.Target) (*job, error) {
	op, err := h.findOperation(r)
	if err != nil {
		return nil, err
	}
	j := &job{kind: event.KindCancel, owner: op.Owner, follows: op.ID, targets: prior}
	if op.Ended() {
		j.done, err = web.Success(http.StatusOK, "The operation had ended before: it is "+op.Status, web.Raw(op.JSON))
		return j, err
	}
	if prior == nil {
		for _, t := range op.Targets {
			if t.Status == projections.StatusRunning && t.SourceID != "" {
				j.targets = append(j.targets, idempotency.Target{SourceID: t.SourceID, Name: t.Name, SyncID: t.SyncID, At: t.Index})
			}
		}
	}
	j.payload = func(_ context.Context, t idempotency.Target) (command.Data, error) {
		return &command.CancelOperation{Cancels: op.ID, SyncID: t.SyncID}, nil
	}
	j.compose = func(op projections.Operation) (*web.Answer, error) {
		return web.Success(http.StatusOK, "The operation is "+op.Status, web.Raw(op.JSON))
	}
	return j, nil
}
