package landing

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/storage"
)

// Files in a folder that may not be written are not told of as removed.
func TestDropWithoutTheRight(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(t.Context(), dir, kvtest.New(), nil, FileMode(0o644))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 100)
	commit(t, w, nil, true)
	found, err := storage.List(l.files, l.root)
	if err != nil || len(found) < 3 {
		t.Fatal(found, err)
	}
	t.Cleanup(func() { writable(t, dir, true) })
	if !writable(t, dir, false) {
		t.Skip("this file system has no folder that its owner may not write")
	}
	d, err := l.Drop(t.Context(), home)
	writable(t, dir, true)
	if !errors.Is(err, fs.ErrPermission) || d.Removed != 0 || d.Remaining != len(found) {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := l.Drop(t.Context(), home); err != nil || d.Removed != len(found) || d.Remaining != 0 {
		t.Errorf("again: %+v, %v", d, err)
	}
}

const immutable = 0x10 // FS_IMMUTABLE_FL

// writable says whether files of the folders below dir can be removed, and reports
// whether the system heeds it. Only a flag stops root.
func writable(t *testing.T, dir string, may bool) bool {
	t.Helper()
	heeded := true
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if os.Getuid() != 0 {
			return os.Chmod(name, map[bool]fs.FileMode{true: 0o755, false: 0o555}[may])
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if flags |= immutable; may {
			flags &^= immutable
		}
		if err != nil || unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags) != nil {
			heeded = false
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return heeded
}
