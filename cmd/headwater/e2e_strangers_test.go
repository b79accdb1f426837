package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go/catalog/rest"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"headwater/api/auth"
	"headwater/bus/bustest"
	"headwater/handlers/landing/buckettest"
)

// content is what somebody reads of a table: its rows, and of each column the MD5
// of its values' texts in order.
type content struct {
	Count   int               `json:"count"`
	Columns map[string]string `json:"columns"`
}

func contentOf(columns map[string][]string, count int) content {
	c := content{Count: count, Columns: map[string]string{}}
	for name, texts := range columns {
		slices.Sort(texts)
		sum := md5.Sum([]byte(strings.Join(texts, "\n")))
		c.Columns[name] = hex.EncodeToString(sum[:])
	}
	return c
}

// TestStrangers reads a lake that is a folder through the catalog and its S3
// endpoint, with programs that no one here wrote: ClickHouse, iceberg-go, and
// iceberg-js with icebird and two clients of S3. After each kind of sync each of
// them reads what the source has.
func TestStrangers(t *testing.T) {
	t.Parallel()
	npm, readers := bustest.Tool(t, "npm", "node_modules"), bustest.Tool(t, "readers", "node_modules")
	cfg := testConfig(t)
	cfg.FilesRoot = filepath.Join(t.TempDir(), "files")
	cfg.Grace = time.Hour
	n := startTestNode(t, cfg)
	c := n.as(t, "acme", "ada", auth.RoleEditor)
	db, err := sql.Open("sqlite", filepath.Join(cfg.FilesRoot, "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	do := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	series := func(from, to int) string {
		return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) ", from, to)
	}
	do(`CREATE TABLE "odd. name/_x" (id INTEGER PRIMARY KEY, note TEXT, price REAL, version INTEGER, gone INTEGER)`,
		series(1, 2000)+`INSERT INTO "odd. name/_x" SELECT i, iif(i % 10, 'order Ω ' || i, NULL), i / 4.0, i, 0 FROM n`)
	connected := c.post("/data/w/connect", object{"sources": []object{{"type": "file", "name": "the shop.1", "connection_config": object{"path": "shop.db"}}}})
	if connected.Code != 200 {
		t.Fatalf("connect: %s", connected.Body)
	}
	const name = "odd_x002E__x0020_name_x002F__x005F_x"
	var before content
	var then time.Time
	var source struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}
	connected.into(t, &source)
	for _, step := range []struct {
		kind       string
		statements []string
		options    object // of a sync
	}{
		{"full refresh", nil, object{"mode": "full_refresh", "cursor_columns": object{"odd. name/_x": "version"}}},
		{"append", []string{series(2001, 2500) + `INSERT INTO "odd. name/_x" SELECT i, 'new ' || i, i / 8.0, i, 0 FROM n`}, object{"mode": "incremental", "cursor_columns": object{"odd. name/_x": "version"}}},
		{"merge with deletes", []string{
			`UPDATE "odd. name/_x" SET note = 'changed', version = id + 10000 WHERE id % 7 = 0`,
			`UPDATE "odd. name/_x" SET gone = 1, version = id + 20000 WHERE id % 31 = 0`,
		}, object{"mode": "incremental", "merge": true, "deleted_columns": object{"odd. name/_x": "gone"}, "cursor_columns": object{"odd. name/_x": "version"}}},
		{"a new column", []string{
			`ALTER TABLE "odd. name/_x" ADD COLUMN extra TEXT`,
			series(3001, 3100) + `INSERT INTO "odd. name/_x" SELECT i, NULL, NULL, i + 30000, 0, 'extra ' || i FROM n`,
		}, object{"mode": "incremental", "merge": true, "deleted_columns": object{"odd. name/_x": "gone"}, "cursor_columns": object{"odd. name/_x": "version"}}},
		{"maintenance", nil, nil},
		{"restore of the removed source", nil, nil},
	} {
		do(step.statements...)
		var a answer
		switch step.kind {
		case "maintenance":
			a = c.post("/data/w/maintenance", object{})
		case "restore of the removed source":
			if a = c.post("/data/w/cleanup", object{}); a.Code == 200 {
				a = c.post("/data/w/restore", object{"source_ids": []string{source.Sources[0].ID}})
			}
		default:
			a = c.post("/data/w/sync", object{"sync_options": step.options})
		}
		if a.Code != 200 {
			t.Fatalf("%s: %s", step.kind, a.Body)
		}
		want := sourceContent(t, db, `SELECT * FROM "odd. name/_x" WHERE gone = 0`)
		for reader, read := range map[string]func() map[string]content{
			"ClickHouse": func() map[string]content {
				return runNode(t, []string{"NODE_PATH=" + readers, "TZ=UTC"}, "clickhouse.cjs", n.URL, c.token, "w")
			},
			"iceberg-js, icebird, aws4fetch and minio": func() map[string]content {
				return runNode(t, nil, "readers.mjs", n.URL, c.token, "w", npm, readers)
			},
			"iceberg-go": func() map[string]content { return icebergGo(t, n.URL, c.token, "w") },
		} {
			if got := read(); len(got) != 1 || !reflect.DeepEqual(got[name], want) {
				t.Errorf("after %s %s reads\n%+v, want\n%+v", step.kind, reader, got, want)
			}
		}
		if before.Count > 0 { // as it was before this sync
			if got := icebergGo(t, n.URL, c.token, "w@"+then.UTC().Format("2006-01-02T15:04:05.000Z")); !reflect.DeepEqual(got[name], before) {
				t.Errorf("as of before %s iceberg-go reads\n%+v, want\n%+v", step.kind, got, before)
			}
		}
		before, then = want, time.Now()
		for time.Since(then) < 2*time.Millisecond { // the next commit is of another millisecond
			time.Sleep(time.Millisecond)
		}
	}
	if a := c.post("/data/w/cleanup", object{}); a.Code != 200 {
		t.Fatalf("cleanup: %s", a.Body)
	}
	if got := icebergGo(t, n.URL, c.token, "w"); len(got) != 0 {
		t.Errorf("of a removed source there is %+v", got)
	}
}

