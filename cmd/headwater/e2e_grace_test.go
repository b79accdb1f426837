package main

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/bus"
)

// TestGraceEndsInNothing removes a source, stops the service, lets the grace
// period pass and starts it again: then no key, no sealed secret and no row of
// the source is left in any file, and nothing can be restored.
func TestGraceEndsInNothing(t *testing.T) {
	t.Parallel() // it waits more than it computes
	web := sampleAPI(t, 21, "canary-api-key-5f1d")
	cfg := testConfig(t)
	cfg.Grace = time.Hour
	stop := func(n *testNode) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), drainLimit+busy)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	n := startTestNode(t, cfg)
	c := n.as(t, "acme", "ada", "editor")
	if a := c.post("/data/w/connect", object{"sources": []object{
		{"type": "api", "name": "gone", "connection_config": object{"base_url": web.URL + "/sales", "api_key": "canary-api-key-5f1d"}},
		{"type": "api", "name": "stays", "connection_config": object{"base_url": web.URL + "/sales", "api_key": "canary-api-key-5f1d"}},
	}}); a.Code != 200 {
		t.Fatalf("connect: %s", a.Body)
	}
	gone, stays := idOf(t, c, "gone"), idOf(t, c, "stays")
	if a := c.post("/data/w/sync", object{}); a.Code != 200 {
		t.Fatalf("sync: %s", a.Body)
	}
	// Removed and restored, it syncs on with its secret.
	c.post("/data/w/cleanup", object{"source_ids": []string{gone}})
	if a := c.post("/data/w/restore", object{"source_ids": []string{gone}}); a.Code != 200 {
		t.Fatalf("restore: %s", a.Body)
	}
	if a := c.post("/data/w/sync", object{"source_ids": []string{gone}, "sync_options": object{"incremental": true}}); a.Code != 200 {
		t.Fatalf("sync after the restore: %s", a.Body)
	}
	stop(n)
	sealed := sealedOf(t, cfg, gone)
	if left := holding(t, cfg.DataDir, sealed); len(left) < len(sealed) {
		t.Fatalf("of %d sealed values %d are found in the files: the search is no good", len(sealed), len(left))
	}

	cfg.Grace = time.Second
	n = startTestNode(t, cfg)
	c = n.as(t, "acme", "ada", "editor")
	if a := c.post("/data/w/cleanup", object{"source_ids": []string{gone}}); a.Code != 200 {
		t.Fatalf("cleanup: %s", a.Body)
	}
	stop(n)
	n = startTestNode(t, cfg)
	c = n.as(t, "acme", "ada", "editor")
	events := func() string { return string(c.get("/data/w/events?type=SourcePurged&source_id=" + gone).Body) }
	for deadline := time.Now().Add(60 * time.Second); !strings.Contains(events(), gone) || len(filesBelow(t, filepath.Join(cfg.DataDir, "lake"), gone)) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not purged: %s, files %v", events(), filesBelow(t, filepath.Join(cfg.DataDir, "lake"), gone))
		}
	}
	if a := c.post("/data/w/restore", object{"source_ids": []string{gone}}); a.Code != 410 {
		t.Errorf("restore of what is destroyed: %d %s", a.Code, a.Body)
	}
	if a := c.get("/data/w/list?removed=true"); string(a.Data) != "[]" {
		t.Errorf("shown as restorable: %s", a.Data)
	}
	if a := c.post("/data/w/sync", object{"source_ids": []string{stays}}); a.Code != 200 {
		t.Errorf("the other source: %s", a.Body)
	}
	stop(n)
	for _, found := range holding(t, cfg.DataDir, sealed) {
		t.Errorf("still there: %s", found)
	}
	if len(filesBelow(t, filepath.Join(cfg.DataDir, "lake"), stays)) == 0 {
		t.Error("the other source's tables went, too")
	}
}

// sealedOf returns everything that the bucket of secrets holds for a source of a
// stopped service: its wrapped keyset and its ciphertexts.
func sealedOf(t *testing.T, cfg Config, source string) map[string][]byte {
	t.Helper()
	wire, err := bus.Open(t.Context(), bus.Config{Dir: cfg.path("bus"), Listen: "off", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := wire.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	bucket := wire.Bucket(bus.BucketSecrets)
	keys, err := bucket.Keys(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	sealed := map[string][]byte{}
	for _, key := range keys {
		if strings.Contains(key, source) {
			entry, err := bucket.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			sealed[key] = entry.Value
		}
	}
	if len(sealed) < 2 {
		t.Fatalf("a keyset and a secret were to be found, not %d values", len(sealed))
	}
	return sealed
}

// holding returns which of the values any file below dir holds, and where.
func holding(t *testing.T, dir string, values map[string][]byte) (found []string) {
	t.Helper()
	for _, path := range filesBelow(t, dir, "") {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, value := range values {
			if bytes.Contains(raw, value) {
				found = append(found, what+" in "+strings.TrimPrefix(path, dir))
			}
		}
	}
	return found
}

// filesBelow returns the files below dir whose path holds the text.
func filesBelow(t *testing.T, dir, text string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(path, text) {
			paths = append(paths, path)
		}
		return nil // files come and go while the service runs
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
