package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
)

// TestFilesBelowARelativeFolder holds the default of --data-dir: the child that
// opens a source stands elsewhere.
func TestFilesBelowARelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	cfg := testConfig(t)
	cfg.DataDir = "data"
	n := startTestNode(t, cfg)
	if err := os.WriteFile("data/files/a.csv", []byte("id,name\n1,x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := n.issue(auth.Claims{Organization: "acme", Username: "ada", Role: auth.RoleEditor}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	args := []string{"test", "--type", "file", "--config", "path=a.csv", "--url", n.URL, "--token", token}
	if err := run(t.Context(), args, nil, &out, &log); err != nil || strings.Contains(out.String(), "failed") {
		t.Errorf("%v\n%s%s", err, out.String(), log.String())
	}
}
