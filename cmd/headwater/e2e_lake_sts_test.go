package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"headwater/api/auth"
	"headwater/bus/bustest"
	"headwater/handlers/landing/buckettest"
)

// TestKeysOfABucketsStore reads a lake in a bucket of SeaweedFS with the keys that its
// STS gives out through the catalog: engines that no one here wrote read every table,
// and the keys of one open nothing else.
func TestKeysOfABucketsStore(t *testing.T) {
	server := buckettest.Seaweed(t, "lake")
	readers := bustest.Tool(t, "readers", "node_modules")
	cfg := testConfig(t)
	cfg.FilesRoot = filepath.Join(t.TempDir(), "files")
	cfg.Lake = "s3://lake/tables?region=us-east-1&endpoint=" + server
	cfg.LakeSTSEndpoint, cfg.LakeSTSRole, cfg.LakeSTSDuration = server, buckettest.SeaweedRole, 15*time.Minute
	n := startTestNode(t, cfg)
	// The service has its keys; whoever reads has none.
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	c := n.as(t, "acme", "ada", auth.RoleEditor)
	names := map[string]string{"a*": "a_x002A_", "ab": "ab", "a$b c?": "a_x0024_b_x0020_c_x003F_", "orders": "orders", "orders2": "orders2"}
	want := map[string]content{}
	for name, named := range maps.All(names) {
		if err := os.WriteFile(filepath.Join(cfg.FilesRoot, name+".csv"), []byte("id,note\n1,"+name+"\n2,ü\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want[named] = contentOf(map[string][]string{"id": {"1", "2"}, "note": {name, "ü"}}, 2)
	}
	if a := c.post("/data/w/connect", object{"sources": []object{{"type": "file", "name": "s", "connection_config": object{"path": "*.csv", "files": "table_per_file"}}}}); a.Code != 200 {
		t.Fatalf("connect: %s", a.Body)
	}
	if a := c.post("/data/w/sync", object{}); a.Code != 200 {
		t.Fatalf("sync: %s", a.Body)
	}
	keys := map[string]map[string]string{}
	files := map[string]string{} // of each table its metadata, as a key
	for _, named := range names {
		loaded := n.loadedBy(t, c.token, "s", named)
		keys[named] = loaded.Config
		files[named] = strings.TrimPrefix(loaded.Location, "s3://lake/")
		if loaded.Config["s3.access-key-id"] == "" || loaded.Config["s3.access-key-id"] == buckettest.AccessKey || loaded.Config["headwater.credentials"] != "vended" || len(loaded.Keys) != 1 || loaded.Warning != "" {
			t.Fatalf("%s: %+v", named, loaded)
		}
	}
	engines := map[string]func() map[string]content{
		"iceberg-go": func() map[string]content { return icebergGo(t, n.URL, c.token, "w") },
		"ClickHouse": func() map[string]content {
			return runNode(t, []string{"NODE_PATH=" + readers, "TZ=UTC"}, "clickhouse.cjs", n.URL, c.token, "w")
		},
	}
	for engine, read := range engines {
		if got := read(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s reads\n%+v, want\n%+v", engine, got, want)
		}
	}
	for _, named := range names {
		own := []string{"its file", "its names"}
		for what, err := range trespasses(t.Context(), server, keys[named], files[named], slices.Collect(maps.Values(files))) {
			if may := slices.Contains(own, what); may != (err == nil) || !may && !forbidden(err) {
				t.Errorf("with the keys of %s, %s: %v", named, what, err)
			}
		}
	}
	logs := string(n.logs.Bytes())
	for _, config := range keys {
		for _, secret := range []string{config["s3.secret-access-key"], config["s3.session-token"], buckettest.SecretKey} {
			if strings.Contains(logs, secret) {
				t.Error("a key is in the log")
			}
		}
	}
}

// TestStartsAtABucketsSTS starts on settings of an STS that give no keys: a role that
// it refuses ends the start, and a lake whose name its policies cannot have has none.
func TestStartsAtABucketsSTS(t *testing.T) {
	server := buckettest.Seaweed(t, "lake")
	unknown := testConfig(t)
	unknown.Lake, unknown.LakeSTSEndpoint, unknown.LakeSTSRole = "s3://lake/others?region=us-east-1&endpoint="+server, server, "arn:aws:iam::111122223333:role/Nobody"
	if _, err := startNode(t.Context(), unknown, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--lake-sts-role: the store's STS refuses AssumeRole (403 AccessDenied)") {
		t.Errorf("an unknown role: %v", err)
	}
	// SeaweedFS does not know what stands for "*" and "$" in a policy.
	cfg := testConfig(t)
	cfg.Lake, cfg.LakeSTSEndpoint, cfg.LakeSTSRole = "s3://lake/our$tables*?region=us-east-1&endpoint="+server, server, buckettest.SeaweedRole
	g := startGenerations(t, cfg)
	loaded := g.n.loadedBy(t, g.c.token, "g", "g")
	if !strings.Contains(loaded.Config["headwater.credentials-reason"], "do not open the table") || loaded.Config["s3.access-key-id"] != "" || loaded.Keys != nil {
		t.Errorf("a lake with a name that means more in a policy: %+v", loaded)
	}
	if got := icebergGo(t, g.n.URL, g.c.token, "w")["g"]; got.Count != generationRows {
		t.Errorf("with keys of its own iceberg-go reads %+v", got)
	}
}

// trespasses tries what keys to a table open, of a file of its own and those of others.
func trespasses(ctx context.Context, server string, keys map[string]string, file string, all []string) map[string]error {
	client := s3.New(s3.Options{
		Region: keys["client.region"], BaseEndpoint: &server, UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: keys["s3.access-key-id"], SecretAccessKey: keys["s3.secret-access-key"], SessionToken: keys["s3.session-token"]}, nil
		}),
	})
	lake := aws.String("lake")
	list := func(prefix string) error {
		_, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: lake, Prefix: &prefix})
		return err
	}
	read := func(key string) error {
		_, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: lake, Key: &key})
		return err
	}
	own := folderOf(file)
	tried := map[string]error{
		"its file": read(file), "its names": list(own + "/"), "the lake's names": list("tables/"), "all names": list(""), "names that begin like its": list(own),
		"the lake's marker": read("tables/headwater-lake.json"),
	}
	_, tried["a write"] = client.PutObject(ctx, &s3.PutObjectInput{Bucket: lake, Key: aws.String(own + "/data/new.parquet"), Body: strings.NewReader("x")})
	_, tried["an overwrite"] = client.PutObject(ctx, &s3.PutObjectInput{Bucket: lake, Key: &file, Body: strings.NewReader("x")})
	_, tried["an upload"] = client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: lake, Key: aws.String(own + "/data/new.parquet")})
	_, tried["a removal"] = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: lake, Key: &file})
	_, tried["a copy"] = client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: lake, Key: aws.String(own + "/data/copy"), CopySource: aws.String("lake/" + file)})
	for _, other := range all {
		if other != file {
			tried["the names of "+folderOf(other)], tried["a file of "+folderOf(other)] = list(folderOf(other)+"/"), read(other)
		}
	}
	return tried
}

// folderOf returns the folder of a table whose metadata file is given.
func folderOf(file string) string { return file[:strings.Index(file, "/metadata/")] }

// forbidden reports whether a store refused a request because of its keys.
func forbidden(err error) bool {
	var answer *awshttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusForbidden
}

// loadedBy loads a table as an engine does that accepts keys.
func (n *testNode) loadedBy(t *testing.T, token, namespace, table string) (loaded loadedTable) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+"/iceberg/v1/w/namespaces/"+namespace+"/tables/"+table, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Iceberg-Access-Delegation", "vended-credentials")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&loaded); err != nil {
		t.Fatal(err)
	}
	loaded.Warning = res.Header.Get("Warning")
	return loaded
}
