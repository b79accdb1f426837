package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// put writes a small CSV file below the files root.
func (n *testNode) put(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join(n.cfg.path("files"), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("id,name\n1,x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// connects reports whether a caller can connect a file, and what it is told.
func (c *caller) connects(name, path string) (bool, string) {
	a := c.post("/data/w1/connect", object{"sources": []object{{"type": "file", "name": name, "connection_config": object{"path": path}}}})
	return a.Code == 200, string(a.Body)
}

// The files root is its first organization's, as long as it is alone: whoever
// comes then has a folder, reads nothing of anybody else's, and the first one is
// told where to move.
func TestFilesOfTwoOrganizations(t *testing.T) {
	t.Parallel() // it waits more than it computes
	cfg := testConfig(t)
	cfg.FilesOf, cfg.FilesShared = "", "shared"
	n := startTestNode(t, cfg)
	for _, name := range []string{"payroll.csv", "shared/all.csv"} {
		n.put(t, name)
	}
	ada, eve := n.as(t, "acme", "ada", "editor"), n.as(t, "evil", "eve", "editor")
	if ok, told := ada.connects("early", "payroll.csv"); ok || !strings.Contains(told, "folder acme of the files root (--files-root)") {
		t.Errorf("before anybody was given the root: %v %s", ok, told)
	}
	token := func(organization string) string {
		t.Helper()
		var out, log bytes.Buffer
		if err := run(t.Context(), []string{"token", "--org", organization, "--user", "u", "--data-dir", n.cfg.DataDir}, nil, &out, &log); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	if told := token("acme"); told != "" {
		t.Errorf("the first one is told %q", told)
	}
	if ok, told := ada.connects("payroll", "payroll.csv"); !ok {
		t.Errorf("the first one's file: %s", told)
	}
	for _, path := range []string{"payroll.csv", "*.csv", "../payroll.csv", ".", "**/*.csv", "acme/payroll.csv"} {
		if ok, told := eve.connects("theirs", path); ok {
			t.Errorf("another connects %s: %s", path, told)
		}
	}
	if ok, told := eve.connects("all", "shared/all.csv"); !ok {
		t.Errorf("the shared file: %s", told)
	}
	if told := token("evil"); !strings.Contains(told, filepath.Join(n.cfg.path("files"), "evil")) {
		t.Errorf("the second one is told %q", told)
	}
	if a := ada.post("/data/w1/sync", object{}); a.Code == 200 || !strings.Contains(string(a.Body), "folder acme of the files root (--files-root), which is not there") {
		t.Errorf("a sync of the old layout: %d %s", a.Code, a.Body)
	}
	n.put(t, "acme/payroll.csv")
	if a := ada.post("/data/w1/sync", object{}); a.Code != 200 {
		t.Errorf("after the move: %d %s", a.Code, a.Body)
	}
	for _, path := range []string{"payroll.csv", "acme/payroll.csv", "../acme/payroll.csv"} {
		if ok, told := eve.connects("theirs", path); ok {
			t.Errorf("another connects %s: %s", path, told)
		}
	}
}

// A node that had served several organizations before gives the root to none.
func TestFilesOfFormerOrganizations(t *testing.T) {
	t.Parallel() // it waits more than it computes
	cfg := testConfig(t)
	cfg.FilesOf = "evil"
	n := startTestNode(t, cfg)
	n.put(t, "e.csv")
	if ok, told := n.as(t, "evil", "eve", "editor").connects("e", "e.csv"); !ok {
		t.Fatal(told)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg.FilesOf = ""
	n = startTestNode(t, cfg)
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"token", "--org", "acme", "--user", "u", "--data-dir", n.cfg.DataDir}, nil, &out, &log); err != nil || log.String() == "" {
		t.Errorf("%v, told %q", err, log.String())
	}
	if ok, told := n.as(t, "acme", "ada", "editor").connects("e", "e.csv"); ok {
		t.Errorf("it has all of the root: %s", told)
	}
}
