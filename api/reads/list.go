package reads

import (
	"context"
	"strconv"

	"headwater/api/call"
	"headwater/api/web"
	"headwater/projections"
)

// List answers with the sources of a scope, as the read model stores them.
func (c *Calls) List(_ context.Context, r *call.Request) (*web.Answer, error) {
	if r.Query.Get("removed") == "true" {
		return c.listRemoved(r)
	}
	asOf, err := r.AsOf()
	if err != nil {
		return nil, err
	}
	owner := r.Owner(r.Query.Get("scope"))
	// The version is read before the page. If the list changes in between, the
	// tag is older than the page: the client reads once more than necessary, but
	// never a stale list.
	version, n, err := c.Model.ListVersion(r.Caller.Organization, r.Workspace, owner)
	if err != nil {
		return nil, err
	}
	if asOf != 0 {
		version, n = asOf, 0
	}
	sequence := c.Model.Position()
	tag := web.ETag("list", r.Caller.Organization, r.Workspace, owner, r.Query.Encode(), strconv.FormatUint(version, 10), strconv.Itoa(n))
	if web.Matches(r.HTTP.Header, tag) {
		return call.Unchanged(tag, sequence), nil
	}
	page, err := c.Model.List(projections.ListQuery{
		Organization: r.Caller.Organization, Workspace: r.Workspace, Owner: owner,
		Type: r.Query.Get("type"), Name: r.Query.Get("name"), Status: r.Query.Get("status"), Search: r.Query.Get("q"),
		Limit: r.Limit(), Cursor: r.Query.Get("cursor"), AsOf: asOf,
	})
	if err != nil {
		return nil, call.ReadFailure(err)
	}
	a := r.Page(web.Count(page.Count, "data source"), page)
	a.Header["Etag"] = []string{tag}
	return a, nil
}

// listRemoved answers with the removed sources that can be restored.
func (c *Calls) listRemoved(r *call.Request) (*web.Answer, error) {
	if r.Query.Has("as_of") {
		return nil, web.Malformed(web.Detail{Field: "as_of", Message: "cannot be combined with removed: list as of that time instead"})
	}
	page, err := c.Model.List(projections.ListQuery{
		Organization: r.Caller.Organization, Workspace: r.Workspace, Owner: r.Owner(r.Query.Get("scope")),
		Type: r.Query.Get("type"), Name: r.Query.Get("name"), Status: r.Query.Get("status"), Search: r.Query.Get("q"),
		Limit: r.Limit(), Cursor: r.Query.Get("cursor"), Removed: true,
	})
	if err != nil {
		return nil, call.ReadFailure(err)
	}
	return r.Page(web.Count(page.Count, "removed data source"), page), nil
}
