package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"headwater/api/contract"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/projections"
)

// schema answers with one version of a source's schema.
func (h *Handler) schema(_ context.Context, r *request) (*web.Answer, error) {
	asOf, err := h.asOf(r)
	if err != nil {
		return nil, err
	}
	sequence := h.Reads.Position()
	found, err := h.Reads.SchemaPage(projections.SchemaQuery{
		Address: r.source(), Table: r.query.Get("table"), Limit: r.limit(), Cursor: r.query.Get("cursor"), AsOf: asOf,
	})
	if err != nil {
		return nil, h.schemaFailure(r, err, asOf)
	}
	tag := web.ETag("schema", r.caller.Organization, r.workspace, r.query.Encode(), strconv.FormatUint(found.Sequence, 10), strconv.FormatUint(found.Places, 36))
	if web.Matches(r.http.Header, tag) {
		return unchanged(tag, sequence), nil
	}
	a := web.Page(web.Count(found.Tables, "table"), found.JSON, found.Next)
	a.Header[headerSequence] = []string{strconv.FormatUint(sequence, 10)}
	a.Header["Etag"] = []string{tag}
	r.linkNext(a, found.Next)
	return a, nil
}

// schemaHistory answers with the versions of a source's schema.
func (h *Handler) schemaHistory(_ context.Context, r *request) (*web.Answer, error) {
	page, err := h.Reads.SchemaHistory(r.source(), r.limit(), r.query.Get("cursor"))
	if err != nil {
		return nil, h.schemaFailure(r, err, 0)
	}
	return r.page(web.Count(page.Count, "version"), page), nil
}

// schemaColumns answers with the history of one table's columns.
func (h *Handler) schemaColumns(_ context.Context, r *request) (*web.Answer, error) {
	table, column := r.query.Get("table"), r.query.Get("column")
	page, err := h.Reads.Columns(projections.ColumnQuery{Address: r.source(), Table: table, Column: column})
	if errors.Is(err, projections.ErrNotFound) {
		source, findErr := h.Reads.Source(r.source())
		switch {
		case findErr != nil || source.Removed:
		case column != "":
			return nil, web.Fail(http.StatusNotFound, "not_found", "The source %s never had a column %s in a table %s", contract.Printable(source.Address.Source), contract.Printable(column), contract.Printable(table))
		default:
			return nil, web.Fail(http.StatusNotFound, "not_found", "The source %s never had a table %s with columns", contract.Printable(source.Address.Source), contract.Printable(table))
		}
	}
	if err != nil {
		return nil, h.schemaFailure(r, err, 0)
	}
	return r.page(web.Count(page.Count, "column"), page), nil
}

// source returns the address of the source that the query names.
func (r *request) source() event.Address {
	return event.Address{
		Organization: r.caller.Organization, Workspace: r.workspace, Owner: r.owner(r.query.Get("scope")), Source: r.query.Get("source_id"),
	}
}

// schemaFailure returns the failure for a schema that cannot be read. It
// distinguishes an unknown source from a source whose schema is not known yet.
func (h *Handler) schemaFailure(r *request, err error, asOf uint64) error {
	if !errors.Is(err, projections.ErrNotFound) {
		return readFailure(err)
	}
	id := r.query.Get("source_id")
	source, findErr := h.Reads.Source(r.source())
	if findErr == nil && !source.Removed {
		if asOf != 0 {
			return web.Fail(http.StatusNotFound, "not_found", "The source %s had no schema then", contract.Printable(id))
		}
		return web.Fail(http.StatusNotFound, "not_found", "The schema of %s is not known yet", contract.Printable(id))
	}
	return noSource(web.Detail{Field: "source_id", Message: "there is no source " + contract.Printable(id)})
}
