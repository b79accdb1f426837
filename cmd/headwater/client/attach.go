package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// AttachCmd prints what an engine takes to read the tables of a source.
type AttachCmd struct {
	ClientFlags `embed:""`
	Engine      string `arg:"" enum:"duckdb,clickhouse,spark,trino,python" help:"duckdb, clickhouse, spark, trino or python."`
	Source      string `arg:"" help:"Name or id of the source."`
	ShowToken   bool   `help:"Write the token of --token into the lines, instead of what stands for one."`
}

// How an engine gets at the files of a table.
const (
	byKeys   = "keys"   // the catalog gives it keys to the service's S3 endpoint
	byFolder = "folder" // it opens the folder itself
	byBucket = "bucket" // it opens the bucket itself, with keys of its own
)

// attachment is what the lines are made of.
type attachment struct {
	Catalog   string `json:"catalog"` // the URL of the REST catalog, without its version
	Warehouse string `json:"warehouse"`
	Namespace string `json:"namespace"`
	Table     string `json:"table"` // one that has landed
	Files     string `json:"files"` // byKeys, byFolder or byBucket
	token     string
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
	if at.Table == "" {
		return exit.With(exit.Refused, fmt.Errorf("nothing of %q has landed; 'headwater sync' lands it", c.Source))
	}
	if at.token = placeholders[c.Engine]; c.ShowToken {
		at.token = c.Token
	}
	lines := engines[c.Engine](at)
	if c.JSON {
		return terminal.PrintJSON(s, map[string]any{"catalog": at.Catalog, "warehouse": at.Warehouse, "namespace": at.Namespace, "table": at.Table, "files": at.Files, "lines": lines})
	}
	if !c.ShowToken {
		s.Note("%s stands for a token: headwater tokens create %s --role viewer --for %s", placeholders[c.Engine], c.Engine, terminal.Plain(c.Workspace))
	}
	switch at.Files {
	case byFolder:
		s.Note("the service gives out no keys (--lake-listen off): the engine must reach the lake's folder by the same path")
	case byBucket:
		s.Note("the lake is a bucket: the engine needs keys of its own to it; 'headwater where' says where the table lies")
	}
	_, err = fmt.Fprintln(s.Out, strings.Join(lines, "\n"))
	return err
}

// attachment asks the catalog what it calls a source and one of its tables, and
// how their files are read.
func (c *Client) attachment(ctx context.Context, source string) (at attachment, err error) {
	at = attachment{Catalog: strings.TrimSuffix(c.base, "/api/v1") + "/iceberg", Warehouse: c.workspace}
	prefix := "/v1/" + url.PathEscape(c.workspace) + "/namespaces"
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
		at.Table = tables.Identifiers[0].Name
		var loaded struct {
			Location string `json:"metadata-location"`
			Metadata struct{ Location string }
			Config   map[string]string `json:"config"`
		}
		if err := c.catalog(ctx, at.Catalog+path+"/tables/"+url.PathEscape(at.Table)+"?snapshots=refs", &loaded); err != nil {
			return at, err
		}
		switch {
		case loaded.Config["s3.access-key-id"] != "":
			at.Files = byKeys
		case strings.HasPrefix(loaded.Metadata.Location, "file:") || strings.HasPrefix(loaded.Metadata.Location, "/"):
			at.Files = byFolder
		default:
			at.Files = byBucket
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
	request.Header = http.Header{"Authorization": {"Bearer " + c.token}, "X-Iceberg-Access-Delegation": {"vended-credentials"}}
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		var failed struct{ Error struct{ Message string } }
		_ = json.Unmarshal(body, &failed) // without a message the status is all there is to say
		return exit.With(exit.Refused, fmt.Errorf("the catalog at %s answered %s %s", from, response.Status, terminal.Plain(failed.Error.Message)))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return exit.With(exit.Unknown, fmt.Errorf("%s is no Iceberg REST catalog: %w", from, err))
	}
	return nil
}

// placeholders stand for a token in the lines, in the way of each engine.
var placeholders = map[string]string{
	"duckdb": "TOKEN", "clickhouse": "TOKEN", "spark": "$HEADWATER_TOKEN", "trino": "${ENV:HEADWATER_TOKEN}", "python": "HEADWATER_TOKEN",
}

