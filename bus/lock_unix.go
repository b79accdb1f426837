//go:build unix

package bus

import (
	"errors"
	"os"
	"syscall"
)

// lockFile holds an exclusive lock while the file is open. The kernel releases
// it when the process dies.
func lockFile(path string) (*os.File, error) {
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
	return f, nil
}
