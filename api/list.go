package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"headwater/api/web"
	"headwater/projections"
)

// list answers with the sources of a scope, as the read model stores them.
func (h *Handler) list(_ context.Context, r *request) (*web.Answer, error) {
	if r.query.Get("removed") == "true" {
		return h.listRemoved(r)
	}
	asOf, err := h.asOf(r)
	if err != nil {
		return nil, err
	}
	owner := r.owner(r.query.Get("scope"))
	// The version is read before the page. If the list changes in between, the
	// tag is older than the page: the client reads once more than necessary, but
	// never a stale list.
	version, n, err := h.Reads.ListVersion(r.caller.Organization, r.workspace, owner)
	if err != nil {
		return nil, err
	}
	if asOf != 0 {
		version, n = asOf, 0
	}
	sequence := h.Reads.Position()
	tag := web.ETag("list", r.caller.Organization, r.workspace, owner, r.query.Encode(), strconv.FormatUint(version, 10), strconv.Itoa(n))
	if web.Matches(r.http.Header, tag) {
		return unchanged(tag, sequence), nil
	}
	page, err := h.Reads.List(projections.ListQuery{
		Organization: r.caller.Organization, Workspace: r.workspace, Owner: owner,
		Type: r.query.Get("type"), Name: r.query.Get("name"), Status: r.query.Get("status"), Search: r.query.Get("q"),
		Limit: r.limit(), Cursor: r.query.Get("cursor"), AsOf: asOf,
	})
	if err != nil {
		return nil, readFailure(err)
	}
	a := r.page(web.Count(page.Count, "data source"), page)
	a.Header["Etag"] = []string{tag}
	return a, nil
}

// listRemoved answers with the removed sources that can be restored.
func (h *Handler) listRemoved(r *request) (*web.Answer, error) {
	if r.query.Has("as_of") {
		return nil, web.Malformed(web.Detail{Field: "as_of", Message: "cannot be combined with removed: list as of that time instead"})
	}
	page, err := h.Reads.List(projections.ListQuery{
		Organization: r.caller.Organization, Workspace: r.workspace, Owner: r.owner(r.query.Get("scope")),
		Type: r.query.Get("type"), Name: r.query.Get("name"), Status: r.query.Get("status"), Search: r.query.Get("q"),
		Limit: r.limit(), Cursor: r.query.Get("cursor"), Removed: true,
	})
	if err != nil {
		return nil, readFailure(err)
	}
	return r.page(web.Count(page.Count, "removed data source"), page), nil
}

// page answers with one page of documents.
func (r *request) page(message string, p projections.Page) *web.Answer {
	a := web.Page(message, p.JSON, p.Next)
	a.Header[headerSequence] = []string{strconv.FormatUint(p.Sequence, 10)}
	r.linkNext(a, p.Next)
	return a
}

// linkNext adds the link to the next page, if there is one (RFC 8288).
func (r *request) linkNext(a *web.Answer, cursor string) {
	if cursor == "" {
		return
	}
	query := url.Values{}
	for key, values := range r.query {
		query[key] = values
	}
	query.Set("cursor", cursor)
	a.Header.Set("Link", "<"+r.http.URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
}

// limit returns the page size that the request asks for, or 0 for no limit.
func (r *request) limit() int {
	n, _ := strconv.Atoi(r.query.Get("limit")) // the contract has validated it
	return n
}

// asOf returns the sequence that the parameter as_of selects, 0 for the present.
func (h *Handler) asOf(r *request) (uint64, error) {
	text := r.query.Get("as_of")
	if text == "" {
		return 0, nil
	}
	return h.moment(text)
}

// moment returns the sequence that an as_of selects: a sequence, or the last one
// up to a time.
func (h *Handler) moment(text string) (uint64, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > 0 {
		if now := h.Reads.Position(); n > now {
			return 0, web.Malformed(web.Detail{Field: "as_of", Message: fmt.Sprintf("lies in the future: the newest sequence is %d", now)})
		}
		return n, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, web.Malformed(web.Detail{Field: "as_of", Message: "must be a sequence above 0 or a time such as 2026-01-31T12:00:00Z"})
	}
	if at.After(time.Now()) {
		return 0, web.Malformed(web.Detail{Field: "as_of", Message: "lies in the future"})
	}
	sequence, err := h.Reads.SequenceAt(at)
	if err != nil {
		return 0, err
	}
	if sequence == 0 {
		return 0, web.Fail(http.StatusNotFound, "not_found", "There is no history of that time: the first event is later")
	}
	return sequence, nil
}

// readFailure turns errors of the read model that the caller caused into
// failures, and returns any other error as it is.
func readFailure(err error) error {
	switch {
	case errors.Is(err, projections.ErrBadCursor):
		return web.Malformed(web.Detail{Field: "cursor", Message: "does not belong to this query; begin again without it"})
	case errors.Is(err, projections.ErrFuture):
		return web.Malformed(web.Detail{Field: "as_of", Message: "lies in the future"})
	}
	return err
}

func unchanged(tag string, sequence uint64) *web.Answer {
	return &web.Answer{Status: http.StatusNotModified, Header: http.Header{"Etag": {tag}, headerSequence: {strconv.FormatUint(sequence, 10)}}}
}
