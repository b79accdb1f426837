package bucket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentMost is how much of a connection's bytes may wait in the kernel to be
// sent. More makes nothing faster, and is told of as sent long before it is.
const unsentMost = 128 << 10

// fewUnsent is a net.Dialer's Control. A kernel that cannot is no failure.
func fewUnsent(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentMost)
	})
}
