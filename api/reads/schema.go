package reads

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"headwater/api/call"
	"headwater/api/contract"
	"headwater/api/web"
	"headwater/projections"
)

// Schema answers with one version of a source's schema.
func (c *Calls) Schema(_ context.Context, r *call.Request) (*web.Answer, error) {
	asOf, err := r.AsOf()
	if err != nil {
		return nil, err
	}
	sequence := c.Model.Position()
	found, err := c.Model.SchemaPage(projections.SchemaQuery{
		Address: r.SourceAddress(), Table: r.Query.Get("table"), Limit: r.Limit(), Cursor: r.Query.Get("cursor"), AsOf: asOf,
	})
	if err != nil {
		return nil, c.schemaFailure(r, err, asOf)
	}
	tag := web.ETag("schema", r.Caller.Organization, r.Workspace, r.Query.Encode(), strconv.FormatUint(found.Sequence, 10), strconv.FormatUint(found.Places, 36))
	if web.Matches(r.HTTP.Header, tag) {
		return call.Unchanged(tag, sequence), nil
	}
	a := web.Page(web.Count(found.Tables, "table"), found.JSON, found.Next)
	a.Header[call.HeaderSequence] = []string{strconv.FormatUint(sequence, 10)}
	a.Header["Etag"] = []string{tag}
	r.LinkNext(a, found.Next)
	return a, nil
}

// SchemaHistory answers with the versions of a source's schema.
func (c *Calls) SchemaHistory(_ context.Context, r *call.Request) (*web.Answer, error) {
	page, err := c.Model.SchemaHistory(r.SourceAddress(), r.Limit(), r.Query.Get("cursor"))
	if err != nil {
		return nil, c.schemaFailure(r, err, 0)
	}
	return r.Page(web.Count(page.Count, "version"), page), nil
}

// SchemaColumns answers with the history of one table's columns.
func (c *Calls) SchemaColumns(_ context.Context, r *call.Request) (*web.Answer, error) {
	table, column := r.Query.Get("table"), r.Query.Get("column")
	page, err := c.Model.Columns(projections.ColumnQuery{Address: r.SourceAddress(), Table: table, Column: column})
	if errors.Is(err, projections.ErrNotFound) {
		source, findErr := c.Model.Source(r.SourceAddress())
		switch {
		case findErr != nil || source.Removed:
		case column != "":
			return nil, web.Fail(http.StatusNotFound, "not_found", "The source %s never had a column %s in a table %s", contract.Printable(source.Address.Source), contract.Printable(column), contract.Printable(table))
		default:
			return nil, web.Fail(http.StatusNotFound, "not_found", "The source %s never had a table %s with columns", contract.Printable(source.Address.Source), contract.Printable(table))
		}
	}
	if err != nil {
		return nil, c.schemaFailure(r, err, 0)
	}
	return r.Page(web.Count(page.Count, "column"), page), nil
}

// schemaFailure returns the failure for a schema that cannot be read. It
// distinguishes an unknown source from a source whose schema is not known yet.
func (c *Calls) schemaFailure(r *call.Request, err error, asOf uint64) error {
	if !errors.Is(err, projections.ErrNotFound) {
		return call.ReadFailure(err)
	}
	id := r.Query.Get("source_id")
	source, findErr := c.Model.Source(r.SourceAddress())
	if findErr == nil && !source.Removed {
		if asOf != 0 {
			return web.Fail(http.StatusNotFound, "not_found", "The source %s had no schema then", contract.Printable(id))
		}
		return web.Fail(http.StatusNotFound, "not_found", "The schema of %s is not known yet", contract.Printable(id))
	}
	return call.NoSource(id)
}
