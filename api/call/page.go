package call

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"headwater/api/web"
	"headwater/projections"
)

// Page answers with one page of documents.
func (r *Request) Page(message string, p projections.Page) *web.Answer {
	a := web.Page(message, p.JSON, p.Next)
	a.Header[HeaderSequence] = []string{strconv.FormatUint(p.Sequence, 10)}
	r.LinkNext(a, p.Next)
	return a
}

// LinkNext adds the link to the next page, if there is one (RFC 8288).
func (r *Request) LinkNext(a *web.Answer, cursor string) {
	if cursor == "" {
		return
	}
	query := url.Values{}
	for key, values := range r.Query {
		query[key] = values
	}
	query.Set("cursor", cursor)
	a.Header.Set("Link", "<"+r.HTTP.URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
}

// ReadFailure turns errors of the read model that the caller caused into
// failures, and returns any other error as it is.
func ReadFailure(err error) error {
	switch {
	case errors.Is(err, projections.ErrBadCursor):
		return web.Malformed(web.Detail{Field: "cursor", Message: "does not belong to this query; begin again without it"})
	case errors.Is(err, projections.ErrFuture):
		return web.Malformed(web.Detail{Field: "as_of", Message: "lies in the future"})
	}
	return err
}

// Unchanged returns the 304 for a client that has the document with that tag.
func Unchanged(tag string, sequence uint64) *web.Answer {
	return &web.Answer{Status: http.StatusNotModified, Header: http.Header{"Etag": {tag}, HeaderSequence: {strconv.FormatUint(sequence, 10)}}}
}
