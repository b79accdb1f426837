package client

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/client/settings"
)

func TestConnect(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{"POST /data/w1/connect": clienttest.Says(`{
		"connected_sources":[{"id":"src_b","name":"crm","type":"database","connector":"postgresql","scope":"user","status":"connected","tables":12}],
		"failed_sources":[],"operation_id":"op_1"}`)})
	cmd := ConnectCmd{ClientFlags: flagsFor(api), Name: "crm", Metadata: []string{"team=sales"},
		SourceFlags: settings.SourceFlags{Type: "database", Config: []string{"host=db", "port=5432"}, Secret: []string{"password=env:PASSWORD"}}}
	s, out, _ := clienttest.Streams("")
	if err := cmd.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", out.String(), `
NAME  TYPE      CONNECTOR   SCOPE  STATUS     TABLES  ID
crm   database  postgresql  user   connected      12  src_b
`)
	clienttest.Same(t, "request", api.Asked("POST /data/w1/connect")[0].Body, `{"scope":"user","sources":[{"type":"database","name":"crm",`+
		`"connection_config":{"host":"db","password":"from the environment","port":5432},"metadata":{"team":"sales"}}]}`)

	api.Routes["POST /data/w1/connect"] = clienttest.Says(`{"connected_sources":[],"failed_sources":[{"name":"crm","error":"password refused"}],"operation_id":"op_1"}`)
	s, out, _ = clienttest.Streams("")
	err := cmd.Run(t.Context(), s)
	if err == nil || err.Error() != "1 source not connected\n  crm: password refused" {
		t.Errorf("got %v", err)
	}
	clienttest.Same(t, "output", out.String(), "nothing was connected\n")
}

// A connect that outlasts the service's wait is answered 202 and followed.
func TestConnectThatTakesLong(t *testing.T) {
	looks := 0
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"POST /data/w1/connect": func(w http.ResponseWriter, _ *http.Request) {
			clienttest.Envelope(w, 202, `{"status":"success","message":"accepted","data":{"operation_id":"op_1"}}`)
		},
		"GET /data/w1/operations/op_1": func(w http.ResponseWriter, r *http.Request) {
			status := "running"
			if looks++; looks > 1 {
				status = "completed"
			}
			clienttest.Says(`{"operation_id":"op_1","kind":"connect","status":"`+status+`","targets":[{"source_id":"src_b","name":"crm","status":"`+status+`"}]}`)(w, r)
		},
		"GET /data/w1/list": clienttest.Says(clienttest.TwoSources),
	})
	cmd := ConnectCmd{ClientFlags: flagsFor(api), Name: "crm", SourceFlags: settings.SourceFlags{Type: "database"}}
	s, out, errs := clienttest.Streams("")
	if err := cmd.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", out.String(), `
NAME  TYPE      CONNECTOR   SCOPE  STATUS  TABLES  ID
crm   database  postgresql  user   failed      12  src_b
`)
	clienttest.Same(t, "remarks", errs.String(), "accepted as op_1, still running\n")
}

func TestTest(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{"POST /data/w1/test-connection": func(w http.ResponseWriter, _ *http.Request) {
		clienttest.Envelope(w, 200, `{"status":"error","message":"the password was refused","data":{"connector":"postgresql","steps":[
			{"name":"resolve","status":"ok","duration_ms":1},{"name":"connect","status":"ok","duration_ms":1250},
			{"name":"authenticate","status":"failed","duration_ms":3,"message":"the password was refused"}]}}`)
	}})
	cmd := TestCmd{ClientFlags: flagsFor(api), SourceFlags: settings.SourceFlags{Type: "database", Config: []string{"host=db"}}}
	s, out, _ := clienttest.Streams("")
	err := cmd.Run(t.Context(), s)
	if err == nil || err.Error() != "the password was refused" {
		t.Errorf("a failed test must be an error, got %v", err)
	}
	clienttest.Same(t, "output", out.String(), `
