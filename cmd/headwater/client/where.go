package client

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"headwater/cmd/headwater/client/engines"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// WhereCmd says where a landed table is stored and how to read it.
type WhereCmd struct {
	ClientFlags `embed:""`
	Table       string `arg:"" help:"TABLE, SCHEMA.TABLE, or with its source before it: SOURCE.TABLE, SOURCE.SCHEMA.TABLE."`
}

// PlaceDoc is a landed table as GET tables shows it.
type PlaceDoc struct {
	SourceID  string            `json:"source_id"`
	Source    string            `json:"source"`
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Location  string            `json:"location"`
	Metadata  string            `json:"metadata_location"`
	Records   int64             `json:"records"`
	SyncID    string            `json:"sync_id"`
	Storage   map[string]string `json:"storage,omitempty"` // region, endpoint and use_path_style of a bucket
	SQL       string            `json:"duckdb,omitempty"`  // added by the client: the statements that read it
}

// Called returns the full name of the table: SOURCE.TABLE or
// SOURCE.SCHEMA.TABLE.
func (d PlaceDoc) Called() string { return d.Source + "." + rest.FullName(d.Namespace, d.Name) }

// Run prints where the table is stored. It fails if no table or several tables
// have the name.
func (c *WhereCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := api.places(ctx, c.Scope, c.Table)
	if err != nil {
		return err
	}
	switch {
	case len(found) == 0:
		return exit.With(exit.Refused, fmt.Errorf("nothing of a table %q has landed with scope %s in workspace %s%s; 'headwater syncs' shows what was synced",
			c.Table, c.Scope, c.Workspace, c.elsewhere(ctx, api)))
	case len(found) > 1:
		names := make([]string, len(found))
		for i, d := range found {
			names[i] = terminal.Plain(d.Called())
		}
		return exit.With(exit.Refused, fmt.Errorf("several tables are called %q; name one of %s", c.Table, strings.Join(names, ", ")))
	}
	d := found[0]
	d.SQL = engines.DuckDB(d.Metadata, d.Storage)
	if c.JSON {
		return terminal.PrintJSON(s, d)
	}
	_, err = fmt.Fprintf(s.Out, "table     %s, %s\nfolder    %s\nmetadata  %s\n\n-- DuckDB reads it as it is now; the next sync makes another metadata file:\n%s\n",
		terminal.Plain(d.Called()), terminal.Several(int(d.Records), "row"), terminal.Plain(engines.Path(d.Location)), terminal.Plain(engines.Path(d.Metadata)), d.SQL)
	return err
}

// elsewhere says whether the other scope has the table.
func (c *WhereCmd) elsewhere(ctx context.Context, api *Client) string {
	other := rest.OtherScope(c.Scope)
	if found, err := api.places(ctx, other, c.Table); err == nil && len(found) > 0 {
		return "; it is there with --scope " + other
	}
	return ""
}

// places returns the landed tables that the text may name: a table of any
// source, or one of a given source, after its name and a dot.
func (c *Client) places(ctx context.Context, scope, text string) ([]PlaceDoc, error) {
	found, err := c.Tables(ctx, url.Values{"scope": {scope}, "table": {text}})
	if err != nil || !strings.Contains(text, ".") {
		return found, err
	}
	sources, err := c.Sources(ctx, scope)
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		for _, name := range []string{source.Name, source.ID} {
			if table, ok := strings.CutPrefix(text, name+"."); ok && table != "" {
				more, err := c.Tables(ctx, url.Values{"scope": {scope}, "source_id": {source.ID}, "table": {table}})
				if err != nil {
					return nil, err
				}
				found = append(found, more...)
			}
		}
	}
	return found, nil
}

// Tables returns the landed tables that the query selects, from all pages.
func (c *Client) Tables(ctx context.Context, query url.Values) (all []PlaceDoc, err error) {
	for {
		a, err := c.Get(ctx, c.Path("tables"), query)
		if err != nil {
			return nil, err
		}
		var page []PlaceDoc
		if err := a.Into(&page); err != nil {
			return nil, err
		}
		if all = append(all, page...); a.NextCursor == "" {
			return all, nil
		}
		query.Set("cursor", a.NextCursor)
	}
}
