package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"headwater/cmd/headwater/terminal"
)

// movable is a service with one CSV file of a table, on a data directory that a
// test moves about.
type movable struct {
	t   *testing.T
	cfg Config
}

func newMovable(t *testing.T) *movable {
	m := &movable{t, testConfig(t)}
	m.cfg.FilesRoot = filepath.Join(t.TempDir(), "files")
	m.write("id,name\n1,Ada\n2,Grace\n")
	m.serve(func(c *caller) {
		a := c.post("/data/w/connect", object{"sources": []object{{"type": "file", "name": "people", "connection_config": object{"path": "people.csv", "primary_key": []string{"id"}}}}})
		if a.Code != 200 {
			t.Fatalf("connect: %s", a.Body)
		}
		m.sync(c, 2)
	})
	return m
}

func (m *movable) write(content string) {
	m.t.Helper()
	if err := os.MkdirAll(m.cfg.FilesRoot, 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.cfg.FilesRoot, "people.csv"), []byte(content), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// start starts the service on the data directory as it lies now.
func (m *movable) start() (*node, error) {
	cfg := m.cfg
	return startNode(m.t.Context(), cfg, slog.New(slog.DiscardHandler))
}

func (m *movable) serve(use func(*caller)) {
	m.t.Helper()
	n, err := m.start()
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainLimit+busy)
		defer cancel()
		if err := n.Close(ctx); err != nil {
			m.t.Errorf("close: %v", err)
		}
	}()
	use((&testNode{node: n}).as(m.t, "acme", "ada", "editor"))
}

// sync refreshes the table and wants it to have so many rows then.
func (m *movable) sync(c *caller, rows int64) {
	m.t.Helper()
	a := c.post("/data/w/sync", object{})
	var data struct {
		Syncs []struct {
			Status string
			Tables []struct {
				Total int64 `json:"total_records"`
			}
		}
	}
	a.into(m.t, &data)
	if a.Code != 200 || len(data.Syncs) != 1 || len(data.Syncs[0].Tables) != 1 || data.Syncs[0].Tables[0].Total != rows {
		m.t.Fatalf("sync: %s; want %d rows", a.Body, rows)
	}
}

func (m *movable) refused(words ...string) {
	m.t.Helper()
	n, err := m.start()
	if err == nil {
		_ = n.Close(context.Background())
		m.t.Fatal("it started")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			m.t.Errorf("%q does not say %q", err, word)
		}
	}
}

// relocate runs the command and returns what it printed.
func (m *movable) relocate() string {
	m.t.Helper()
	var out bytes.Buffer
	c := RelocateCmd{Config: m.cfg}
	if err := c.Run(m.t.Context(), terminal.Streams{Out: &out, Err: &out}); err != nil {
		m.t.Fatalf("relocate: %v", err)
	}
	return out.String()
}

// A data directory that was moved, or restored from a backup in another place,
// says what to do, and goes on after it.
func TestMovedDataDirectory(t *testing.T) {
	t.Parallel() // it waits more than it computes
	m := newMovable(t)
	former := m.cfg.DataDir
	m.cfg.DataDir = filepath.Join(t.TempDir(), "restored")
	if err := os.Rename(former, m.cfg.DataDir); err != nil {
		t.Fatal(err)
	}
	m.refused("--lake", former, "headwater relocate")
	if out := m.relocate(); !strings.Contains(out, "1 table now in file://"+m.cfg.DataDir) {
		t.Errorf("relocate said %q", out)
	}
	m.write("id,name\n1,Ada\n2,Grace\n3,Edsger\n")
	m.serve(func(c *caller) { m.sync(c, 3) })
	if _, err := os.Stat(former); err == nil {
		t.Error("the former place was made again")
	}
}

// A copy beside its original never writes to the original's lake.
func TestCopiedDataDirectory(t *testing.T) {
	t.Parallel() // it waits more than it computes
	m := newMovable(t)
	original := m.cfg
	m.cfg.DataDir = filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", original.DataDir, m.cfg.DataDir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.refused("--lake", original.DataDir)
	m.cfg.Lake = filepath.Join(original.DataDir, "lake")
	m.refused("moved or copied", "headwater relocate")
	m.cfg.Lake = ""
	m.relocate()
	m.write("id,name\n1,Ada\n2,Grace\n3,Edsger\n4,Barbara\n")
	m.serve(func(c *caller) { m.sync(c, 4) })

	was := lakeFiles(t, m.cfg.DataDir)
	m.cfg = original
	m.serve(func(c *caller) { m.sync(c, 4) })
	m.cfg.DataDir = filepath.Dir(was.dir)
	if now := lakeFiles(t, m.cfg.DataDir); fmt.Sprint(now) != fmt.Sprint(was) {
		t.Errorf("the original changed the copy's lake: %v, was %v", now, was)
	}
}

