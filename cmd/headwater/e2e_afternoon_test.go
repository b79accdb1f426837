package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus/bustest"
	"headwater/cmd/headwater/ops"
)

// afternoon is a node in use, as its operator sees it.
type afternoon struct {
	*testNode
	*caller
	pages string // of this test's files
}

func startAfternoon(t *testing.T, level slog.Level, perSource bool) *afternoon {
	t.Helper()
	cfg := testConfig(t)
	cfg.MetricsListen, cfg.MetricsPerSource = "127.0.0.1:0", perSource
	logs := new(lockedBuffer)
	n, err := startNode(t.Context(), cfg, ops.NewLog(logs, level, ops.JSON))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainLimit+busy)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	node := &testNode{node: n, cfg: cfg, logs: logs}
	files := filepath.Join(cfg.DataDir, "files")
	if err := os.MkdirAll(files, 0o700); err != nil {
		t.Fatal(err)
	}
	return &afternoon{testNode: node, caller: node.as(t, "acme", "ada", "editor"), pages: files}
}

// lines returns what was logged, one object a line.
func (a *afternoon) lines() (all []map[string]any) {
	a.t.Helper()
	for _, line := range bytes.Split(bytes.TrimSpace(a.logs.Bytes()), []byte("\n")) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			a.t.Fatalf("a line of the log is not one object: %v\n%q", err, line)
		}
		all = append(all, fields)
	}
	return all
}

