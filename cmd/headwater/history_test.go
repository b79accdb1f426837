package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"headwater/cmd/headwater/terminal"
)

// connectAirports connects sources of these names and returns their list.
func connectAirports(t *testing.T, c *caller, filesRoot string, names ...string) string {
	t.Helper()
	airports, err := os.ReadFile(filepath.Join("demodata", "airports.csv"))
	if err == nil {
		err = os.WriteFile(filepath.Join(filesRoot, "airports.csv"), airports, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if a := c.post("/data/w/connect", object{"sources": []object{{"type": "file", "name": name, "connection_config": object{"path": "airports.csv"}}}}); a.Code != 200 {
			t.Fatalf("connect: %s", a.Body)
		}
	}
	return string(c.get("/data/w/list").Body)
}

// until waits for a condition.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testLimit); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", testLimit, what)
		}
	}
}

// testLimit is how long a test waits for what comes soon on an idle machine. busy is what
// a busy machine may add to a limit of the service: what has no limit, or another one,
// takes longer.
const (
	testLimit = time.Minute
	busy      = 30 * time.Second
)

func scrape(n *node) string {
	res, err := http.Get(n.Metrics + "/metrics")
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return string(text)
}

// TestDriftIsNoticed changes one value of a stored projection, behind its
// checksums: rebuild --verify names the table, and a running node finds it by
// itself and is not ready.
func TestDriftIsNoticed(t *testing.T) {
	t.Parallel() // it waits more than it computes
	cfg := testConfig(t)
	cfg.AuditEvery, cfg.MetricsListen = 50*time.Millisecond, "127.0.0.1:0"
	n := startTestNode(t, cfg)
	root := &caller{t: t, base: n.URL}
	connectAirports(t, n.as(t, "acme", "ada", "editor"), n.cfg.path("files"), "one", "two")
	until(t, "an audit", func() bool { return n.audits.Last().Sequence > 0 })
	if a := root.get("/readyz"); a.Code != 200 || n.audits.Err() != nil {
		t.Errorf("a sound node: %s, %v", a.Body, n.audits.Err())
	}
	if got := scrape(n.node); !strings.Contains(got, "headwater_projection_drift 0") || strings.Contains(got, "headwater_projection_audit_sequence 0\n") {
		t.Errorf("metrics of a sound node:\n%s", got)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	change(t, cfg.path("projection"))

	var out bytes.Buffer
	err := (&RebuildCmd{Config: cfg, Verify: true}).Run(t.Context(), terminal.Streams{Out: &out, Err: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "differs from history in source documents: remove") || strings.Count(out.String(), "DIFFERS") != 1 {
		t.Errorf("rebuild --verify: %v\n%s", err, &out)
	}

	n = startTestNode(t, cfg)
	root = &caller{t: t, base: n.URL}
	until(t, "drift", func() bool { return root.get("/readyz").Code == 503 && n.audits.Err() != nil }) // a node that starts is not ready either
	if logged := string(n.logs.Bytes()); !strings.Contains(logged, "in source documents, as of sequence") {
		t.Errorf("logged\n%s", logged)
	}
	if got := scrape(n.node); !strings.Contains(got, "headwater_projection_drift 1") {
		t.Errorf("metrics of a node that drifts:\n%s", got)
	}
}

// change adds a byte to the first source document of a closed projection.
func change(t *testing.T, dir string) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{DisableWAL: true, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte("h"), UpperBound: []byte("i")})
	if err != nil || !it.First() {
		t.Fatal("no source document", err)
	}
	k, v := bytes.Clone(it.Key()), append(bytes.Clone(it.Value()), ' ')
	if err := errors.Join(it.Close(), db.Set(k, v, pebble.NoSync), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, _ ...any) { panic(format) }

// TestNodeBeginsFromASnapshot: a node without a projection fetches the newest
// snapshot and answers as before.
func TestNodeBeginsFromASnapshot(t *testing.T) {
	t.Parallel() // it waits more than it computes
	cfg := testConfig(t)
	cfg.SnapshotEvents, cfg.SnapshotEvery = 1, 50*time.Millisecond
	n := startTestNode(t, cfg)
	list := connectAirports(t, n.as(t, "acme", "ada", "editor"), n.cfg.path("files"), "one", "two", "three")
	until(t, "a snapshot", func() bool { return strings.Contains(string(n.logs.Bytes()), "made a snapshot") })
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(cfg.path("projection")); err != nil {
		t.Fatal(err)
	}
	cfg.SnapshotEvents, cfg.SnapshotEvery = 100000, time.Hour
	n = startTestNode(t, cfg)
	if !strings.Contains(string(n.logs.Bytes()), "begins from a snapshot") {
		t.Errorf("history was replayed:\n%s", n.logs.Bytes())
	}
	if again := string(n.as(t, "acme", "ada", "editor").get("/data/w/list").Body); again != list {
		t.Errorf("from a snapshot\n%s\nbefore\n%s", again, list)
	}

	// A snapshot of what drifted drifts: who wants none gets none.
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(cfg.path("projection")); err != nil {
		t.Fatal(err)
	}
	cfg.SnapshotEvents = 0
	n = startTestNode(t, cfg)
	if strings.Contains(string(n.logs.Bytes()), "begins from a snapshot") {
		t.Error("without snapshots it began from one")
	}
	if again := string(n.as(t, "acme", "ada", "editor").get("/data/w/list").Body); again != list {
		t.Errorf("from history\n%s\nbefore\n%s", again, list)
	}
}
