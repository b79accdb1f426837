package api

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headwater/projections"
)

// list answers the sources of a scope as the projection holds them.
func (h *Handler) list(_ context.Context, r *request) (*answer, error) {
	if r.query.Get("removed") == "true" {
		return h.listRemoved(r)
	}
	asOf, err := h.asOf(r)
	if err != nil {
		return nil, err
	}
	owner := r.owner(r.query.Get("scope"))
	// Before the page: a change in between makes the tag older than the page,
	// which costs one more read, never a stale one.
	version, n, err := h.Reads.ListVersion(r.caller.Organization, r.workspace, owner)
	if err != nil {
		return nil, err
	}
	if asOf != 0 {
		version, n = asOf, 0
	}
	sequence := h.Reads.Position()
	tag := etag("list", r.caller.Organization, r.workspace, owner, r.query.Encode(), strconv.FormatUint(version, 10), strconv.Itoa(n))
	if matches(r.http.Header, tag) {
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
	a := r.page(count(page.Count, "data source"), page)
	a.header["Etag"] = []string{tag}
	return a, nil
}

// listRemoved answers the sources that can be restored.
func (h *Handler) listRemoved(r *request) (*answer, error) {
	if r.query.Has("as_of") {
		return nil, malformed(detail{Field: "as_of", Message: "cannot be combined with removed: list as of that time instead"})
	}
	page, err := h.Reads.List(projections.ListQuery{
		Organization: r.caller.Organization, Workspace: r.workspace, Owner: r.owner(r.query.Get("scope")),
		Type: r.query.Get("type"), Name: r.query.Get("name"), Status: r.query.Get("status"), Search: r.query.Get("q"),
		Limit: r.limit(), Cursor: r.query.Get("cursor"), Removed: true,
	})
	if err != nil {
		return nil, readFailure(err)
	}
	return r.page(count(page.Count, "removed data source"), page), nil
}

// page answers one page of documents.
func (r *request) page(message string, p projections.Page) *answer {
	a := page(message, p.JSON, p.Next)
	a.header[headerSequence] = []string{strconv.FormatUint(p.Sequence, 10)}
	r.linkNext(a, p.Next)
	return a
}

// linkNext points at the next page, if there is one.
func (r *request) linkNext(a *answer, cursor string) {
	if cursor == "" {
		return
	}
	query := url.Values{}
	for key, values := range r.query {
		query[key] = values
	}
	query.Set("cursor", cursor)
	a.header.Set("Link", "<"+r.http.URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
}

// limit returns how many documents a page has, 0 for all.
func (r *request) limit() int {
	n, _ := strconv.Atoi(r.query.Get("limit")) // the contract was checked
	return n
}

// asOf returns the sequence that the parameter as_of means, 0 for now.
func (h *Handler) asOf(r *request) (uint64, error) {
	text := r.query.Get("as_of")
	if text == "" {
		return 0, nil
	}
	return h.moment(text)
}

// moment returns the sequence that an as_of means.
func (h *Handler) moment(text string) (uint64, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > 0 {
		if now := h.Reads.Position(); n > now {
			return 0, malformed(detail{Field: "as_of", Message: fmt.Sprintf("lies in the future: the newest sequence is %d", now)})
		}
		return n, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, malformed(detail{Field: "as_of", Message: "must be a sequence above 0 or a time such as 2026-01-31T12:00:00Z"})
	}
	if at.After(time.Now()) {
		return 0, malformed(detail{Field: "as_of", Message: "lies in the future"})
	}
	sequence, err := h.Reads.SequenceAt(at)
	if err != nil {
		return 0, err
	}
	if sequence == 0 {
		return 0, fail(http.StatusNotFound, "not_found", "There is no history of that time: the first event is later")
	}
	return sequence, nil
}

// readFailure gives the errors of the projection that are the caller's their
// answer.
func readFailure(err error) error {
	switch {
	case errors.Is(err, projections.ErrBadCursor):
		return malformed(detail{Field: "cursor", Message: "does not belong to this query; begin again without it"})
	case errors.Is(err, projections.ErrFuture):
		return malformed(detail{Field: "as_of", Message: "lies in the future"})
	}
	return err
}

// etag returns a tag that the texts determine. It is weak: an answer has it
// compressed and as it is.
func etag(parts ...string) string {
	encoded, _ := json.Marshal(parts) // texts always marshal
	sum := sha256.Sum256(encoded)
	return `W/"` + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:15])) + `"`
}

// matches reports whether the client has the tagged version already.
func matches(h http.Header, tag string) bool {
	for _, value := range h.Values("If-None-Match") {
		for _, item := range strings.Split(value, ",") {
			if item = strings.TrimSpace(item); strings.TrimPrefix(item, "W/") == strings.TrimPrefix(tag, "W/") || item == "*" {
				return true
			}
		}
	}
	return false
}

func unchanged(tag string, sequence uint64) *answer {
	return &answer{status: http.StatusNotModified, header: http.Header{"Etag": {tag}, headerSequence: {strconv.FormatUint(sequence, 10)}}}
}