// told waits for the line that has all of these fields.
func (a *afternoon) told(want map[string]string) map[string]any {
	a.t.Helper()
	var found map[string]any
	a.until(fmt.Sprintf("a line with %v", want), func() bool {
		for _, line := range a.lines() {
			fits := true
			for key, text := range want {
				fits = fits && fmt.Sprint(line[key]) == text
			}
			if fits {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// until waits for a condition.
func (a *afternoon) until(what string, holds func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(testLimit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("there was never %s in\n%s", what, a.logs.Bytes())
		}
	}
}

// scrape returns the metrics as they are now, and their text.
func (a *afternoon) scrape() (map[string]float64, string) {
	a.t.Helper()
	res, err := http.Get(a.Metrics + "/metrics")
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		a.t.Fatalf("metrics: %d %v", res.StatusCode, err)
	}
	series := map[string]float64{}
	for _, line := range strings.Split(string(text), "\n") {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			a.t.Fatalf("metric %q: %v", line, err)
		}
		series[line[:at]] = value
	}
	return series, string(text)
}

// moved waits until a series is larger than before.
func (a *afternoon) moved(before map[string]float64, series string) {
	a.t.Helper()
	a.until("an increase of "+series, func() bool {
		now, _ := a.scrape()
		return now[series] > before[series]
	})
}

func (a *afternoon) connect(name, kind string, config object) string {
	a.t.Helper()
	answer := a.post("/data/w/connect", object{"sources": []object{{"type": kind, "name": name, "connection_config": config}}})
	var data struct {
		Connected []struct {
			ID string `json:"id"`
		} `json:"connected_sources"`
	}
	answer.into(a.t, &data)
	if len(data.Connected) != 1 {
		a.t.Fatalf("connect %s: %s", name, answer.Body)
	}
	return data.Connected[0].ID
}

func (a *afternoon) write(file, content string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.pages, file), []byte(content), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *afternoon) sync(id string, headers ...string) answer {
	a.t.Helper()
	return a.call("POST", "/data/w/sync", object{"source_ids": []string{id}}, headers...)
}

// fault is one thing that goes wrong, and what tells of it.
type fault struct {
	name   string
	happen func(a *afternoon) (line map[string]string)
	series string // that moves
	long   bool   // it takes half a minute, as storage is tried again
}

// TestAnAfternoonOfFailures plays what goes wrong on a usual day and holds that
// each is told by one line with its ids and reason, and by a metric. With -v it
// prints both.
func TestAnAfternoonOfFailures(t *testing.T) {
	t.Parallel() // it waits more than it computes
	a := startAfternoon(t, slog.LevelInfo, false)
	db := databaseConfig(samplePostgres(t, 10))
	var holding atomic.Bool // from when the source is connected
	held := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if holding.Load() {
			select {
			case <-held:
			case <-r.Context().Done():
			}
			return
		}
		_, _ = w.Write([]byte(`{"sales":[{"id":1}]}`))
	}))
	defer web.Close()
	defer close(held)
	var table strings.Builder
	for _, f := range []fault{
		{"nothing: a sync lands", func(a *afternoon) map[string]string {
			a.write("good.csv", "id,name\n1,one\n2,two\n")
			a.sync(a.connect("good", "file", object{"path": "good.csv"}), "X-Request-Id", "req-good")
			return map[string]string{"msg": "sync completed", "source": "good", "request_id": "req-good", "rows": "2", "status": "completed", "level": "INFO"}
		}, `headwater_sync_rows_total{connector="file"}`, false},
		{"wrong password", func(a *afternoon) map[string]string {
			config := object{}
			for key, value := range db {
				config[key] = value
			}
			config["password"] = "not-the-password"
			a.call("POST", "/data/w/connect", object{"sources": []object{{"type": "database", "name": "crm", "connection_config": config}}}, "X-Request-Id", "req-password")
			return map[string]string{"msg": "connect failed", "source": "crm", "reason": "authentication", "request_id": "req-password", "level": "WARN"}
		}, `headwater_command_failures_total{reason="authentication",verb="ConnectSource"}`, false},
		{"bad data", func(a *afternoon) map[string]string {
			a.write("bad.csv", "a,b\nx,1\n")
			id := a.connect("bad", "file", object{"path": "bad.csv"})
			a.write("bad.csv", "a,b\nx,1\ny\x00,2\n")
			a.sync(id, "X-Request-Id", "req-bad")
			return map[string]string{"msg": "sync failed", "source": "bad", "source_id": id, "reason": "bad_data", "request_id": "req-bad", "level": "WARN"}
		}, `headwater_command_failures_total{reason="bad_data",verb="SyncSource"}`, false},
		{"receiver down", func(a *afternoon) map[string]string {
			gone := httptest.NewServer(http.NotFoundHandler())
			url := gone.URL
			gone.Close()
			made := a.post("/data/w/webhooks", object{"url": url})
			var hook struct {
				ID string `json:"id"`
			}
			made.into(a.t, &hook)
			a.connect("heard", "file", object{"path": "good.csv"})
			return map[string]string{"msg": "webhook failed", "webhook_id": hook.ID, "level": "WARN"}
		}, `headwater_webhook_deliveries_total{outcome="failed"}`, false},
		{"cancelled sync", func(a *afternoon) map[string]string {
			id := a.connect("slow", "api", object{"base_url": web.URL + "/sales"})
			holding.Store(true)
			begun := a.sync(id, "Prefer", "respond-async", "X-Request-Id", "req-slow")
			var operation struct {
				ID string `json:"operation_id"`
			}
			begun.into(a.t, &operation)
			a.until("a sync under way", func() bool {
				now, _ := a.scrape()
				return now["headwater_syncs_running"] == 1 && now[`headwater_command_queue_depth{verb="SyncSource"}`] == 1
			})
			a.call("POST", "/data/w/operations/"+operation.ID+"/cancel", object{}, "X-Request-Id", "req-cancel")
			return map[string]string{"msg": "sync cancelled", "source_id": id, "by": "ada", "request_id": "req-slow", "caused_by_request_id": "req-cancel", "level": "INFO"}
		}, `headwater_syncs_total{connector="api",status="cancelled",trigger="request"}`, false},
		{"lake gone", func(a *afternoon) map[string]string {
			id := a.connect("last", "file", object{"path": "good.csv"})
			lake := filepath.Join(a.cfg.DataDir, "lake")
			if err := os.Rename(lake, lake+".away"); err != nil {
				a.t.Fatal(err)
			}
			if err := os.WriteFile(lake, nil, 0o600); err != nil {
				a.t.Fatal(err)
			}
			a.sync(id, "X-Request-Id", "req-lake")
			return map[string]string{"msg": "sync failed", "source_id": id, "reason": "storage", "request_id": "req-lake", "level": "ERROR"}
		}, `headwater_command_failures_total{reason="storage",verb="SyncSource"}`, true},
	} {
		if f.long && testing.Short() {
			continue // TestEveryOutcomeIsOneLine has its short form
		}
		before, _ := a.scrape()
		line := a.told(f.happen(a))
		a.moved(before, f.series)
		for _, key := range []string{"organization", "workspace"} {
			if line[key] == nil {
				t.Errorf("%s: the line lacks %s: %v", f.name, key, line)
			}
		}
		delete(line, "time")
		encoded, _ := json.Marshal(line)
		fmt.Fprintf(&table, "%s\n    log     %s\n    metric  %s\n", f.name, encoded, f.series)
	}
	t.Logf("an afternoon\n%s", table.String())

	requests := map[string]string{"req-good": "/api/v1/data/{workspace_id}/sync", "req-cancel": "/api/v1/data/{workspace_id}/operations/{operation_id}/cancel"}
	for id, route := range requests {
		line := a.told(map[string]string{"msg": "request", "request_id": id})
		if line["route"] != route || line["subject"] != "ada" || line["workspace"] != "w" || line["bytes"].(float64) < 1 {
			t.Errorf("the request %s is told as %v", id, line)
		}
	}
	for _, line := range a.lines() {
		for _, noise := range []string{"broker:", "watermill", "pebble", "subscriber", "projection"} {
			if strings.Contains(strings.ToLower(fmt.Sprint(line["msg"])), noise) {
				t.Errorf("a library is heard: %v", line)
			}
		}
	}
	if all := string(a.logs.Bytes()); strings.Contains(all, "not-the-password") || strings.Contains(all, a.token) || strings.Contains(all, fmt.Sprint(db["password"])) {
		t.Error("the log holds a secret")
	}
	failed := 1.0
	if !testing.Short() {
		failed++ // of the lake
	}
	a.until("an end of all work", func() bool { // a command is done after its outcome is told
		now, _ := a.scrape()
		return now["headwater_syncs_running"] == 0 && now[`headwater_command_queue_depth{verb="SyncSource"}`] == 0
	})
	now, text := a.scrape()
	for series, want := range map[string]float64{
		`headwater_syncs_running`: 0, `headwater_projection_lag`: 0, `headwater_command_queue_depth{verb="SyncSource"}`: 0,
		`headwater_commands_total{outcome="completed",verb="SyncSource"}`: 1, `headwater_syncs_total{connector="file",status="failed",trigger="request"}`: failed,
		`headwater_dead_letters`: 0,
		`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="422",http_route="/api/v1/data/{workspace_id}/sync"}`: failed,
	} {
		if got, there := now[series]; !there || got != want {
			t.Errorf("%s is %v, wanted %v", series, got, want)
		}
	}
	for _, series := range []string{"headwater_children", `headwater_child_rss_bytes{of="all"}`, `headwater_events_appended_total{type="SyncFailed"}`,
		`headwater_sync_bytes_total{connector="file",direction="written"}`, `headwater_command_duration_seconds_count{verb="SyncSource"}`, `headwater_sync_duration_seconds_count{connector="file"}`} {
		if now[series] <= 0 {
			t.Errorf("%s is %v", series, now[series])
		}
	}
	if !strings.Contains(text, "headwater_build_info{") || strings.Contains(text, "source_id=") {
		t.Error("no build is told, or a source is")
	}
	if res, err := http.Get(a.Metrics + "/healthz"); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("healthz beside the metrics: %v %v", res, err)
	}
	promtool(t, text, "check", "metrics")
}

// promtool runs Prometheus's own judge of what it is given.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		path = bustest.Tool(t, "promtool", "promtool")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}
