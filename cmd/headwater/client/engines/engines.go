// Package engines writes the lines with which query engines read landed tables:
// through the Iceberg REST catalog, or a metadata file directly. It knows no
// service and no token but the one it is given.
package engines

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Ways in which an engine reads the files of a table.
const (
	ByKeys   = "keys"   // with keys from the catalog: of the service's S3 endpoint, or of the bucket's store
	ByFolder = "folder" // directly from the lake's folder
	ByBucket = "bucket" // directly from the lake's bucket, with keys of its own
)

// Table is a table as an engine finds it in the catalog.
type Table struct {
	Catalog   string // URL of the REST catalog, without its version
	Warehouse string
	Namespace string
	Name      string
	Files     string // ByKeys, ByFolder or ByBucket
	Endpoint  string // of S3, where the keys are for; "" without keys, and for Amazon's
	Region    string // the same; "" for us-east-1
	NoKeys    string // why the service has no keys to a bucket, if it asked for them
}

// placeholders stand for a token in the lines, in a form that suits each engine.
var placeholders = map[string]string{
	"duckdb": "TOKEN", "clickhouse": "TOKEN", "spark": "$HEADWATER_TOKEN", "trino": "${ENV:HEADWATER_TOKEN}", "python": "HEADWATER_TOKEN",
}

// Names returns the names of the engines, sorted.
func Names() []string { return slices.Sorted(maps.Keys(writers)) }

// Placeholder returns what stands for a token in the lines of an engine, "" for an
// unknown engine.
func Placeholder(engine string) string { return placeholders[engine] }

// Lines returns the lines with which an engine reads the table, nil for an unknown
// engine. token is written into them: a token, or the engine's Placeholder.
func Lines(engine string, at Table, token string) []string {
	write := writers[engine]
	if write == nil {
		return nil
	}
	return write(at, token)
}

