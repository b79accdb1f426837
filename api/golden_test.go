package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestBodies pins what clients read, byte for byte but for ids and times.
func TestBodies(t *testing.T) {
	h := newHouse(t)
	c := h.ada()
	var all bytes.Buffer
	show := func(title string, r reply) reply {
		t.Helper()
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, []byte(r.Raw), "", "  "); err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		fmt.Fprintf(&all, "== %s: %d\n%s\n", title, r.Code, pretty.String())
		return r
	}
	config := func(host string) object {
		return object{"source_config": object{"type": "database", "connection_config": database(host)}}
	}
	show("test-connection that works", c.post("/data/w1/test-connection", config("db")))
	show("test-connection that does not", c.post("/data/w1/test-connection", config("unreachable")))
	show("test-connection of a wrong configuration", c.post("/data/w1/test-connection", object{"source_config": object{"type": "postgresql", "connection_config": object{"port": "5432"}}}))
	good := source("customer_db", "db")
	good["metadata"] = object{"description": "Customers <&> more"}
	connected := show("connect, one of three", c.post("/data/w1/connect", object{"sources": []object{good, source("lost", "unreachable"), {"type": "oracle", "name": "other", "connection_config": object{}}}}))
	show("connect, none", c.post("/data/w1/connect", object{"sources": []object{source("lost", "unreachable"), source("lost too", "unreachable")}}))
	show("connect, name taken", c.post("/data/w1/connect", object{"sources": []object{{"type": "postgresql", "name": "customer_db", "connection_config": database("db")}}}))
	show("connect, the other form", c.post("/data/w2/connect", object{"database": object{"databaseType": "mysql", "host": "db", "databaseName": "shop", "password": "hunter2"}, "computeRowCount": true}))
	id := into[struct {
		Connected []struct{ ID string } `json:"connected_sources"`
	}](t, connected).Connected[0].ID
	show("list", c.get("/data/w1/list"))
	show("schema", c.get("/data/w1/schema?table=orders&source_id="+id))
	synced := show("sync", c.post("/data/w1/sync", object{"sync_options": object{"mode": "incremental"}}))
	op := into[accepted](t, synced).Operation
	show("operation", c.get("/data/w1/operations/"+op))
	show("syncs", c.get("/data/w1/syncs"))
	show("cleanup, dry run", c.post("/data/w1/cleanup", object{"dry_run": true}))
	h.worker.keepFor(time.Hour)
	show("cleanup that can be undone", c.post("/data/w1/cleanup", object{}))
	show("list of what can be restored", c.get("/data/w1/list?removed=true"))
	show("restore, dry run", c.post("/data/w1/restore", object{"source_ids": []string{id}, "dry_run": true}))
	show("restore", c.post("/data/w1/restore", object{"source_ids": []string{id}}))
	show("restore of what is there", c.post("/data/w1/restore", object{"source_ids": []string{id}}))
	show("cleanup", c.post("/data/w1/cleanup", object{"purge": true}))
	show("restore of what is destroyed", c.post("/data/w1/restore", object{"source_ids": []string{id}}))
	show("cleanup of nothing", c.post("/data/w1/cleanup", object{}))
	show("sync of nothing", c.post("/data/w1/sync", object{}))
	show("list of nothing", c.get("/data/w1/list"))
	hook := show("webhook created", c.post("/data/w1/webhooks", object{"url": "http://127.0.0.1:1/in", "types": []string{"SyncCompleted"}, "after": 0}))
	hookID := into[webhookDoc](t, hook).ID
	show("webhooks", c.get("/data/w1/webhooks"))
	show("webhook", c.get("/data/w1/webhooks/"+hookID))
	show("webhook tested", c.post("/data/w1/webhooks/"+hookID+"/test", nil))
	show("webhook rotated", c.post("/data/w1/webhooks/"+hookID+"/rotate", nil))
	show("webhook deleted", c.call(http.MethodDelete, "/data/w1/webhooks/"+hookID, nil))
	show("webhook refused", c.post("/data/w1/webhooks", object{"url": "http://169.254.169.254/"}))
	show("bad request", c.post("/data/w1/sync", `{"scope":"all","source_ids":[],"sync_options":{"batch_size":"x","bulk":1}}`))
	show("missing", c.post("/data/w1/sync", `{"source_ids":["src_1"]}`))
	show("wrong method", c.get("/data/w1/sync"))
	show("no path", c.get("/nothing"))
	landed := c.connected("user", source("landed shop", "db"))["landed shop"]
	c.post("/data/w1/sync", object{})
	show("list of what has landed", c.get("/data/w1/list"))
	show("schema of what has landed", c.get("/data/w1/schema?table=customers&source_id="+landed))
	show("preview", c.get("/data/w1/preview?table=customers&source_id="+landed))
	show("preview of what is no longer there", c.get("/data/w1/preview?table=customers&as_of=5000000000000000009&source_id="+landed))
	show("preview of nothing", c.get("/data/w1/preview?table=orders&source_id="+landed))
	c.token = ""
	show("no token", c.get("/data/w1/list"))

	got := scrub(all.String())
	path := filepath.Join("testdata", "bodies.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("bodies changed (-want +got); if that is meant, run with -update:\n%s", diff)
	}
}

// scrub replaces ids by numbers in the order in which they appear, and times.
func scrub(text string) string {
	names := map[string]string{}
	text = regexp.MustCompile(`\b(op|syn|tst|src|whk)_[a-z2-7]{26}\b`).ReplaceAllStringFunc(text, func(id string) string {
		if names[id] == "" {
			kind, _, _ := strings.Cut(id, "_")
			names[id] = fmt.Sprintf("%s_%d", kind, len(names)+1)
		}
		return names[id]
	})
	text = regexp.MustCompile(`"sequence": \d+`).ReplaceAllString(text, `"sequence": 0`) // others' events may come between
	text = regexp.MustCompile(`whsec_[A-Za-z0-9+/=]{44}`).ReplaceAllString(text, "whsec_KEY")
	text = regexp.MustCompile(`"event_id": "[0-9a-f-]{36}"`).ReplaceAllString(text, `"event_id": "ID"`)
	text = regexp.MustCompile(`"duration_ms": \d+,\n    "event_id"`).ReplaceAllString(text, "\"duration_ms\": 0,\n    \"event_id\"")
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`).ReplaceAllString(text, "TIME")
}
