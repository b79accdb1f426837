package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/handlers/landing/buckettest"
)

// TestStartOnAStoreThatRefuses starts a service on what no waiting mends, and on
// a store that says nothing: within seconds it serves reads, says what is wrong
// in its log and at /readyz, in the store's own words, and lands what there is
// to land once the store is well.
func TestStartOnAStoreThatRefuses(t *testing.T) {
	r := newBucketRun(t)
	s := r.connect("kept", "full")
	if status, message := s.sync(object{}); status != "completed" {
		t.Fatal(message)
	}
	if a := r.ready(); a.Code != 200 {
		t.Errorf("/readyz of a well store: %s", a.Body)
	}
	well := r.cfg.Lake
	untrusted := buckettest.NewTLSProxy(t, buckettest.Over(t, r.buckets, buckettest.AccessKey, buckettest.SecretKey))
	type refusal struct {
		name   string
		spoil  func()
		words  []string // of the log and of /readyz; one of them
		closed bool     // the settings are wrong, so that only another start mends them
	}
	all := []refusal{
		{"silent", func() { r.proxy.Set(buckettest.Fault{Kind: "silent"}) }, []string{"GetObject lake/headwater-lake.json: ", "no answer"}, false},
		{"throttling", func() { r.proxy.Set(buckettest.Fault{Kind: "503 SlowDown"}) }, []string{": 503 SlowDown"}, false},
		{"no right to write", func() { r.proxy.Set(buckettest.Fault{Method: "PUT", Kind: "403 AccessDenied"}) }, []string{"PutObject lake/headwater-probe-", ": 403 AccessDenied"}, false},
		{"no such bucket", func() { r.proxy.Set(buckettest.Fault{Kind: "404 NoSuchBucket"}) }, []string{"GetObject lake/headwater-lake.json: 404 NoSuchBucket"}, false},
		{"another region", func() { r.proxy.Set(buckettest.Fault{Kind: "301 PermanentRedirect"}) }, []string{"GetObject lake/headwater-lake.json: 301 PermanentRedirect"}, false},
		{"wrong secret", func() { t.Setenv("AWS_SECRET_ACCESS_KEY", "another") }, []string{"GetObject lake/headwater-lake.json: 403 SignatureDoesNotMatch"}, true},
		{"no keys", func() {
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
		}, []string{"GetObject lake/headwater-lake.json: no credentials"}, true},
		{"unknown authority", func() { r.cfg.Lake = "s3://lab/lake?region=us-east-1&endpoint=" + untrusted.URL }, []string{"GetObject lake/headwater-lake.json: the bucket's certificate is not trusted"}, true},
		{"nobody there", func() { r.cfg.Lake = "s3://lab/lake?region=us-east-1&endpoint=http://127.0.0.1:1" }, []string{"GetObject lake/headwater-lake.json: no connection"}, true},
	}
	for i, c := range all {
		if testing.Short() && i != 0 && i != 5 { // the whole list is for longer runs
			continue
		}
		r.end()
		c.spoil()
		began := time.Now()
		r.begin()
		if took := time.Since(began); took > lakeLimit+busy {
			t.Errorf("%s: the start took %v", c.name, took)
		}
		if a := r.call("GET", "/data/w/list", nil); a.Code != 200 || !strings.Contains(string(a.Body), "kept") {
			t.Errorf("%s: the list: %s", c.name, a.Body)
		}
		a := r.ready()
		for _, words := range c.words {
			if a.Code != 503 || !strings.Contains(a.Message, words) {
				t.Errorf("%s: /readyz does not say %q: %d %s", c.name, words, a.Code, a.Message)
			}
		}
		if strings.Contains(a.Message, "127.0.0.1") {
			t.Errorf("%s: /readyz names a host: %s", c.name, a.Message)
		}
		if log := string(r.node.logs.Bytes()); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "the lake ") {
			t.Errorf("%s: the log says nothing:\n%s", c.name, log)
		}
		if status, message := s.sync(object{"timeout": "3s"}); status != "failed" || !strings.Contains(message, "lake/") {
			t.Errorf("%s: a sync is %s: %s", c.name, status, message)
		}
		r.proxy.Set()
		if c.closed {
			r.end()
			r.cfg.Lake = well
			r.keys()
			r.begin()
		}
		until(t, c.name+": ready again", func() bool { return r.ready().Code == 200 })
		if status, message := s.sync(object{}); status != "completed" {
			t.Errorf("%s: the sync after it: %s", c.name, message)
		}
	}
	if now := s.read(); !slices.Equal(now.Lines, s.want) || len(now.left) > 0 {
		t.Errorf("%d rows, %v left over", len(now.Lines), now.left)
	}
	r.quiet()
}

// A folder that cannot be written, or whose disk is full, is told as well; the
// reads go on.
func TestStartOnAFolderThatRefuses(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	r := newFolderRun(t)
	s := r.connect("kept", "full")
	if status, message := s.sync(object{}); status != "completed" {
		t.Fatal(message)
	}
	r.end()
	if err := os.Chmod(r.lake, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(r.lake, 0o750) })
	r.begin()
	if a := r.ready(); a.Code != 503 || !strings.Contains(a.Message, "the lake's folder cannot be written: permission denied") || strings.Contains(a.Message, r.lake) {
		t.Errorf("/readyz: %d %s", a.Code, a.Message)
	}
	if a := r.call("GET", "/data/w/list", nil); a.Code != 200 {
		t.Errorf("list: %s", a.Body)
	}
	if err := os.Chmod(r.lake, 0o750); err != nil {
		t.Fatal(err)
	}
	until(t, "ready again", func() bool { return r.ready().Code == 200 })
}
