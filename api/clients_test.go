package api

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/bus/bustest"
	"headwater/bus/event"
)

func put(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// golang runs the go command in a module of its own.
func golang(t *testing.T, folder string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "CGO_ENABLED=0")
	return run(t, cmd)
}

// TestContractMakesTypes has the types of the OpenAPI document made and checked,
// as a caller of the API in TypeScript does. Numbers that JavaScript would round
// are texts for it.
func TestContractMakesTypes(t *testing.T) {
	folder := t.TempDir()
	node(t, packaged(t, "openapi-typescript", "bin", "cli.js"), saved(t, "/openapi.yaml"), "--output", filepath.Join(folder, "headwater.ts"))
	put(t, folder, "caller.ts", `import type { components } from "./headwater";
type All = components["schemas"];
export const read = (c: All["Checkpoint"], v: All["Verification"], p: All["Preview"], r: All["TableResult"]): (string | undefined)[] =>
  [c.snapshot_id, v.snapshot_id, p.snapshot_id, r.snapshot_id];
`)
	node(t, packaged(t, "typescript", "bin", "tsc"), "--strict", "--noEmit", "--target", "es2022", filepath.Join(folder, "caller.ts"))
}

// TestAsyncContractMakesTypes has Modelina make types of the events, which must
// compile, and reads an event by them.
func TestAsyncContractMakesTypes(t *testing.T) {
	folder := t.TempDir()
	packaged(t, "@asyncapi", "modelina", "package.json")
	var names []string
	if err := json.Unmarshal(node(t, "testdata/modelina.cjs", saved(t, "/asyncapi.yaml"), folder), &names); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "Anonymous") {
			t.Errorf("a part of a payload has no name: %s", name)
		}
	}
	for _, e := range event.All() {
		if !slices.Contains(names, e.EventName()) {
			t.Errorf("there is no type for %s: %v", e.EventName(), names)
		}
	}
	put(t, filepath.Join(folder, "go"), "go.mod", "module events\n\ngo 1.24\n")
	golang(t, filepath.Join(folder, "go"), "vet", ".")

	id := event.SnapshotID(5937117119577207001)
	payload, err := json.Marshal(&event.SyncProgressed{Table: event.TableResult{SnapshotID: id, Snapshot: id.Text()}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, "ts"), "reader.ts", `import type { SyncProgressed } from "./SyncProgressed";
declare const process: { argv: string[] };
const read: SyncProgressed = JSON.parse(process.argv[2]);
const snapshot: string | undefined = read.table.snapshot;
console.log(snapshot);
`)
	node(t, packaged(t, "typescript", "bin", "tsc"), "--strict", "--target", "es2022", "--module", "commonjs", filepath.Join(folder, "ts", "reader.ts"))
	if got := strings.TrimSpace(string(node(t, filepath.Join(folder, "ts", "reader.js"), string(payload)))); got != id.Text() {
		t.Errorf("the snapshot is %s to JavaScript, not %s", got, id.Text())
	}
}

// TestContractMakesAClient has oapi-codegen make a client of the OpenAPI document
// as it is; in the long form it calls a service.
func TestContractMakesAClient(t *testing.T) {
	generator := bustest.Tool(t, "oapi-codegen-v2.8.2", "oapi-codegen")
	h := newHouse(t)
	folder := t.TempDir()
	made := run(t, exec.Command(generator, "-generate", "types,client", "-package", "main", saved(t, "/openapi.yaml")))
	if !strings.Contains(string(made), "func (c *ClientWithResponses) ConnectWithResponse(") {
		t.Fatalf("no client was made: %.2000s", made)
	}
	if testing.Short() {
		t.Skip("whether it compiles is for the long form")
	}
	put(t, folder, "client.go", string(made))
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("..", ".ci", "client", name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, folder, name, string(text))
	}
	put(t, folder, "main.go", `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
)

func main() {
	ctx := context.Background()
	client, err := NewClientWithResponses(os.Args[1], WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Args[2])
		return nil
	}))
	if err != nil {
		panic(err)
	}
	list, err := client.ListWithResponse(ctx, "w1", nil)
	if err != nil {
		panic(err)
	}
	for _, s := range list.JSON200.Data {
		fmt.Println(s.Name, s.Connector)
	}
}
`)
	c := h.ada()
	c.connected("user", source("customer_db", "db"))
	token, err := h.auth.Issue(auth.Claims{Organization: "acme", Username: "ada", Role: auth.RoleEditor}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(golang(t, folder, "run", ".", h.server.URL+call.BasePath, token))); got != "customer_db postgresql" {
		t.Errorf("the client read %q", got)
	}
}