// engines write the lines of each engine.
var engines = map[string]func(at attachment) []string{
	"duckdb": func(at attachment) []string {
		access := ""
		if at.Files != byKeys {
			access = ", ACCESS_DELEGATION_MODE 'none'"
		}
		return []string{
			"INSTALL iceberg; LOAD iceberg; INSTALL httpfs; LOAD httpfs;",
			fmt.Sprintf("ATTACH %s AS lake (TYPE iceberg, ENDPOINT %s, TOKEN %s%s);", quoted(at.Warehouse), quoted(at.Catalog), quoted(at.token), access),
			fmt.Sprintf(`SELECT * FROM lake."%s"."%s" LIMIT 10;`, at.Namespace, at.Table),
		}
	},
	"clickhouse": func(at attachment) []string {
		access := ""
		if at.Files != byKeys {
			access = ", vended_credentials = 0"
		}
		return []string{
			"SET allow_experimental_database_iceberg = 1;",
			fmt.Sprintf("CREATE DATABASE lake ENGINE = DataLakeCatalog(%s) SETTINGS catalog_type = 'rest', warehouse = %s, auth_header = %s%s;",
				quoted(at.Catalog+"/v1"), quoted(at.Warehouse), quoted("Authorization: Bearer "+at.token), access),
			fmt.Sprintf("SELECT * FROM lake.`%s.%s` LIMIT 10;", at.Namespace, at.Table),
		}
	},
	"spark": func(at attachment) []string {
		lines := []string{"spark-sql --packages org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.9.2,org.apache.iceberg:iceberg-aws-bundle:1.9.2 \\",
			"  --conf spark.sql.catalog.lake=org.apache.iceberg.spark.SparkCatalog \\", "  --conf spark.sql.catalog.lake.type=rest \\",
			"  --conf spark.sql.catalog.lake.uri=" + at.Catalog + " \\", "  --conf spark.sql.catalog.lake.warehouse=" + at.Warehouse + " \\",
			`  --conf "spark.sql.catalog.lake.token=` + at.token + "\" \\"}
		if at.Files == byKeys {
			lines = append(lines, "  --conf spark.sql.catalog.lake.header.X-Iceberg-Access-Delegation=vended-credentials \\")
		}
		return append(lines, fmt.Sprintf("  -e 'SELECT * FROM lake.`%s`.`%s` LIMIT 10'", at.Namespace, at.Table))
	},
	"trino": func(at attachment) []string {
		lines := []string{"# etc/catalog/lake.properties", "connector.name=iceberg", "iceberg.catalog.type=rest", "iceberg.rest-catalog.uri=" + at.Catalog,
			"iceberg.rest-catalog.warehouse=" + at.Warehouse, "iceberg.rest-catalog.security=OAUTH2", "iceberg.rest-catalog.oauth2.token=" + at.token,
			"iceberg.rest-catalog.case-insensitive-name-matching=true"}
		if at.Files == byKeys {
			lines = append(lines, "iceberg.rest-catalog.vended-credentials-enabled=true", "fs.native-s3.enabled=true", "s3.region=us-east-1")
		}
		return append(lines, "# then, in Trino", fmt.Sprintf(`SELECT * FROM lake."%s"."%s" LIMIT 10;`, strings.ToLower(at.Namespace), strings.ToLower(at.Table)))
	},
	"python": func(at attachment) []string {
		token := `os.environ["` + at.token + `"]`
		if at.token != placeholders["python"] {
			token = pythonText(at.token)
		}
		return []string{
			"# pip install 'pyiceberg[pyarrow]'", "import os", "from pyiceberg.catalog import load_catalog", "",
			fmt.Sprintf(`catalog = load_catalog("lake", type="rest", uri=%s, warehouse=%s, token=%s)`, pythonText(at.Catalog), pythonText(at.Warehouse), token),
			fmt.Sprintf("print(catalog.load_table((%s, %s)).scan(limit=10).to_arrow())", pythonText(at.Namespace), pythonText(at.Table)),
		}
	},
}

// pythonText returns a text as Python writes it.
func pythonText(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}
