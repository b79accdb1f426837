package reads

import (
	"context"
	"errors"

	"headwater/api/call"
	"headwater/api/web"
	"headwater/projections"
)

// Checkpoints answers with the commits of a source's tables, newest first. An
// incremental sync can start from any of them.
func (c *Calls) Checkpoints(_ context.Context, r *call.Request) (*web.Answer, error) {
	page, err := c.Model.Checkpoints(projections.CheckpointQuery{
		Address: r.SourceAddress(), Table: r.Query.Get("table"), Limit: r.Limit(), Cursor: r.Query.Get("cursor"),
	})
	if errors.Is(err, projections.ErrNotFound) {
		return nil, call.NoSource(r.Query.Get("source_id"))
	}
	if err != nil {
		return nil, call.ReadFailure(err)
	}
	return r.Page(web.Count(page.Count, "checkpoint"), page), nil
}
