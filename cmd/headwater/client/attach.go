package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"headwater/cmd/headwater/client/engines"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// AttachCmd prints the lines with which an engine reads the tables of a source.
type AttachCmd struct {
	ClientFlags `embed:""`
	Engine      string `arg:"" enum:"duckdb,clickhouse,spark,trino,python" help:"duckdb, clickhouse, spark, trino or python."`
	Source      string `arg:"" help:"Name or id of the source."`
	ShowToken   bool   `help:"Print the token of --token in the lines instead of a placeholder."`
}

// Run asks the catalog for the names that it gives the source and one of its
// tables, and prints the lines. A source of which nothing has landed is an error.
func (c *AttachCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	ids, err := api.sourceIDs(ctx, c.Scope, []string{c.Source})
	if err != nil {
		return err
	}
	at, err := api.attachment(ctx, ids[0])
	if err != nil {
		return err
	}
	if at.Name == "" {
		return exit.With(exit.Refused, fmt.Errorf("nothing of %q has landed; 'headwater sync' lands it", c.Source))
	}
	token := engines.Placeholder(c.Engine)
	if c.ShowToken {
		token = c.Token
	}
	lines := engines.Lines(c.Engine, at, token)
	if c.JSON {
		return terminal.PrintJSON(s, map[string]any{"catalog": at.Catalog, "warehouse": at.Warehouse, "namespace": at.Namespace, "table": at.Name, "files": at.Files, "no_keys": at.NoKeys, "lines": lines})
	}
	if !c.ShowToken {
		s.Note("%s stands for a token: headwater tokens create %s --role viewer --for %s", token, c.Engine, terminal.Plain(c.Workspace))
	}
	switch at.Files {
	case engines.ByFolder:
		s.Note("the service gives out no keys (--lake-listen off): the engine must reach the lake's folder by the same path")
	case engines.ByBucket:
		s.Note("the lake is a bucket: the engine needs keys of its own to it; 'headwater where' says where the table lies")
		if at.NoKeys != "" {
			s.Note("the service has none to give: %s", terminal.Plain(at.NoKeys))
		}
	}
	_, err = fmt.Fprintln(s.Out, strings.Join(lines, "\n"))
	return err
}

// attachment asks the catalog what it calls a source and one of its tables, and
// how their files are read.
func (c *Client) attachment(ctx context.Context, source string) (at engines.Table, err error) {
	at = engines.Table{Catalog: strings.TrimSuffix(c.Base, "/api/v1") + "/iceberg", Warehouse: c.Workspace}
	prefix := "/v1/" + url.PathEscape(c.Workspace) + "/namespaces"
	var list struct {
		Namespaces [][]string `json:"namespaces"`
	}
	if err := c.catalog(ctx, at.Catalog+prefix, &list); err != nil {
		return at, err
	}
	for _, n := range list.Namespaces {
		var one struct {
			Properties map[string]string `json:"properties"`
		}
		if len(n) != 1 {
			continue
		}
		path := prefix + "/" + url.PathEscape(n[0])
		if err := c.catalog(ctx, at.Catalog+path, &one); err != nil {
			return at, err
		}
		if one.Properties["source_id"] != source {
			continue
		}
		at.Namespace = n[0]
		var tables struct {
			Identifiers []struct{ Name string }
		}
		if err := c.catalog(ctx, at.Catalog+path+"/tables", &tables); err != nil || len(tables.Identifiers) == 0 {
			return at, err
		}
		at.Name = tables.Identifiers[0].Name
		var loaded struct {
			Location string `json:"metadata-location"`
			Metadata struct{ Location string }
			Config   map[string]string `json:"config"`
		}
		if err := c.catalog(ctx, at.Catalog+path+"/tables/"+url.PathEscape(at.Name)+"?snapshots=refs", &loaded); err != nil {
			return at, err
		}
		switch {
		case loaded.Config["s3.access-key-id"] != "":
			at.Files, at.Endpoint, at.Region = engines.ByKeys, loaded.Config["s3.endpoint"], loaded.Config["client.region"]
		case strings.HasPrefix(loaded.Metadata.Location, "file:") || strings.HasPrefix(loaded.Metadata.Location, "/"):
			at.Files = engines.ByFolder
		default:
			at.Files, at.NoKeys = engines.ByBucket, loaded.Config["headwater.credentials-reason"]
		}
		return at, nil
	}
	return at, nil
}

// catalog gets something of the REST catalog, which answers as Iceberg says.
func (c *Client) catalog(ctx context.Context, from string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	request.Header = http.Header{"Authorization": {"Bearer " + c.Token}, "X-Iceberg-Access-Delegation": {"vended-credentials"}}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return c.Unreachable(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, rest.MaxAnswer))
	if err != nil {
		return c.Unreachable(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		var failed struct{ Error struct{ Message string } }
		_ = json.Unmarshal(body, &failed) // without a message the status is all there is to say
		return exit.With(exit.Refused, fmt.Errorf("the catalog at %s answered %s %s", from, response.Status, terminal.Plain(failed.Error.Message)))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return exit.With(exit.Unknown, fmt.Errorf("%s is not an Iceberg REST catalog: %w", from, err))
	}
	return nil
}
