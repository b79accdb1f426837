package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// program runs this program as a process of its own and returns what it wrote
// and ended with.
func runProgram(t *testing.T, env []string, args ...string) (out, errs string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append([]string{mainVariable + "=1", "PATH=" + os.Getenv("PATH")}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// runHere is runProgram of this process, but for what ends it, as --help does.
func runHere(t *testing.T, env []string, args ...string) (out, errs string, code int) {
	t.Helper()
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), args, env, &stdout, &stderr)
	if err != nil {
		stderr.WriteString("headwater: " + err.Error())
	}
	return stdout.String(), stderr.String(), exitCode(err)
}

// Scripts go by what the program ends with, so each kind of end is tried at the
// program itself: that a process ends with it, the first time of each, all others
// without a start of their own.
func TestExitCodes(t *testing.T) {
	operation := func(targets, status string) http.HandlerFunc {
		return says(`{"operation_id":"op_1","kind":"sync","status":"` + status + `","created_at":"2026-01-01T00:00:00Z","targets":[` + targets + `]}`)
	}
	const good, bad = `{"source_id":"src_a","name":"a","status":"completed"}`, `{"source_id":"src_b","name":"b","status":"failed","reason":"unreachable","message":"no connection"}`
	const taken = `{"source_id":"src_b","name":"b","status":"failed","reason":"conflict","message":"it was removed meanwhile"}`
	api := newService(t, map[string]http.HandlerFunc{
		"GET /data/w1/list":               says(twoSources),
		"GET /data/empty/list":            says(`[]`),
		"POST /data/w1/sync":              refuses(422, "no source was synced", `[]`),
		"POST /data/refused/sync":         refuses(409, "it syncs already", `[]`),
		"POST /data/broken/sync":          refuses(500, "something broke", `[]`),
		"POST /data/async/sync":           says(`{"operation_id":"op_1"}`),
		"GET /data/async/operations/op_1": operation(`{"source_id":"src_a","name":"a","status":"completed","sync_id":"syn_1"}`, "completed"),
		"GET /data/async/syncs/syn_1": says(`{"sync_id":"syn_1","source_name":"a","status":"partial","tables":[
			{"name":"t","status":"completed"},{"name":"u","status":"failed","message":"no such column"}]}`),
		"GET /data/w1/operations/op_1": operation(good+","+bad, "partial"),
		"GET /data/w1/operations/op_2": operation(bad, "failed"),
		"GET /data/w1/operations/op_3": operation(taken, "failed"),
		"GET /data/w1/operations/op_4": operation(good, "completed"),
		"POST /data/w1/test-connection": func(w http.ResponseWriter, _ *http.Request) {
			envelope(w, 200, `{"status":"error","message":"wrong password","data":{"steps":[]}}`)
		},
		"POST /data/config/connect": func(w http.ResponseWriter, _ *http.Request) {
			envelope(w, 422, `{"status":"error","message":"port is no number","data":null,"error":{"code":"invalid_config","details":[]}}`)
		},
		"POST /data/w1/connect": func(w http.ResponseWriter, _ *http.Request) {
			envelope(w, 422, `{"status":"error","message":"no connection","data":null,"error":{"code":"unreachable","details":[]}}`)
		},
		"POST /data/w1/verify":             says(`{"verified_sources":[{"name":"a","tables":[{"name":"t","status":"equal"},{"name":"u","status":"different"}]}],"failed_sources":[]}`),
		"POST /data/unverified/verify":     says(`{"verified_sources":[{"name":"a","tables":[{"name":"t","status":"equal"},{"name":"u","status":"unverified"}]}],"failed_sources":[]}`),
		"POST /data/w1/cleanup":            says(`{"deleted_count":1,"deleted_sources":["src_a"],"failed_sources":[{"name":"b","error":"it is syncing"}]}`),
		"GET /data/unverified/list":        says(twoSources),
		"POST /data/unverified/connect":    says(`{"connected_sources":[],"failed_sources":[{"name":"crm","error":"password refused"}]}`),
		"POST /data/async/test-connection": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "proxy", http.StatusBadGateway) },
	})
	env := func(url, workspace string) []string {
		return []string{"HEADWATER_URL=" + url, "HEADWATER_TOKEN=the-token", "HEADWATER_WORKSPACE=" + workspace}
	}
	tried := map[int]bool{}
	for _, c := range []struct {
		want      int
		workspace string
		args      string
	}{
		{0, "w1", "list"}, {0, "empty", "list"}, {0, "empty", "list -q nothing"}, {0, "w1", "operation op_4 --wait"}, {0, "w1", "--help"}, {0, "w1", "version"},
		{exitUsage, "w1", ""}, {exitUsage, "w1", "lst"}, {exitUsage, "w1", "sync --foo"}, {exitUsage, "w1", "connect --name a"},
		{exitUsage, "w1", "list --url localhost"}, {exitUsage, "w1", "connect --type file --name a --config x"}, {exitUsage, "w1", "restore"},
		{exitUsage, "w1", "sync --cursor-column orders"}, {exitUsage, "w1", "serve --replicas 9"}, {exitUsage, "w1", "token --org a --user b --ttl soon"},
		{exitRefused, "w1", "sync nobody"}, {exitRefused, "refused", "sync"}, {exitRefused, "config", "connect --type postgresql --name a"},
		{exitRefused, "nowhere", "list"}, {exitRefused, "w1", "operation op_3 --wait"}, {exitRefused, "w1", "list --token stale"},
		{exitPartial, "async", "sync"}, {exitPartial, "w1", "operation op_1 --wait"}, {exitPartial, "unverified", "verify"}, {exitPartial, "w1", "cleanup airports"},
		{exitFailed, "w1", "sync"}, {exitFailed, "w1", "operation op_2 --wait"}, {exitFailed, "w1", "test --type postgresql"}, {exitFailed, "w1", "connect --type postgresql --name a"},
		{exitFailed, "w1", "verify"}, {exitFailed, "unverified", "connect --type postgresql --name a"},
		{exitUnknown, "broken", "sync"}, {exitUnknown, "async", "test --type postgresql"}, {exitUnknown, "w1", "list --url http://127.0.0.1:1"},
		{exitOther, "w1", "rebuild --verify --data-dir /dev/null/x"},
	} {
		end := runHere
		if !tried[c.want] || c.args == "--help" {
			end = runProgram
		}
		tried[c.want] = true
		out, errs, code := end(t, env(api.URL, c.workspace), strings.Fields(c.args)...)
		if code != c.want {
			t.Errorf("%s in %s ended with %d, want %d\n%s%s", c.args, c.workspace, code, c.want, out, errs)
		}
		if code != 0 && !strings.Contains(errs, "headwater: ") {
			t.Errorf("%s ended with %d and said only %q", c.args, code, errs)
		}
	}
}

// The help, the README and the program know the same codes.
func TestExitCodesAreDocumented(t *testing.T) {
	help, _, _ := runProgram(t, nil, "help")
	page := readme(t, "cmd/headwater")
	for code, name := range map[string]string{"0": "done", "1": "failed", "2": "command line", "3": "refused", "4": "partial", "5": "failed", "6": "unknown"} {
		if !strings.Contains(help, "\n  "+code+"  ") || !strings.Contains(help, name) {
			t.Errorf("headwater help does not tell of %s, %s:\n%s", code, name, help)
		}
		if !strings.Contains(page, "\n| "+code+" | ") {
			t.Errorf("the README does not tell of %s", code)
		}
	}
}
