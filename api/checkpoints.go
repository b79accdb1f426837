package api

import (
	"context"
	"errors"

	"headwater/api/contract"
	"headwater/api/web"
	"headwater/projections"
)

// checkpoints answers with the commits of a source's tables, newest first. An
// incremental sync can start from any of them.
func (h *Handler) checkpoints(_ context.Context, r *request) (*web.Answer, error) {
	page, err := h.Reads.Checkpoints(projections.CheckpointQuery{
		Address: r.source(), Table: r.query.Get("table"), Limit: r.limit(), Cursor: r.query.Get("cursor"),
	})
	if errors.Is(err, projections.ErrNotFound) {
		return nil, noSource(web.Detail{Field: "source_id", Message: "there is no source " + contract.Printable(r.query.Get("source_id"))})
	}
	if err != nil {
		return nil, readFailure(err)
	}
	return r.page(web.Count(page.Count, "checkpoint"), page), nil
}
