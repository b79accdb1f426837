package session

import "syscall"

// wakeAt has the system wake nobody for less than so many bytes.
func (c *coalescingConn) wakeAt(bytes int) {
	if c.raw != nil {
		_ = c.raw.Control(func(fd uintptr) { // without it, it only costs more
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes)
		})
	}
}
