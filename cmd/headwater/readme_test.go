package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// blocks returns the README's code blocks of a language, such as "sh run".
func blocks(t *testing.T, language string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for i, block := range strings.Split(string(readme), "\n```") {
		if code, ok := strings.CutPrefix(block, language+"\n"); ok && i > 0 {
			script.WriteString(code + "\n")
		}
	}
	if script.Len() == 0 {
		t.Fatalf("the README has no %q", language)
	}
	return script.String()
}

// readmeDir returns a folder in which the README's commands find what they
// name: the program and the demo's data.
func readmeDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	demodata, err := filepath.Abs("demodata")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "cmd", "headwater"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(demodata, filepath.Join(dir, "cmd", "headwater", "demodata")); err != nil {
		t.Fatal(err)
	}
	wrapper := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", mainVariable, os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "headwater"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestReadmeExamples runs the README's examples as they stand, but for the
// port, against the program in a process of its own.
func TestReadmeExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("HEADWATER_TEST_REQUIRE") != "" {
			t.Fatal("the examples need curl: apt-get install curl")
		}
		t.Skip("the examples need curl")
	}
	dir := readmeDir(t)
	listen := freePort(t)
	p := startProcess(t, filepath.Join(dir, "headwater-data"), listen)
	defer p.kill()

	script := strings.ReplaceAll(blocks(t, "sh run"), "127.0.0.1:8080", listen)
	if strings.Count(script, "call ") < 10 || !strings.Contains(script, "./headwater sync") {
		t.Fatalf("the README's examples were not found:\n%s", script)
	}
	sh := exec.Command("sh", "-eux")
	sh.Dir, sh.Stdin = dir, strings.NewReader(script)
	sh.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "HEADWATER_URL=http://" + listen}
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("the README's examples: %v\n%s\nthe service said:\n%s", err, out, p.log.Bytes())
	}
	for _, want := range []string{`"status":"success"`, `"records_processed":3376`, `"deleted_count":1`, `"connected_sources":[{`, `"operation_id"`, `"type":"headwater.SyncCompleted.v1"`, "completed: 3,376 rows"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the examples' output lacks %s:\n%s", want, out)
		}
	}
}

// TestReadmeNamesRealTests keeps the list of promises honest.
func TestReadmeNamesRealTests(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]string{"bus": "../../bus", "api": "../../api", "handlers": "../../handlers",
		"landing": "../../handlers/landing", "projections": "../../projections", "cmd": "."}
	named := 0
	for _, span := range strings.Split(string(readme), "`") {
		folder, tests, ok := strings.Cut(span, ": Test")
		if !ok || folders[folder] == "" {
			continue
		}
		for _, name := range strings.Split("Test"+tests, ", ") {
			named++
			if !hasTest(t, folders[folder], name) {
				t.Errorf("the README promises %s in %s, which is not there", name, folder)
			}
		}
	}
	if named < 15 {
		t.Errorf("only %d tests are named in the README", named)
	}
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(source, []byte("\nfunc "+name+"(")) {
			return true
		}
	}
	return false
}

// TestRebuild folds the history of a stopped service into a fresh projection,
// then removes the stored one and expects the same answers.
func TestRebuild(t *testing.T) {
	cfg := testConfig(t)
	files := filepath.Join(cfg.DataDir, "files")
	if err := os.MkdirAll(files, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(files, os.DirFS("demodata")); err != nil {
		t.Fatal(err)
	}
	n := startTestNode(t, cfg)
	c := n.as(t, "acme", "ada", "editor")
	connect := func(name string) {
		t.Helper()
		if a := c.post("/data/w/connect", object{"sources": []object{{"type": "file", "name": name, "connection_config": object{"path": "airports.csv"}}}}); a.Code != 200 {
			t.Fatalf("connect: %s", a.Body)
		}
	}
	for _, name := range []string{"one", "two", "three"} {
		connect(name)
	}
	c.post("/data/w/sync", object{})
	c.post("/data/w/cleanup", object{"source_ids": []string{idOf(t, c, "two")}})
	connect("two")
	reads := []string{"/data/w/list", "/data/w/syncs", "/data/w/schema?source_id=" + idOf(t, c, "one"), "/data/w/schema/history?source_id=" + idOf(t, c, "two")}
	before := map[string]string{}
	for _, path := range reads {
		before[path] = string(c.get(path).Body)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	var out bytes.Buffer
	if err := (&RebuildCmd{Config: cfg, Verify: true}).Run(t.Context(), Streams{Out: &out, Err: io.Discard}); err != nil {
		t.Fatalf("rebuild --verify: %v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "same") || strings.Contains(out.String(), "DIFFERS") {
		t.Errorf("rebuild --verify printed\n%s", &out)
	}

	if err := os.RemoveAll(filepath.Join(cfg.DataDir, "projection")); err != nil {
		t.Fatal(err)
	}
	again := startTestNode(t, cfg)
	c = again.as(t, "acme", "ada", "editor")
	for _, path := range reads {
		if after := string(c.get(path).Body); after != before[path] {
			t.Errorf("%s answers after the rebuild\n%s\nand before it\n%s", path, after, before[path])
		}
	}
}

func idOf(t *testing.T, c *caller, name string) string {
	t.Helper()
	var listed []struct{ ID, Name string }
	c.get("/data/w/list").into(t, &listed)
	for _, s := range listed {
		if s.Name == name {
			return s.ID
		}
	}
	t.Fatalf("no source %s", name)
	return ""
}
