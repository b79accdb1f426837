package session

import (
	"net"
	"syscall"
	"time"
)

// coalescingConn reads a connection on which the server flushes every change on its own: it
// lets some come together. Without it each change costs a read and the waking of a
// thread, several times as much as its decoding (BenchmarkChanges). One goroutine reads.
type coalescingConn struct {
	net.Conn
	raw     syscall.RawConn // nil where there is none
	buf     []byte
	at, end int
	short   bool // the last read brought little
}

const (
	coalescePause  = 500 * time.Microsecond
	coalesceEnough = 64 << 10
)

func newCoalescingConn(conn net.Conn) *coalescingConn {
	c := &coalescingConn{Conn: conn, buf: make([]byte, ReadSize)}
	if s, ok := conn.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
	}
	return c
}

func (c *coalescingConn) Read(p []byte) (int, error) {
	if c.at == c.end {
		if c.short {
			c.wakeAt(coalesceEnough)
			time.Sleep(coalescePause)
			c.wakeAt(1)
		}
		n, err := c.Conn.Read(c.buf)
		c.at, c.end, c.short = 0, n, n < coalesceEnough
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.at:c.end])
	c.at += n
	return n, nil
}