var writers = map[string]func(at Table, token string) []string{
	"duckdb": func(at Table, token string) []string {
		access := ""
		if at.Files != ByKeys {
			access = ", ACCESS_DELEGATION_MODE 'none'"
		}
		return []string{
			"INSTALL iceberg; LOAD iceberg; INSTALL httpfs; LOAD httpfs;",
			fmt.Sprintf("ATTACH %s AS lake (TYPE iceberg, ENDPOINT %s, TOKEN %s%s);", sqlText(at.Warehouse), sqlText(at.Catalog), sqlText(token), access),
			fmt.Sprintf(`SELECT * FROM lake."%s"."%s" LIMIT 10;`, at.Namespace, at.Name),
		}
	},
	"clickhouse": func(at Table, token string) []string {
		access := ""
		if at.Files != ByKeys {
			access = ", vended_credentials = 0"
		}
		return []string{
			"SET allow_experimental_database_iceberg = 1;",
			fmt.Sprintf("CREATE DATABASE lake ENGINE = DataLakeCatalog(%s) SETTINGS catalog_type = 'rest', warehouse = %s, auth_header = %s%s;",
				sqlText(at.Catalog+"/v1"), sqlText(at.Warehouse), sqlText("Authorization: Bearer "+token), access),
			fmt.Sprintf("SELECT * FROM lake.`%s.%s` LIMIT 10;", at.Namespace, at.Name),
		}
	},
	"spark": func(at Table, token string) []string {
		lines := []string{"spark-sql --packages org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.9.2,org.apache.iceberg:iceberg-aws-bundle:1.9.2 \\",
			"  --conf spark.sql.catalog.lake=org.apache.iceberg.spark.SparkCatalog \\", "  --conf spark.sql.catalog.lake.type=rest \\",
			"  --conf spark.sql.catalog.lake.uri=" + at.Catalog + " \\", "  --conf spark.sql.catalog.lake.warehouse=" + at.Warehouse + " \\",
			`  --conf "spark.sql.catalog.lake.token=` + token + "\" \\"}
		if at.Files == ByKeys {
			lines = append(lines, "  --conf spark.sql.catalog.lake.header.X-Iceberg-Access-Delegation=vended-credentials \\")
		}
		return append(lines, fmt.Sprintf("  -e 'SELECT * FROM lake.`%s`.`%s` LIMIT 10'", at.Namespace, at.Name))
	},
	"trino": func(at Table, token string) []string {
		lines := []string{"# etc/catalog/lake.properties", "connector.name=iceberg", "iceberg.catalog.type=rest", "iceberg.rest-catalog.uri=" + at.Catalog,
			"iceberg.rest-catalog.warehouse=" + at.Warehouse, "iceberg.rest-catalog.security=OAUTH2", "iceberg.rest-catalog.oauth2.token=" + token,
			"iceberg.rest-catalog.case-insensitive-name-matching=true"}
		if at.Files == ByKeys {
			lines = append(lines, "iceberg.rest-catalog.vended-credentials-enabled=true", "# fs.s3.enabled=true in newer releases", "fs.native-s3.enabled=true")
			// Older releases take no more than the keys from the catalog.
			if at.Endpoint != "" {
				lines = append(lines, "s3.endpoint="+at.Endpoint, "s3.path-style-access=true")
			}
			lines = append(lines, "s3.region="+cmp.Or(at.Region, "us-east-1"))
		}
		return append(lines, "# then, in Trino", fmt.Sprintf(`SELECT * FROM lake."%s"."%s" LIMIT 10;`, strings.ToLower(at.Namespace), strings.ToLower(at.Name)))
	},
	"python": func(at Table, token string) []string {
		written := `os.environ["` + token + `"]`
		if token != placeholders["python"] {
			written = pythonText(token)
		}
		return []string{
			"# pip install 'pyiceberg[pyarrow]'", "import os", "from pyiceberg.catalog import load_catalog", "",
			fmt.Sprintf(`catalog = load_catalog("lake", type="rest", uri=%s, warehouse=%s, token=%s)`, pythonText(at.Catalog), pythonText(at.Warehouse), written),
			fmt.Sprintf("print(catalog.load_table((%s, %s)).scan(limit=10).to_arrow())", pythonText(at.Namespace), pythonText(at.Name)),
		}
	},
}

// pythonText returns a Python string literal.
func pythonText(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}

// Path returns the path of a file:// URL, and any other location unchanged.
func Path(location string) string {
	if rest, ok := strings.CutPrefix(location, "file://"); ok {
		if path, err := url.PathUnescape(rest); err == nil {
			return path
		}
	}
	return location
}

// DuckDB returns the statements with which DuckDB reads the table that a metadata
// file defines, without a catalog. storage are the settings of a lake in a bucket.
func DuckDB(metadata string, storage map[string]string) string {
	read := "INSTALL iceberg; LOAD iceberg; SELECT * FROM iceberg_scan(" + sqlText(Path(metadata)) + ") LIMIT 10;"
	if !strings.HasPrefix(metadata, "s3://") {
		return read
	}
	secret := "CREATE SECRET (TYPE s3, PROVIDER credential_chain"
	if region := storage["region"]; region != "" {
		secret += ", REGION " + sqlText(region)
	}
	if endpoint := storage["endpoint"]; endpoint != "" {
		scheme, host, ok := strings.Cut(endpoint, "://")
		if !ok {
			scheme, host = "https", endpoint
		}
		secret += ", ENDPOINT " + sqlText(strings.TrimRight(host, "/"))
		if scheme == "http" {
			secret += ", USE_SSL false"
		}
	}
	if storage["use_path_style"] == "true" || storage["endpoint"] != "" && storage["use_path_style"] != "false" {
		secret += ", URL_STYLE 'path'"
	}
	return "INSTALL httpfs; LOAD httpfs; INSTALL aws; LOAD aws; " + secret + "); " + read
}

// sqlText returns a SQL string literal.
func sqlText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
