package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"headwater/api/auth"
	"headwater/cmd/headwater/demo"
	"headwater/cmd/headwater/exit"
)

// shell runs commands of one user against a real service, as a terminal does.
type shell struct {
	t     *testing.T
	node  *testNode
	flags []string
}

func newShell(t *testing.T, n *testNode, user, scope string) shell {
	t.Helper()
	return shell{t, n, []string{"--url", n.URL, "--token", n.as(t, "acme", user, auth.RoleEditor).token, "--workspace", strings.ToLower(path.Base(t.Name())), "--scope", scope}}
}

// try returns what the command printed, what it remarked and how it ended.
func (s shell) try(args ...string) (out, errs string, code int) {
	var stdout, stderr bytes.Buffer
	err := run(s.t.Context(), append(append([]string{}, args...), s.flags...), nil, &stdout, &stderr)
	if err != nil {
		stderr.WriteString("headwater: " + err.Error())
	}
	return stdout.String(), stderr.String(), exit.Code(err)
}

// ok is try for what must work.
func (s shell) ok(args ...string) string {
	s.t.Helper()
	out, errs, code := s.try(args...)
	if code != 0 {
		s.t.Fatalf("%q ended with %d: %s%s", args, code, out, errs)
	}
	return out
}

// TestTerminal runs commands against one service with the demo's files, each
// test in a workspace of its own.
func TestTerminal(t *testing.T) {
	t.Parallel() // it waits more than it computes
	cfg := testConfig(t)
	if _, err := demo.WriteFiles(filepath.Join(cfg.DataDir, "files")); err != nil {
		t.Fatal(err)
	}
	n := startTestNode(t, cfg)
	t.Run("where", func(t *testing.T) { whereTablesLie(t, n) })
	t.Run("rename", func(t *testing.T) { renameAndUpdate(t, n) })
	t.Run("hints", func(t *testing.T) { hintsAndLists(t, n) })
	t.Run("addresses", func(t *testing.T) { connectByAddress(t, n) })
}

