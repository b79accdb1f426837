package sqlite

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// hold takes a reader's lock on bytes of a file. It belongs to the open file, not
// to the process: it ends with this handle alone, and stands against programs in
// this process, too. It returns errBusy while another writes there, errNoLocks
// where the system or the file system has none.
func hold(file fs.File, start, length int64) error {
	_, err := lockCall(file, unix.F_OFD_SETLK, unix.Flock_t{Type: unix.F_RDLCK, Start: start, Len: length})
	return err
}

// letGo ends what hold took.
func letGo(file fs.File, start, length int64) {
	_, _ = lockCall(file, unix.F_OFD_SETLK, unix.Flock_t{Type: unix.F_UNLCK, Start: start, Len: length})
}

// writes reports whether somebody holds a writer's lock on bytes of a file. It
// takes none. Where that cannot be told, nobody does.
func writes(file fs.File, start, length int64) bool {
	lock, err := lockCall(file, unix.F_OFD_GETLK, unix.Flock_t{Type: unix.F_RDLCK, Start: start, Len: length})
	return err == nil && lock.Type != unix.F_UNLCK
}

func lockCall(file fs.File, command int, lock unix.Flock_t) (unix.Flock_t, error) {
	opened, ok := file.(syscall.Conn)
	if !ok {
		return lock, errNoLocks
	}
	raw, err := opened.SyscallConn()
	if err != nil {
		return lock, errNoLocks
	}
	err2 := raw.Control(func(fd uintptr) {
		for {
			if err = unix.FcntlFlock(fd, command, &lock); err != unix.EINTR {
				return
			}
		}
	})
	switch {
	case err == nil && err2 == nil:
		return lock, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		return lock, errBusy
	}
	return lock, errNoLocks
}
