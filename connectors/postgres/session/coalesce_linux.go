package session

import "syscall"

// wakeAt makes the system wake a reader only for that many bytes.
func (c *coalescingConn) wakeAt(bytes int) {
	if c.raw != nil {
		_ = c.raw.Control(func(fd uintptr) { // if this fails, reading only costs more
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes)
		})
	}
}
