package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"headwater/cmd/headwater/terminal"
)

// readmes are the README and those beside the packages, in the order in which a
// reader gets to them: the examples of each go on where the former's ended.
var readmes = []string{"", "cmd/headwater", "api", "handlers", "connectors", "bus", "cmd/headwater/clustertest", "cmd/bench"}

// readme returns a README by its folder, or all of them without one.
func readme(t *testing.T, folders ...string) string {
	t.Helper()
	if len(folders) == 0 {
		folders = readmes
	}
	var all strings.Builder
	for _, folder := range folders {
		text, err := os.ReadFile(filepath.Join("../..", folder, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// blocks returns the READMEs' code blocks of a language, such as "sh run".
func blocks(t *testing.T, language string) string {
	t.Helper()
	var script strings.Builder
	for i, block := range strings.Split(readme(t), "\n```") {
		if code, ok := strings.CutPrefix(block, language+"\n"); ok && i > 0 {
			script.WriteString(code + "\n")
		}
	}
	if script.Len() == 0 {
		t.Fatalf("no README has %q", language)
	}
	return script.String()
}

// TestReadmesLead holds that every page of the repository that a README names is
// there, and every heading in it that is named; and that the first one stays short.
func TestReadmesLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	for _, folder := range readmes {
		for _, found := range link.FindAllStringSubmatch(readme(t, folder), -1) {
			at := filepath.Join("../..", folder, "README.md")
			if found[1] != "" {
				at = filepath.Join("../..", folder, found[1])
			}
			page, err := os.ReadFile(at)
			if err != nil {
				t.Errorf("the README of %q leads nowhere: %v", folder, err)
				continue
			}
			if found[2] != "" && !slices.Contains(headings(string(page)), found[2]) {
				t.Errorf("the README of %q leads to %s%s, which has no such heading", folder, found[1], found[2])
			}
		}
	}
	if n := len(readme(t, "")); n > 10<<10 {
		t.Errorf("the first README has %d bytes: what only some need belongs beside its package", n)
	}
}

// headings returns the anchors of a page's headings.
func headings(page string) (anchors []string) {
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			anchors = append(anchors, "#"+strings.ReplaceAll(strings.ToLower(strings.TrimSpace(text)), " ", "-"))
		}
	}
	return anchors
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
	race, told, _ := strings.Cut(raceSettings, "=")
	wrapper := fmt.Sprintf("#!/bin/sh\nexport %s=1 %s='%s'\nexec %q \"$@\"\n", mainVariable, race, told, os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "headwater"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestReadmeExamples runs the README's examples as they stand, but for the
// port, against the program in a process of its own.
func TestReadmeExamples(t *testing.T) {
	t.Parallel() // it waits more than it computes
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
	folders := map[string]string{"bus": "../../bus", "api": "../../api", "handlers": "../../handlers",
		"landing": "../../handlers/landing", "projections": "../../projections", "proof": "../../projections/proof", "webhooks": "../../bus/webhooks", "cmd": "."}
	named := 0
	for _, span := range strings.Split(readme(t), "`") {
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
	t.Parallel() // it waits more than it computes
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
	if err := (&RebuildCmd{Config: cfg, Verify: true}).Run(t.Context(), terminal.Streams{Out: &out, Err: io.Discard}); err != nil {
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
