package api

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

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
	var errors lockedBuffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %v: %v\n%s%s", args, err, out, errors.String())
	}
	return out
}

// TestContractsAreLinted has strangers' tools read both contracts from a
// running service, as a reader would.
func TestContractsAreLinted(t *testing.T) {
	spectral := bustest.Tool(t, "npm", "node_modules", "@stoplight", "spectral-cli", "dist", "index.js")
	server := httptest.NewServer(newHouse(t).handler)
	defer server.Close()
	node(t, spectral, "lint", "--ruleset", "../.ci/npm/spectral.yaml", "--fail-severity", "warn", server.URL+basePath+"/openapi.yaml")
	node(t, bustest.Tool(t, "npm", "node_modules", "@redocly", "cli", "bin", "cli.js"), "lint", server.URL+basePath+"/openapi.yaml")

	var read, want []string
	if err := json.Unmarshal(node(t, "testdata/asyncapi.cjs", server.URL+"/asyncapi.yaml"), &read); err != nil {
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

// TestContractMakesTypes has the types of the OpenAPI document made and checked,
// as a caller of the API in TypeScript does.
func TestContractMakesTypes(t *testing.T) {
	server := httptest.NewServer(newHouse(t).handler)
	defer server.Close()
	types := filepath.Join(t.TempDir(), "headwater.ts")
	node(t, bustest.Tool(t, "npm", "node_modules", "openapi-typescript", "bin", "cli.js"), server.URL+basePath+"/openapi.yaml", "--output", types)
	node(t, bustest.Tool(t, "npm", "node_modules", "typescript", "bin", "tsc"), "--strict", "--noEmit", types)
}
