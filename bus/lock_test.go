//go:build unix

package bus

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A process that has the file open for a moment, as one that is being started has,
// does not keep the folder locked.
func TestAClosedLockIsFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := lockFile(path); err == nil {
		again.Close()
		t.Fatal("locked twice")
	}
	child := exec.Command("sleep", "60")
	child.ExtraFiles = []*os.File{lock.(folderLock).file}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { child.Process.Kill(); child.Wait() }()
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
