package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"headwater/api/contract"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

// operation answers one operation with its targets.
func (h *Handler) operation(_ context.Context, r *request) (*answer, error) {
	op, err := h.findOperation(r)
	if err != nil {
		return nil, err
	}
	a, err := success(http.StatusOK, "The operation is "+op.Status, raw(op.JSON))
	if err != nil {
		return nil, err
	}
	a.header.Set(headerSequence, strconv.FormatUint(h.Reads.Position(), 10))
	return a, nil
}

// operations answers the operations of a scope, newest first.
func (h *Handler) operations(_ context.Context, r *request) (*answer, error) {
	page, err := h.Reads.Operations(projections.OperationQuery{
		Organization: r.caller.Organization, Workspace: r.workspace, Owner: r.owner(r.query.Get("scope")),
		Kind: r.query.Get("kind"), Status: r.query.Get("status"), Limit: r.limit(), Cursor: r.query.Get("cursor"),
	})
	if err != nil {
		return nil, readFailure(err)
	}
	return r.page(count(page.Count, "operation"), page), nil
}

// findOperation returns the operation of the path. One of another user is not
// there.
func (h *Handler) findOperation(r *request) (projections.Operation, error) {
	id := r.variable("operation_id")
	op, err := h.Reads.Operation(r.caller.Organization, r.workspace, id)
	if err == nil && !r.sees(op.Owner) {
		err = projections.ErrNotFound
	}
	if errors.Is(err, projections.ErrNotFound) {
		return op, fail(http.StatusNotFound, "not_found", "There is no operation %s in this workspace", contract.Printable(id))
	}
	return op, err
}

// sees reports whether the caller may see what belongs to an owner.
func (r *request) sees(owner string) bool { return owner == "" || owner == r.caller.Username }

// planCancel asks every target that still runs to stop, and waits for the
// operation that it cancels: the cancel has no outcome of its own.
func (h *Handler) planCancel(r *request, _ seed, prior []target) (*job, error) {
	op, err := h.findOperation(r)
	if err != nil {
		return nil, err
	}
	j := &job{kind: event.KindCancel, owner: op.Owner, follows: op.ID, targets: prior}
	if op.Ended() {
		j.done, err = success(http.StatusOK, "The operation had ended before: it is "+op.Status, raw(op.JSON))
		return j, err
	}
	if prior == nil {
		for _, t := range op.Targets {
			if t.Status == projections.StatusRunning && t.SourceID != "" {
				j.targets = append(j.targets, target{SourceID: t.SourceID, Name: t.Name, SyncID: t.SyncID, At: t.Index})
			}
		}
	}
	j.payload = func(_ context.Context, t target) (command.Data, error) {
		return &command.CancelOperation{Cancels: op.ID, SyncID: t.SyncID}, nil
	}
	j.compose = func(op projections.Operation) (*answer, error) {
		return success(http.StatusOK, "The operation is "+op.Status, raw(op.JSON))
	}
	return j, nil
}
