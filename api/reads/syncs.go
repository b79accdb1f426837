package reads

import (
	"context"
	"net/http"
	"strconv"

	"headwater/api/call"
	"headwater/api/web"
	"headwater/projections"
)

// Syncs answers with the syncs of a scope, newest first.
func (c *Calls) Syncs(_ context.Context, r *call.Request) (*web.Answer, error) {
	page, err := c.Model.Syncs(projections.SyncQuery{
		Organization: r.Caller.Organization, Workspace: r.Workspace, Owners: []string{r.Owner(r.Query.Get("scope"))},
		SourceID: r.Query.Get("source_id"), Status: r.Query.Get("status"), Limit: r.Limit(), Cursor: r.Query.Get("cursor"),
	})
	if err != nil {
		return nil, call.ReadFailure(err)
	}
	return r.Page(web.Count(page.Count, "sync"), page), nil
}

// Sync answers with one sync and its tables. A sync of another user is a 404.
func (c *Calls) Sync(_ context.Context, r *call.Request) (*web.Answer, error) {
	sync, err := r.FindSync()
	if err != nil {
		return nil, err
	}
	a, err := web.Success(http.StatusOK, "The sync is "+sync.Status, web.Raw(sync.JSON))
	if err != nil {
		return nil, err
	}
	a.Header.Set(call.HeaderSequence, strconv.FormatUint(c.Model.Position(), 10))
	return a, nil
}
