package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"headwater/api/auth"
	"headwater/bus/bustest"
	"headwater/cmd/headwater/client"
	"headwater/cmd/headwater/terminal"
)

// TestAttachedLinesWork pastes what 'headwater attach clickhouse' prints into
// ClickHouse, with an API token: it reads the rows, and once the token is revoked
// nothing any more, neither from the catalog nor with the keys that it gave.
func TestAttachedLinesWork(t *testing.T) {
	t.Parallel()
	readers := bustest.Tool(t, "readers", "node_modules")
	cfg := testConfig(t)
	cfg.FilesRoot = filepath.Join(t.TempDir(), "files")
	n := startTestNode(t, cfg)
	c := n.as(t, "acme", "ada", auth.RoleEditor)
	if err := os.WriteFile(filepath.Join(cfg.FilesRoot, "my shop.csv"), []byte("id,note\n1,a\n2,b\n3,ü\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a := c.post("/data/w/connect", object{"sources": []object{{"type": "file", "name": "my shop", "connection_config": object{"path": "my shop.csv"}}}}); a.Code != 200 {
		t.Fatalf("connect: %s", a.Body)
	}
	if a := c.post("/data/w/sync", object{}); a.Code != 200 {
		t.Fatalf("sync: %s", a.Body)
	}
	var token struct{ ID, Token string }
	if a := c.post("/data/w/tokens", object{"name": "clickhouse"}); a.Code != 200 || json.Unmarshal(a.Data, &token) != nil {
		t.Fatalf("token: %s", a.Body)
	}
	var out, told bytes.Buffer
	attach := &client.AttachCmd{ClientFlags: client.ClientFlags{URL: n.URL, Token: token.Token, Workspace: "w", Scope: "user"}, Engine: "clickhouse", Source: "my shop", ShowToken: true}
	if err := attach.Run(t.Context(), terminal.Streams{Out: &out, Err: &told}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	run := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "node", append([]string{filepath.Join("testdata", "attached.cjs")}, lines...)...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+readers)
		answer, err := cmd.CombinedOutput()
		return string(answer), err
	}
	if got, err := run(); err != nil || !strings.Contains(got, `3\tü`) || strings.Count(got, `\n`) != 3 {
		t.Errorf("%v: %s\n%s", err, got, out.String())
	}
	if a := c.call("DELETE", "/data/w/tokens/"+token.ID, nil); a.Code != 200 {
		t.Fatalf("revoke: %s", a.Body)
	}
	if got, err := run(); err == nil || strings.Contains(got, `\tü`) {
		t.Errorf("a revoked token reads %s", got)
	}
}
