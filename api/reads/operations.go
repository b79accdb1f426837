package reads

import (
	"context"
	"net/http"
	"strconv"

	"headwater/api/call"
	"headwater/api/web"
	"headwater/projections"
)

// Operation answers with one operation and its targets.
func (c *Calls) Operation(_ context.Context, r *call.Request) (*web.Answer, error) {
	op, err := r.FindOperation()
	if err != nil {
		return nil, err
	}
	a, err := web.Success(http.StatusOK, "The operation is "+op.Status, web.Raw(op.JSON))
	if err != nil {
		return nil, err
	}
	a.Header.Set(call.HeaderSequence, strconv.FormatUint(c.Model.Position(), 10))
	return a, nil
}

// Operations answers with the operations of a scope, newest first.
func (c *Calls) Operations(_ context.Context, r *call.Request) (*web.Answer, error) {
	page, err := c.Model.Operations(projections.OperationQuery{
		Organization: r.Caller.Organization, Workspace: r.Workspace, Owner: r.Owner(r.Query.Get("scope")),
		Kind: r.Query.Get("kind"), Status: r.Query.Get("status"), Limit: r.Limit(), Cursor: r.Query.Get("cursor"),
	})
	if err != nil {
		return nil, call.ReadFailure(err)
	}
	return r.Page(web.Count(page.Count, "operation"), page), nil
}
