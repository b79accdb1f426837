package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/exit"
)

// program runs this program as a process of its own and returns what it wrote
// and ended with.
func runProgram(t *testing.T, env []string, args ...string) (out, errs string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = programEnv(env...)
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
	return stdout.String(), stderr.String(), exit.Code(err)
}

// Scripts go by what the program ends with, so each kind of end is tried at the
// program itself: that a process ends with it, the first time of each, all others
// without a start of their own.
func TestExitCodes(t *testing.T) {
	operation := func(targets, status string) http.HandlerFunc {
		return clienttest.Says(`{"operation_id":"op_1","kind":"sync","status":"` + status + `","created_at":"2026-01-01T00:00:00Z","targets":[` + targets + `]}`)
	}
	const good, bad = `{"source_id":"src_a","name":"a","status":"completed"}`, `{"source_id":"src_b","name":"b","status":"failed","reason":"unreachable","message":"no connection"}`
	const taken = `{"source_id":"src_b","name":"b","status":"failed","reason":"conflict","message":"it was removed meanwhile"}`
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/list":               clienttest.Says(clienttest.TwoSources),
		"GET /data/empty/list":            clienttest.Says(`[]`),
		"POST /data/w1/sync":              clienttest.Refuses(422, "no source was synced", `[]`),
		"POST /data/refused/sync":         clienttest.Refuses(409, "it syncs already", `[]`),
		"POST /data/broken/sync":          clienttest.Refuses(500, "something broke", `[]`),
		"POST /data/async/sync":           clienttest.Says(`{"operation_id":"op_1"}`),
		"GET /data/async/operations/op_1": operation(`{"source_id":"src_a","name":"a","status":"completed","sync_id":"syn_1"}`, "completed"),
		"GET /data/async/syncs/syn_1": clienttest.Says(`{"sync_id":"syn_1","source_name":"a","status":"partial","tables":[
			{"name":"t","status":"completed"},{"name":"u","status":"failed","message":"no such column"}]}`),
		"GET /data/w1/operations/op_1": operation(good+","+bad, "partial"),
		"GET /data/w1/operations/op_2": operation(bad, "failed"),
		"GET /data/w1/operations/op_3": operation(taken, "failed"),
		"GET /data/w1/operations/op_4": operation(good, "completed"),
		"POST /data/w1/test-connection": func(w http.ResponseWriter, _ *http.Request) {
			clienttest.Envelope(w, 200, `{"status":"error","message":"wrong password","data":{"steps":[]}}`)
		},
		"POST /data/config/connect": func(w http.ResponseWriter, _ *http.Request) {
			clienttest.Envelope(w, 422, `{"status":"error","message":"port is no number","data":null,"error":{"code":"invalid_config","details":[]}}`)
		},
		"POST /data/w1/connect": func(w http.ResponseWriter, _ *http.Request) {
			clienttest.Envelope(w, 422, `{"status":"error","message":"no connection","data":null,"error":{"code":"unreachable","details":[]}}`)
		},
		"POST /data/w1/verify":             clienttest.Says(`{"verified_sources":[{"name":"a","tables":[{"name":"t","status":"equal"},{"name":"u","status":"different"}]}],"failed_sources":[]}`),
		"POST /data/unverified/verify":     clienttest.Says(`{"verified_sources":[{"name":"a","tables":[{"name":"t","status":"equal"},{"name":"u","status":"unverified"}]}],"failed_sources":[]}`),
		"POST /data/w1/cleanup":            clienttest.Says(`{"deleted_count":1,"deleted_sources":["src_a"],"failed_sources":[{"name":"b","error":"it is syncing"}]}`),
		"GET /data/unverified/list":        clienttest.Says(clienttest.TwoSources),
		"POST /data/unverified/connect":    clienttest.Says(`{"connected_sources":[],"failed_sources":[{"name":"crm","error":"password refused"}]}`),
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
		{exit.Usage, "w1", ""}, {exit.Usage, "w1", "lst"}, {exit.Usage, "w1", "sync --foo"}, {exit.Usage, "w1", "connect --name a"},
		{exit.Usage, "w1", "list --url localhost"}, {exit.Usage, "w1", "connect --type file --name a --config x"}, {exit.Usage, "w1", "restore"},
		{exit.Usage, "w1", "sync --cursor-column orders"}, {exit.Usage, "w1", "serve --replicas 9"}, {exit.Usage, "w1", "token --org a --user b --ttl soon"},
		{exit.Refused, "w1", "sync nobody"}, {exit.Refused, "refused", "sync"}, {exit.Refused, "config", "connect --type postgresql --name a"},
		{exit.Refused, "nowhere", "list"}, {exit.Refused, "w1", "operation op_3 --wait"}, {exit.Refused, "w1", "list --token stale"},
		{exit.Partial, "async", "sync"}, {exit.Partial, "w1", "operation op_1 --wait"}, {exit.Partial, "unverified", "verify"}, {exit.Partial, "w1", "cleanup airports"},
		{exit.Failed, "w1", "sync"}, {exit.Failed, "w1", "operation op_2 --wait"}, {exit.Failed, "w1", "test --type postgresql"}, {exit.Failed, "w1", "connect --type postgresql --name a"},
		{exit.Failed, "w1", "verify"}, {exit.Failed, "unverified", "connect --type postgresql --name a"},
		{exit.Unknown, "broken", "sync"}, {exit.Unknown, "async", "test --type postgresql"}, {exit.Unknown, "w1", "list --url http://127.0.0.1:1"},
		{exit.Other, "w1", "rebuild --verify --data-dir /dev/null/x"},
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
	t.Parallel() // it waits more than it computes
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
