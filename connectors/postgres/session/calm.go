package session

import (
	"net"
	"syscall"
	"time"
)

// calmConn reads a connection on which the server flushes every change on its own: it
// lets some come together. Without it each change costs a read and the waking of a
// thread, several times as much as its decoding (BenchmarkChanges). One goroutine reads.
type calmConn struct {
	net.Conn
	raw     syscall.RawConn // nil where there is none
	buf     []byte
	at, end int
	short   bool // the last read brought little
}

const (
	calmPause  = 500 * time.Microsecond
	calmEnough = 64 << 10
)

func newCalmConn(conn net.Conn) *calmConn {
	c := &calmConn{Conn: conn, buf: make([]byte, ReadSize)}
	if s, ok := conn.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
	}
	return c
}

func (c *calmConn) Read(p []byte) (int, error) {
	if c.at == c.end {
		if c.short {
			c.wakeAt(calmEnough)
			time.Sleep(calmPause)
			c.wakeAt(1)
		}
		n, err := c.Conn.Read(c.buf)
		c.at, c.end, c.short = 0, n, n < calmEnough
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.at:c.end])
	c.at += n
	return n, nil
}
