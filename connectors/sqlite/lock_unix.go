//go:build unix

package sqlite

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where SQLite's locks lie: one byte that whoever is about to lock everything
// holds, one that whoever writes does, then those that readers share.
const (
	pendingByte = 0x40000000
	lockBytes   = 2 + 510
)

// locked reports whether another process is about to write to a database file,
// or does. It takes no lock, so that it never holds up a writer. Where the
// system or the file system cannot tell, nobody writes.
func locked(file fs.File) bool {
	opened, ok := file.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := opened.SyscallConn()
	if err != nil {
		return false
	}
	// Readers' locks do not conflict with the one that is asked about.
	lock := unix.Flock_t{Type: unix.F_RDLCK, Start: pendingByte, Len: lockBytes}
	err2 := raw.Control(func(fd uintptr) { err = unix.FcntlFlock(fd, unix.F_GETLK, &lock) })
	return err == nil && err2 == nil && lock.Type != unix.F_UNLCK
}
