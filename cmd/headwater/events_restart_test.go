package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/bus/event"
	"headwater/cmd/headwater/client"
	"headwater/cmd/headwater/terminal"
)

// TestEventsFollowsOverARestart follows a real service that is stopped and
// started again, and gets every event once.
func TestEventsFollowsOverARestart(t *testing.T) {
	t.Parallel() // it waits more than it computes
	cfg := testConfig(t)
	cfg.Listen = freePort(t)
	files := filepath.Join(cfg.DataDir, "files")
	if err := os.MkdirAll(files, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(files, "a.csv"), []byte("id,name\n1,x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startTestNode(t, cfg)
	token, err := n.issue(auth.Claims{Organization: "acme", Username: "ada", Role: "editor"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	connect := func(n *testNode, name string) {
		t.Helper()
		if a := n.as(t, "acme", "ada", "editor").post("/data/w/connect", object{"sources": []object{{"type": "file", "name": name, "connection_config": object{"path": "a.csv"}}}}); a.Code != 200 {
			t.Fatalf("connect: %s", a.Body)
		}
	}
	connect(n, "before")
	var out, errs lockedBuffer
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- (&client.EventsCmd{URL: n.URL, Token: token, Workspace: "w", Follow: true, JSON: true}).Run(ctx, terminal.Streams{Out: &out, Err: &errs})
	}()
	names := func() (all []string) {
		for line := range strings.Lines(string(out.Bytes())) {
			var e struct {
				Sequence uint64 `json:"sequence"`
				Type     string `json:"type"`
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(e.Sequence, event.NameOf(e.Type)))
		}
		return all
	}
	wait := func(want ...string) {
		t.Helper()
		for deadline := time.Now().Add(testLimit); !slices.Equal(names(), want); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("got %v, want %v\n%s", names(), want, errs.Bytes())
			}
		}
	}
	wait("1SourceConnected", "2SchemaDiscovered")
	began := time.Now()
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > drainLimit*2/3 {
		t.Errorf("an open stream held up the drain for %s", took)
	}
	n = startTestNode(t, cfg)
	connect(n, "after")
	wait("1SourceConnected", "2SchemaDiscovered", "3SourceConnected", "4SchemaDiscovered")
	stop()
	if err := <-done; err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}
