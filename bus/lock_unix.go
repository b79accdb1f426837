//go:build unix

package bus

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// folderLock is an exclusive lock of a file.
type folderLock struct{ file *os.File }

// Close releases the lock and closes the file. Closing alone would not do: a child
// process that is being started has the file open for a moment, and keeps the lock.
func (l folderLock) Close() error {
	return errors.Join(syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN), l.file.Close())
}

// lockFile locks a file until the result is closed. The kernel releases the lock
// when the process dies.
func lockFile(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another process uses it; stop that one first, or choose another folder")
		}
		return nil, errors.Join(err, f.Close())
	}
	return folderLock{f}, nil
}
