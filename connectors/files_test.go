package connectors

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestFilesStayInTheirRoot(t *testing.T) {
	outside := t.TempDir()
	root := filepath.Join(outside, "root")
	write := func(name string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("data"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "secret"))
	write(filepath.Join(root, "a", "ok.csv"))
	for link, target := range map[string]string{"up": "../secret", "absolute": filepath.Join(outside, "secret"), "inside": "a/ok.csv", "dir": "..", "null": "/dev/null"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := registry(t, Options{FilesRoot: root})
	for _, name := range []string{"a/ok.csv", "inside"} {
		f, err := r.Files().Open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if data, err := io.ReadAll(f); string(data) != "data" || err != nil {
			t.Errorf("%s: %q, %v", name, data, err)
		}
		if _, ok := f.(io.ReadSeeker); !ok {
			t.Errorf("%s cannot seek", name)
		}
		f.Close()
	}
	for _, name := range []string{"../secret", "/etc/passwd", filepath.Join(root, "a/ok.csv"), "a/../../secret", "up", "absolute", "dir/secret", "null", "fifo", "", "a\x00b", "missing"} {
		if f, err := r.Files().Open(name); err == nil {
			t.Errorf("%q was opened", name)
			f.Close()
		}
	}
	if list, err := fs.Glob(r.Files(), "a/*.csv"); err != nil || len(list) != 1 {
		t.Errorf("Glob = %v, %v", list, err)
	}
	if _, err := registry(t, Options{}).Files().Open("a"); err == nil {
		t.Error("a registry without a root opened a file")
	}
}
