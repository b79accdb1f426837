package event

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnotherModuleCompilesIt does what bus/README.md tells other services to do,
// without a network: a module that replaces this one by a folder compiles package
// event, and with it the standard library and nothing else.
func TestAnotherModuleCompilesIt(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example.com/billing\n\ngo 1.26\n",
		"main.go": "package main\n\nimport \"headwater/bus/event\"\n\nfunc main() { println(len(event.All())) }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("mod", "edit", "-require", "headwater@v0.0.0", "-replace", "headwater="+root)
	run("build", "-o", filepath.Join(dir, "billing"), ".")
	for path := range strings.Lines(run("list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")) {
		if path = strings.TrimSpace(path); path != "headwater/bus/event" && path != "example.com/billing" {
			t.Errorf("it compiles %s as well", path)
		}
	}
}
