//go:build unix && !linux

package sqlite

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// writes reports whether another process holds a writer's lock on bytes of a
// file. It takes none. Where that cannot be told, nobody does.
func writes(file fs.File, start, length int64) bool {
	opened, ok := file.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := opened.SyscallConn()
	if err != nil {
		return false
	}
	lock := unix.Flock_t{Type: unix.F_RDLCK, Start: start, Len: length}
	err2 := raw.Control(func(fd uintptr) { err = unix.FcntlFlock(fd, unix.F_GETLK, &lock) })
	return err == nil && err2 == nil && lock.Type != unix.F_UNLCK
}
