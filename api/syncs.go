package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"headwater/projections"
)

// syncs answers the syncs of a scope, newest first.
func (h *Handler) syncs(_ context.Context, r *request) (*answer, error) {
	page, err := h.Reads.Syncs(projections.SyncQuery{
		Organization: r.caller.Organization, Workspace: r.workspace, Owners: []string{r.owner(r.query.Get("scope"))},
		SourceID: r.query.Get("source_id"), Status: r.query.Get("status"), Limit: r.limit(), Cursor: r.query.Get("cursor"),
	})
	if err != nil {
		return nil, readFailure(err)
	}
	return r.page(count(page.Count, "sync"), page), nil
}

// sync answers one sync with its tables. One of another user is not there.
func (h *Handler) sync(_ context.Context, r *request) (*answer, error) {
	id := r.variable("sync_id")
	sync, err := h.Reads.Sync(r.caller.Organization, r.workspace, id)
	if err == nil && !r.sees(sync.Address.Owner) {
		err = projections.ErrNotFound
	}
	if errors.Is(err, projections.ErrNotFound) {
		return nil, fail(http.StatusNotFound, "not_found", "There is no sync %s in this workspace", printable(id))
	}
	if err != nil {
		return nil, err
	}
	a, err := success(http.StatusOK, "The sync is "+sync.Status, raw(sync.JSON))
	if err != nil {
		return nil, err
	}
	a.header.Set(headerSequence, strconv.FormatUint(h.Reads.Position(), 10))
	return a, nil
}