// sourceContent reads a query's rows as the readers' texts.
func sourceContent(t *testing.T, db *sql.DB, query string) content {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	columns, count := map[string][]string{}, 0
	for ; rows.Next(); count++ {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			columns[names[i]] = append(columns[names[i]], textOf(v))
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return contentOf(columns, count)
}

func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// runNode runs one of the scripts from a folder of its own, and returns what it
// read by the tables' names.
func runNode(t *testing.T, env []string, script string, args ...string) (tables map[string]content) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &tables)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, said.Bytes())
	}
	return tables
}

// icebergGo reads every table of a warehouse with iceberg-go's client of REST
// catalogs, and AWS's client of S3.
func icebergGo(t *testing.T, service, token, warehouse string) map[string]content {
	readsByVendedKeys()
	t.Helper()
	ctx := t.Context()
	catalog, err := rest.NewCatalog(ctx, "lake", service+"/iceberg", rest.WithOAuthToken(token), rest.WithWarehouseLocation(warehouse))
	if err != nil {
		t.Fatal(err)
	}
	namespaces, err := catalog.ListNamespaces(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]content{}
	for _, namespace := range namespaces {
		for ident, err := range catalog.ListTables(ctx, namespace) {
			if err != nil {
				t.Fatal(err)
			}
			if exists, err := catalog.CheckTableExists(ctx, ident); err != nil || !exists {
				t.Errorf("%v: exists %v, %v", ident, exists, err)
			}
			tbl, err := catalog.LoadTable(ctx, ident)
			if err != nil {
				t.Fatal(err)
			}
			found[ident[len(ident)-1]] = scanned(t, tbl)
		}
	}
	return found
}

func scanned(t *testing.T, tbl *table.Table) content {
	t.Helper()
	c, err := scan(t.Context(), tbl)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// scan reads all rows of a table.
func scan(ctx context.Context, tbl *table.Table) (content, error) {
	_, batches, err := tbl.Scan().ToArrowRecords(ctx)
	if err != nil {
		return content{}, err
	}
	columns, count := map[string][]string{}, 0
	for batch, err := range batches {
		if err != nil {
			return content{}, err
		}
		count += int(batch.NumRows())
		for i, f := range batch.Schema().Fields() {
			for row := range int(batch.NumRows()) {
				columns[f.Name] = append(columns[f.Name], textOf(arrowValue(batch.Column(i), row)))
			}
		}
	}
	return contentOf(columns, count), nil
}

func arrowValue(column arrow.Array, row int) any {
	if column.IsNull(row) {
		return nil
	}
	if f, ok := column.(*array.Float64); ok {
		return f.Value(row)
	}
	return column.ValueStr(row)
}

// readsByVendedKeys has iceberg-go read s3:// by the keys that a catalog gave out.
var readsByVendedKeys = sync.OnceFunc(func() {
	iceio.Register("s3", func(_ context.Context, _ *url.URL, config map[string]string) (iceio.IO, error) {
		return vended{s3.New(s3.Options{
			Region: config["s3.region"], BaseEndpoint: aws.String(config["s3.endpoint"]), UsePathStyle: true,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				if config["s3.access-key-id"] == "" { // the reader's own, to a bucket
					return aws.Credentials{AccessKeyID: buckettest.AccessKey, SecretAccessKey: buckettest.SecretKey}, nil
				}
				return aws.Credentials{AccessKeyID: config["s3.access-key-id"], SecretAccessKey: config["s3.secret-access-key"], SessionToken: config["s3.session-token"]}, nil
			}),
		})}, nil
	})
})

// vended reads by the keys that a catalog gave out.
type vended struct{ client *s3.Client }

type vendedFile struct{ *bytes.Reader }

func (vendedFile) Close() error                 { return nil }
func (f vendedFile) Stat() (fs.FileInfo, error) { return vendedInfo{size: f.Size()}, nil }

type vendedInfo struct {
	fs.FileInfo
	size int64
}

func (i vendedInfo) Size() int64 { return i.size }

func (v vended) Open(name string) (iceio.File, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(name, "s3://"), "/")
	out, err := v.client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return nil, err
	}
	return vendedFile{bytes.NewReader(all)}, nil
}

func (vended) Remove(string) error { return errors.ErrUnsupported }
