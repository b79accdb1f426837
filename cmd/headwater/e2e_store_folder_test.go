package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/handlers/landing/buckettest"
)

// The faults of a store on a folder, where they have a like: a part that
// somebody removed, and metadata of a mount that does not answer, for which a
// pipe that nobody writes stands. Reads of the API go on, and a drain ends.
func TestFaultsOfAFolder(t *testing.T) {
	t.Parallel() // it waits more than it computes
	r := newFolderRun(t)
	s := r.connect("merged", "merge")
	if status, message := s.sync(object{}); status != "completed" {
		t.Fatal(message)
	}
	part := r.one(s, ".parquet")
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	s.change()
	if status, message := s.sync(object{}); status != "failed" {
		t.Errorf("a merge into a part that is gone is %s: %s", status, message)
	}
	if status, message := s.sync(object{"mode": "full_refresh"}); status != "completed" {
		t.Errorf("a full refresh without the part: %s", message)
	}
	if now := s.read(); !slices.Equal(now.Lines, s.want) || len(now.left) > 0 {
		t.Errorf("%d rows, want %d; left %v", len(now.Lines), len(s.want), now.left)
	}

	s.change()
	var tables []struct {
		Location string `json:"metadata_location"`
	}
	r.call("GET", "/data/w/tables?source_id="+s.id, nil).into(t, &tables)
	name := strings.ReplaceAll(strings.TrimPrefix(tables[0].Location, "file://"), "%3D", "=")
	content, err := os.ReadFile(name)
	if err = errors.Join(err, os.Remove(name)); err == nil {
		err = syscall.Mkfifo(name, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if status, message := s.sync(object{"timeout": "2s"}); status != "failed" || !strings.Contains(message, "its folder did not answer") || time.Since(began) > busy {
		t.Errorf("a sync of a folder that stalls is %s after %v: %s", status, time.Since(began), message)
	}
	if a := r.call("GET", "/data/w/list", nil); a.Code != 200 {
		t.Errorf("the list meanwhile: %s", a.Body)
	}
	r.end() // within the drain
	if pipe, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		pipe.Close() // whoever was left behind at it
	}
	if err := errors.Join(os.Remove(name), os.WriteFile(name, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	r.begin()
	if status, message := s.sync(object{}); status != "completed" {
		t.Error(message)
	}
	if now := s.read(); !slices.Equal(now.Lines, s.want) || len(now.left) > 0 {
		t.Errorf("%d rows, want %d; left %v", len(now.Lines), len(s.want), now.left)
	}
}

// one returns the only file of a subject with the ending.
func (r *storeRun) one(s *subject, ending string) string {
	r.t.Helper()
	files := slices.DeleteFunc(r.files(s.id), func(name string) bool { return !strings.HasSuffix(name, ending) })
	if len(files) != 1 {
		r.t.Fatalf("files that end with %s: %v", ending, files)
	}
	return files[0]
}

// smallDisk names a folder on a disk of 6 MiB.
const smallDisk = "SMALL_DISK_OF_TEST"

// TestFullDisk lands on a disk that is too small: the sync says so and leaves
// nothing behind, a smaller table has room, and /readyz tells of a disk without
// any. It runs itself once more where it may mount a disk of its own.
func TestFullDisk(t *testing.T) {
	dir := os.Getenv(smallDisk)
	if dir == "" {
		if testing.Short() {
			t.Skip("landing tests the rule; this one mounts a disk")
		}
		dir = t.TempDir()
		c := exec.Command("unshare", "-rm", "sh", "-c", `mount -t tmpfs -o size=6m none "$1" || exit 77; exec "$2" -test.run 'TestFullDisk$' -test.v`, "sh", dir, os.Args[0])
		c.Env = append(os.Environ(), smallDisk+"="+dir)
		out, err := c.CombinedOutput()
		var ended *exec.ExitError
		if errors.Is(err, exec.ErrNotFound) || errors.As(err, &ended) && !bytes.Contains(out, []byte("=== RUN")) {
			t.Skipf("no disk can be mounted here: %v %s", err, out)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil || int64(disk.Blocks)*int64(disk.Bsize) > 8<<20 {
		t.Fatalf("%q is no small disk, and is not filled: %v", dir, err)
	}
	r := &storeRun{t: t, cfg: testConfig(t), lake: filepath.Join(dir, "lake")}
	r.cfg.Lake = r.lake
	r.begin()
	small, large := r.connect("small", "full"), r.connect("large", "big")
	if status, message := large.sync(object{}); status != "failed" || !strings.Contains(message, "the lake's disk is full") {
		t.Errorf("too large for the disk: %s: %s", status, message)
	}
	if status, message := small.sync(object{}); status != "completed" {
		t.Errorf("the small one: %s", message)
	}
	if left := slices.DeleteFunc(r.files(large.id), func(name string) bool { return !strings.HasSuffix(name, ".parquet") }); len(left) > 0 {
		t.Errorf("left of the large one: %v", left)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; err == nil && n < 4096; n++ { // more than the disk has
		_, err = filler.Write(make([]byte, 4096))
	}
	filler.Close()
	small.change()
	if status, message := small.sync(object{}); status != "failed" || !strings.Contains(message, "the lake's disk is full") {
		t.Errorf("without any room: %s: %s", status, message)
	}
	if now := small.read(); !slices.Equal(now.Lines, small.before) {
		t.Errorf("%d rows are readable on the full disk, want %d", len(now.Lines), len(small.before))
	}
	until(t, "/readyz tells of the full disk", func() bool {
		a := r.ready()
		return a.Code == 503 && strings.Contains(a.Message, "the lake's folder cannot be written: no space left on device")
	})
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	until(t, "ready again", func() bool { return r.ready().Code == 200 })
	if status, message := small.sync(object{}); status != "completed" {
		t.Error(message)
	}
	if now := small.read(); !slices.Equal(now.Lines, small.want) || len(now.left) > 0 {
		t.Errorf("%d rows, left %v", len(now.Lines), now.left)
	}
}

// TestPurgeOnAStoreThatRefuses purges while removals do not take effect, however
// they are answered: what is left is removed once the store is well, by itself.
func TestPurgeOnAStoreThatRefuses(t *testing.T) {
	if testing.Short() {
		t.Skip("landing tests each of the rules")
	}
	r := newBucketRun(t)
	for i, kind := range []string{"silent", "void", "lost", "twice", "403 AccessDenied", "500 InternalError", "reset"} {
		for _, at := range []buckettest.Fault{{Method: "POST", Key: "delete"}, {Method: "GET", Key: "versions"}} {
			s := r.connect("p"+string(rune('a'+i))+strings.ToLower(at.Method), "full")
			if status, message := s.sync(object{}); status != "completed" {
				t.Fatal(message)
			}
			at.Kind = kind
			r.proxy.Set(at)
			began := time.Now()
			a := r.call("POST", "/data/w/cleanup", object{"source_ids": []string{s.id}, "purge": true})
			if took := time.Since(began); took > faultLimit {
				t.Errorf("%s at %s: the purge took %v: %s", kind, at.Key, took, a.Body)
			}
			r.proxy.Set()
			until(t, kind+" at "+at.Key+": the files are gone", func() bool { return len(r.files(s.id)) == 0 })
		}
	}
	r.quiet()
}