STEP          RESULT   TIME  MESSAGE
resolve       ok       1 ms
connect       ok      1.2 s
authenticate  failed   3 ms  the password was refused
`)
	if diff := cmp.Diff(`{"source_config":{"connection_config":{"host":"db"},"type":"database"}}`, api.Asked("POST /data/w1/test-connection")[0].Body); diff != "" {
		t.Error(diff)
	}
	cmd.JSON = true
	s, out, _ = clienttest.Streams("")
	if err := cmd.Run(t.Context(), s); err == nil || !json.Valid(out.Bytes()) {
		t.Errorf("--json printed %s with error %v", out, err)
	}
}

func TestCleanup(t *testing.T) {
	routes := map[string]http.HandlerFunc{
		"GET /data/w1/list":     clienttest.Says(clienttest.TwoSources),
		"POST /data/w1/cleanup": clienttest.Says(`{"deleted_count":2,"deleted_sources":["src_a","src_b"]}`),
	}
	const all = `{"scope":"user","source_ids":["src_a","src_b"]}`
	for name, test := range map[string]struct {
		cmd         CleanupCmd
		in          string
		request     string
		out, failed string
	}{
		"yes":      {in: "y\n", request: all, out: "removed airports  src_a\nremoved crm  src_b\n"},
		"--yes":    {cmd: CleanupCmd{Yes: true}, request: all, out: "removed airports  src_a\nremoved crm  src_b\n"},
		"no":       {in: "n\n", failed: "nothing was removed"},
		"nobody":   {failed: "nobody to ask: name the sources, or give --yes to remove all of the scope"},
		"named":    {cmd: CleanupCmd{Sources: []string{"crm", "src_b"}}, request: `{"scope":"user","source_ids":["src_b"]}`, out: "removed airports  src_a\nremoved crm  src_b\n"},
		"dry":      {cmd: CleanupCmd{DryRun: true}, request: `{"dry_run":true,"scope":"user","source_ids":["src_a","src_b"]}`, out: "would remove airports  src_a\nwould remove crm  src_b\n"},
		"mistaken": {cmd: CleanupCmd{Sources: []string{"nothing"}, Yes: true}, failed: `no source "nothing" with scope user in workspace w1; 'headwater list' shows what is there`},
	} {
		t.Run(name, func(t *testing.T) {
			api := clienttest.New(t, routes)
			s, out, _ := clienttest.Streams(test.in)
			test.cmd.ClientFlags = flagsFor(api)
			failed := ""
			if err := test.cmd.Run(t.Context(), s); err != nil {
				failed = err.Error()
			}
			clienttest.Same(t, "error", failed, test.failed)
			clienttest.Same(t, "output", out.String(), test.out)
			sent := ""
			for _, r := range api.Asked("POST /data/w1/cleanup") {
				sent += r.Body
			}
			clienttest.Same(t, "request", sent, test.request)
		})
	}
}

func TestCleanupThatLeavesSome(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/list":     clienttest.Says(clienttest.TwoSources),
		"POST /data/w1/cleanup": clienttest.Says(`{"deleted_count":1,"deleted_sources":["src_a"],"failed_sources":[{"name":"crm","error":"the lake is full"}]}`),
	})
	s, out, _ := clienttest.Streams("")
	err := (&CleanupCmd{ClientFlags: flagsFor(api), Sources: []string{"airports", "crm"}}).Run(t.Context(), s)
	if err == nil || err.Error() != "not removed: crm: the lake is full" {
		t.Errorf("got %v", err)
	}
	clienttest.Same(t, "output", out.String(), "removed airports  src_a\n")
	clienttest.Same(t, "request", api.Asked("POST /data/w1/cleanup")[0].Body, `{"scope":"user","source_ids":["src_a","src_b"]}`)
}

type clientCLI struct {
	Connect ConnectCmd `cmd:""`
	Sync    SyncCmd    `cmd:""`
	Cleanup CleanupCmd `cmd:""`
	Restore RestoreCmd `cmd:""`
	Schema  SchemaCmd  `cmd:""`
	Syncs   SyncsCmd   `cmd:""`
}

func parse(t *testing.T, args ...string) (clientCLI, error) {
	t.Helper()
	var c clientCLI
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return c, err
}

// The command line splits nothing that the user wrote as one value.
func TestCommandLine(t *testing.T) {
	c, err := parse(t, "connect", "--url", "http://h:1", "--token", "x", "-w", "w", "-t", "database", "-n", "crm", "-c", `{"a":1,"b":2}`, "-c", "columns=x,y",
		"-s", "password=env:PASSWORD", "-m", "team=a,b")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`{"a":1,"b":2}`, "columns=x,y"}, c.Connect.Config); diff != "" {
		t.Error(diff)
	}
	if c.Connect.Token != "x" || c.Connect.URL != "http://h:1" || c.Connect.Workspace != "w" {
		t.Errorf("flags %+v", c.Connect.ClientFlags)
	}
	c, err = parse(t, "sync", "crm", "airports", "--mode", "incremental", "--table", "a,b", "--cancel")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a,b"}, c.Sync.Table); diff != "" {
		t.Error(diff)
	}
	for _, args := range [][]string{
		{"cleanup", "-y", "--dry-run"},
		{"cleanup", "crm", "--purge"},
		{"restore", "crm", "--rename", "crm 2"},
		{"restore", "--as-of", "2026-01-31T12:00:00Z", "--dry-run"},
		{"schema", "crm", "--columns"},
		{"syncs", "--scope", "organization"},
	} {
		if _, err := parse(t, args...); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range [][]string{{"sync", "--mode", "merge"}, {"syncs", "--scope", "everyone"}, {"connect", "-t", "api"}, {"schema"}} {
		if _, err := parse(t, args...); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
