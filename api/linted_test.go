package api

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"headwater/api/call"
	"headwater/bus/bustest"
	"headwater/bus/event"
)

// node runs a script of node.js, or of an npm package, and returns what it
// printed.
func node(t *testing.T, args ...string) []byte {
	t.Helper()
	modules := bustest.Tool(t, "npm", "node_modules")
	cmd := exec.Command("node", args...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "NO_COLOR=1")
	return run(t, cmd)
}

func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var errors lockedBuffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, errors.String())
	}
	return out
}

// packaged returns the path of a file of an npm package.
func packaged(t *testing.T, place ...string) string {
	t.Helper()
	return bustest.Tool(t, append([]string{"npm", "node_modules"}, place...)...)
}

// saved stores a document of a service as a reader does who then works with the
// copy: nothing lies beside it and no service runs.
func saved(t *testing.T, path string) string {
	t.Helper()
	r := caller{newHouse(t), "", call.BasePath}.get(path)
	file := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(file, []byte(r.Raw), 0o600); err != nil || r.Code != 200 {
		t.Fatalf("%s: %d %v", path, r.Code, err)
	}
	return file
}

// TestContractsAreLinted has strangers' tools read copies of both contracts.
func TestContractsAreLinted(t *testing.T) {
	openapi := saved(t, "/openapi.yaml")
	node(t, packaged(t, "@stoplight", "spectral-cli", "dist", "index.js"), "lint", "--ruleset", "../.ci/npm/spectral.yaml", "--fail-severity", "warn", openapi)
	node(t, packaged(t, "@redocly", "cli", "bin", "cli.js"), "lint", openapi)

	var read, want []string
	if err := json.Unmarshal(node(t, "testdata/asyncapi.cjs", saved(t, "/asyncapi.yaml")), &read); err != nil {
		t.Fatal(err)
	}
	for _, e := range event.All() {
		want = append(want, e.EventName())
	}
	slices.Sort(want)
	if !slices.Equal(read, want) {
		t.Errorf("the parser read %v, wanted %v", read, want)
	}
}