type fileList struct {
	dir   string
	names []string
}

func lakeFiles(t *testing.T, dataDir string) fileList {
	t.Helper()
	found := fileList{dir: filepath.Join(dataDir, "lake")}
	err := filepath.WalkDir(found.dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found.names = append(found.names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Two services on one lake: the second does not start.
func TestTwoServicesOnOneLake(t *testing.T) {
	t.Parallel() // it waits more than it computes
	m := newMovable(t)
	lake := filepath.Join(m.cfg.DataDir, "lake")
	other := &movable{t, testConfig(t)}
	other.cfg.FilesRoot, other.cfg.Lake = m.cfg.FilesRoot, lake
	other.refused("belongs to another instance", m.cfg.DataDir, "--lake")
}

// A lake that is gone is not taken for an empty one.
func TestALakeThatIsNotMounted(t *testing.T) {
	t.Parallel() // it waits more than it computes
	m := newMovable(t)
	if err := os.Rename(filepath.Join(m.cfg.DataDir, "lake"), filepath.Join(m.cfg.DataDir, "away")); err != nil {
		t.Fatal(err)
	}
	m.refused("none of the 1 tables", "mount")
}

// The lake can be given to an account of readers, and one that cannot be written
// is told at the start and by /readyz.
func TestModeOfTheLake(t *testing.T) {
	t.Parallel() // it waits more than it computes
	m := newMovable(t)
	m.cfg.LakeMode = "0644"
	m.cfg.Lake = filepath.Join(t.TempDir(), "lake")
	m.cfg.DataDir = filepath.Join(t.TempDir(), "data")
	m.serve(func(c *caller) {
		if a := c.post("/data/w/connect", object{"sources": []object{{"type": "file", "name": "people", "connection_config": object{"path": "people.csv"}}}}); a.Code != 200 {
			t.Fatalf("connect: %s", a.Body)
		}
		m.sync(c, 2)
	})
	err := filepath.WalkDir(m.cfg.Lake, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if want := map[bool]os.FileMode{true: 0o755, false: 0o644}[d.IsDir()]; err == nil && name != m.cfg.Lake && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"0666", "0400", "0755", "rw", "99"} {
		c := testConfig(t)
		c.LakeMode = mode
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "--lake-mode") {
			t.Errorf("mode %q: %v", mode, err)
		}
	}
}

// Verifying over REST and by the command line finds a file equal, and then the
// rows in which it is not.
func TestVerifyAFile(t *testing.T) {
	t.Parallel() // it waits more than it computes
	m := newMovable(t)
	m.serve(func(c *caller) {
		run := func(want string) (string, error) {
			t.Helper()
			var out bytes.Buffer
			err := run(t.Context(), []string{"verify", "people", "--url", strings.TrimSuffix(c.base, "/api/v1"), "--token", c.token, "--workspace", "w"}, nil, &out, &out)
			if !strings.Contains(out.String(), want) {
				t.Errorf("the command said %q, want %q", out.String(), want)
			}
			return out.String(), err
		}
		if _, err := run("equal"); err != nil {
			t.Error(err)
		}
		m.write("id,name\n1,Ada\n2,Barbara\n3,Edsger\n")
		a := c.post("/data/w/verify", object{"tables": []string{"people"}})
		var data struct {
			Sources []struct {
				Tables []struct {
					Status                            string
					Behind, Missing, Changed, Surplus int64
				}
			} `json:"verified_sources"`
		}
		a.into(t, &data)
		if a.Code != 200 || len(data.Sources) != 1 || len(data.Sources[0].Tables) != 1 {
			t.Fatalf("verify: %s", a.Body)
		}
		if got := data.Sources[0].Tables[0]; got.Status != "different" || got.Behind != 1 || got.Missing != 0 || got.Changed != 1 || got.Surplus != 0 {
			t.Errorf("%+v", got)
		}
		if out, err := run("different"); err == nil || !strings.Contains(out, "changed: id=2") {
			t.Errorf("%v: %s", err, out)
		}
		if a := c.post("/data/w/verify", object{"source_ids": []string{"src_nobodys"}}); a.Code != 404 {
			t.Errorf("verify of a source that is not there: %s", a.Body)
		}
	})
}