func whereTablesLie(t *testing.T, n *testNode) {
	ada := newShell(t, n, "ada", "user")
	ada.ok("connect", "airports.csv", "--name", "airports")
	ada.ok("connect", "sqlite:timezones.db", "--name", "tz's")
	ada.ok("connect", "timezones.db", "--name", "other")
	if _, errs, code := ada.try("where", "airports"); code != exit.Refused || !strings.Contains(errs, "nothing of a table") {
		t.Errorf("before a sync: %d %s", code, errs)
	}
	ada.ok("sync")
	for _, name := range []string{"airports", "airports.airports", "tz's.zones", "other.zones"} {
		out := ada.ok("where", name)
		found := regexp.MustCompile(`iceberg_scan\('((?:[^']|'')+)'\)`).FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("%s: no line that reads it:\n%s", name, out)
		}
		body, err := os.ReadFile(strings.ReplaceAll(found[1], "''", "'"))
		if err != nil || !json.Valid(body) || !strings.Contains(out, "metadata  "+strings.ReplaceAll(found[1], "''", "'")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	before := ada.ok("where", "airports")
	ada.ok("sync", "airports")
	if ada.ok("where", "airports") == before {
		t.Error("the metadata file is that of the sync before")
	}
	if _, errs, code := ada.try("where", "zones"); code != exit.Refused || !strings.Contains(errs, "other.zones") || !strings.Contains(errs, "tz's.zones") {
		t.Errorf("an ambiguous name: %d %s", code, errs)
	}
	shared := newShell(t, n, "ada", "organization")
	if _, errs, _ := shared.try("where", "airports"); !strings.Contains(errs, "it is there with --scope user") {
		t.Errorf("the other scope: %s", errs)
	}
	var doc struct {
		Records int64  `json:"records"`
		SQL     string `json:"duckdb"`
	}
	if err := json.Unmarshal([]byte(ada.ok("where", "airports", "--json")), &doc); err != nil || doc.Records != 3376 || doc.SQL == "" {
		t.Errorf("--json: %+v, %v", doc, err)
	}
}

func renameAndUpdate(t *testing.T, n *testNode) {
	ada := newShell(t, n, "ada", "user")
	ada.ok("connect", "airports.csv", "--name", "airports")
	ada.ok("connect", "timezones.db", "--name", "tz")
	ada.ok("sync")
	place := ada.ok("where", "airports.airports")
	ada.ok("rename", "airports", "airfields")
	if moved := ada.ok("where", "airfields.airports"); strings.ReplaceAll(moved, "airfields.airports", "airports.airports") != place {
		t.Errorf("the table has moved:\n%s\n%s", place, moved)
	}
	if out := ada.ok("list"); !strings.Contains(out, "airfields") || strings.Contains(out, "\nairports ") {
		t.Errorf("listed:\n%s", out)
	}
	if out := ada.ok("schema", "airfields"); !strings.Contains(out, "airports") {
		t.Errorf("schema: %s", out)
	}
	if out := ada.ok("events", "--source", "airfields", "--type", "SourceConnected"); !strings.Contains(out, "airfields (file), version 2") {
		t.Errorf("events: %s", out)
	}
	if _, errs, code := ada.try("rename", "airfields", "tz"); code != exit.Refused || strings.Count(errs, "is the name of another source") != 1 {
		t.Errorf("a name that is taken: %d %s", code, errs)
	}
	if out := ada.ok("update", "airfields", "--config", "delimiter=,", "--metadata", "team=ops"); !strings.Contains(out, "updated airfields") {
		t.Errorf("update: %s", out)
	}
	var listed []struct {
		Name             string
		Config, Metadata map[string]any
	}
	if err := json.Unmarshal([]byte(ada.ok("list", "--name", "airfields", "--json")), &listed); err != nil || listed[0].Config["path"] != "airports.csv" || listed[0].Config["delimiter"] != "," || listed[0].Metadata["team"] != "ops" {
		t.Errorf("after the update: %+v, %v", listed, err)
	}
	if _, errs, code := ada.try("update", "airfields", "--config", "delimitr=;"); code != exit.Refused || strings.Count(errs, "--config delimitr") != 1 || strings.Contains(errs, "connection_config") {
		t.Errorf("a mistake is told in flags, once: %d %s", code, errs)
	}
	if _, _, code := ada.try("update", "airfields"); code != exit.Usage {
		t.Errorf("nothing to update ends with %d", code)
	}
	if out := ada.ok("schema", "tz", "--refresh"); !strings.Contains(out, "zones") {
		t.Errorf("schema --refresh: %s", out)
	}
	if out := ada.ok("operations", "--kind", "discover"); strings.Count(out, "discover") != 1 {
		t.Errorf("operations: %s", out)
	}
	if out := ada.ok("operations"); !strings.Contains(out, "rename") || !strings.Contains(out, "update") || !strings.Contains(out, "sync") {
		t.Errorf("operations: %s", out)
	}
	sync := regexp.MustCompile(`syn_\w+`).FindString(ada.ok("syncs"))
	if out := ada.ok("cancel", sync); !strings.Contains(out, sync) || !strings.Contains(out, "completed") {
		t.Errorf("cancel of a sync that has ended: %s", out)
	}
	if _, _, code := ada.try("cancel", "syn_unknown"); code != exit.Refused {
		t.Errorf("cancel of no sync ends with %d", code)
	}
}

func hintsAndLists(t *testing.T, n *testNode) {
	ada, shared := newShell(t, n, "ada", "user"), newShell(t, n, "ada", "organization")
	ada.ok("connect", "airports.csv", "--name", "airports")
	for _, args := range [][]string{{"sync", "airports"}, {"schema", "airports"}, {"cleanup", "airports"}, {"rename", "airports", "x"}, {"verify", "airports"}} {
		if _, errs, code := shared.try(args...); code != exit.Refused || !strings.Contains(errs, "it is there with --scope user") {
			t.Errorf("%q: %d %s", args, code, errs)
		}
	}
	if out, _, code := shared.try("list"); code != 0 || !strings.Contains(out, "1 with --scope user") {
		t.Errorf("an empty list: %d %s", code, out)
	}
	if out, errs, code := ada.try("list", "-q", "nothing"); code != 0 || out != "" || !strings.Contains(errs, "no source that fits -q nothing") {
		t.Errorf("list -q: %d %q %q", code, out, errs)
	}
	if _, errs, _ := ada.try("connect", "airports.csv", "--name", " x"); strings.Count(errs, "--name") != 1 || strings.Contains(errs, "sources[0]") {
		t.Errorf("a mistake in the name: %s", errs)
	}
	if _, errs, code := ada.try("sync", "airports", "--cursor-column", "airports=nothing", "--incremental"); code != exit.Refused || !strings.Contains(errs, "--cursor-column") || strings.Contains(errs, "sync_options") {
		t.Errorf("a mistake in an option: %d %s", code, errs)
	}
	for _, alias := range []string{"postgres", "pg", "PostgreSQL"} {
		out := ada.ok("connectors", alias)
		for _, want := range []string{"sslmode", "prefer", "disable|prefer|require|verify-ca|verify-full", "list of string"} {
			if !strings.Contains(out, want) {
				t.Errorf("connectors %s lacks %q:\n%s", alias, want, out)
			}
		}
	}
	for _, alias := range []string{"mariadb", "rest", "http", "csv", "sqlite3"} {
		ada.ok("connectors", alias)
	}
	if out := ada.ok("connectors", "api"); !strings.Contains(out, "pagination.type") || !strings.Contains(out, "endpoints[].path") {
		t.Errorf("inner fields:\n%s", out)
	}
	if out := ada.ok("connectors", "database"); !strings.Contains(out, "mysql") || strings.Contains(out, "httpapi") {
		t.Errorf("a class:\n%s", out)
	}
}

// An address's password goes to the service and nowhere else, and plain lists
// become lists.
func connectByAddress(t *testing.T, n *testNode) {
	ada := newShell(t, n, "ada", "user")
	out, errs, code := ada.try("connect", "postgres://ada:hunter2@127.0.0.1:1/shop", "--config", "schemas=public,sales", "--name", "shop")
	if code != exit.Failed || strings.Contains(out+errs, "hunter2") || strings.Contains(errs, "schemas") {
		t.Errorf("connect: %d %s%s", code, out, errs)
	}
	if _, errs, code := ada.try("connect", "ftp://u:hunter2@h/d", "--name", "x"); code != exit.Usage || strings.Contains(errs, "hunter2") {
		t.Errorf("an unknown address: %d %s", code, errs)
	}
	if _, errs, code := ada.try("connect", "--name", "x"); code != exit.Usage || !strings.Contains(errs, "--type") {
		t.Errorf("no address and no type: %d %s", code, errs)
	}
	if bytes.Contains(n.logs.Bytes(), []byte("hunter2")) {
		t.Error("the log has the password")
	}
}
