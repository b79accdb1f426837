package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/api/auth"
)

// TestWebhooksCommands drives every command against a whole service, whose
// events a receiver takes.
func TestWebhooksCommands(t *testing.T) {
	t.Parallel() // it waits more than it computes
	n := startTestNode(t, testConfig(t))
	if err := os.WriteFile(n.cfg.path("files")+"/a.csv", []byte("id,name\n1,x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := n.issue(auth.Claims{Organization: "acme", Username: "ada", Role: auth.RoleEditor}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var bodies []string
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(body))
	}))
	defer in.Close()
	call := func(args ...string) string {
		t.Helper()
		var out, log bytes.Buffer
		args = append(args, "--url", n.URL, "--token", token)
		if err := run(t.Context(), args, nil, &out, &log); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, log.String())
		}
		return out.String()
	}
	id, secret, _ := strings.Cut(strings.TrimSpace(call("webhooks", "create", in.URL+"/hooks", "--type", "SourceConnected,SchemaDiscovered", "--description", "to ops")), "  ")
	if !strings.HasPrefix(id, "whk_") || !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("created %q %q", id, secret)
	}
	if out := call("webhooks", "list"); !strings.Contains(out, id) || !strings.Contains(out, "SchemaDiscovered,SourceConnected") || strings.Contains(out, secret) {
		t.Errorf("list: %s", out)
	}
	if out := call("webhooks", "test", id); out != "The receiver took the test event\n" {
		t.Errorf("test: %s", out)
	}
	call("connect", "--type", "file", "--config", "path=a.csv", "--name", "a")
	for deadline := time.Now().Add(testLimit); ; time.Sleep(20 * time.Millisecond) {
		if out := call("webhooks", "show", id); strings.Contains(out, "last taken") && strings.Contains(out, "0 events to deliver") {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("not delivered: %s", out)
		}
	}
	mu.Lock()
	if all := strings.Join(bodies, "\n"); len(bodies) != 3 || !strings.Contains(all, "headwater.SourceConnected.v1") || !strings.Contains(all, "headwater.SchemaDiscovered.v1") || !strings.Contains(all, "headwater.WebhookTest.v1") {
		t.Errorf("received: %s", all)
	}
	mu.Unlock()
	if out := call("webhooks", "rotate", id, "--json"); strings.Contains(out, secret) || !strings.Contains(out, "whsec_") {
		t.Errorf("rotate: %s", out)
	}
	if out := call("webhooks", "delete", id); out != "deleted "+id+"\n" {
		t.Errorf("delete: %s", out)
	}
	if out := call("webhooks", "list"); out != "no webhooks with scope user in workspace default\n" {
		t.Errorf("list: %s", out)
	}
	if logs := n.logs.Bytes(); bytes.Contains(logs, []byte(secret)) || bytes.Contains(logs, []byte("/hooks")) {
		t.Error("the log shows a secret, or the path of a URL")
	}
}
