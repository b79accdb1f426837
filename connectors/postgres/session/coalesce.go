package session

import (
	"net"
	"syscall"
	"time"
)

// coalescingConn reads a connection on which the server sends every change on its own.
// It waits a little, so that several come with one read. Otherwise each change costs a
// system call and the waking of a thread, several times as much as decoding it
// (BenchmarkChanges). It is read by one goroutine.
type coalescingConn struct {
	net.Conn
	raw     syscall.RawConn // nil if there is none
	buf     []byte
	at, end int
	short   bool // the last read returned few bytes
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

// Read is net.Conn.Read.
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
