// Package session makes and keeps sessions of a MySQL or MariaDB server: settings,
// login, the variables that a session must have, and what the errors of a server mean.
package session

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/protocol"
	"headwater/connectors/sqldb"
)

// Session is one connection. go-sql-driver logs in; statements and rows go over
// our own wire. It is used by one goroutine at a time.
type Session struct {
	*protocol.Conn
	socket  *socket
	MariaDB bool
	Version int    // 101109 for 10.11.9, 0 if it is not told
	Server  string // which one it is, as far as it tells
}

// socket keeps the error that ended it: TLS wraps it, and a closed socket hides
// that it was our own side that gave up waiting.
type socket struct {
	net.Conn
	failed atomic.Pointer[driver.Error]
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	var typed *driver.Error
	if errors.As(err, &typed) {
		s.failed.Store(typed)
	}
	return n, err
}

const (
	Begin             = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
	RollbackStatement = "ROLLBACK"
)

// Close hangs up. A result that is still being sent is cut off.
func (c *Session) Close() { c.socket.Close() }

// Watch closes the session when ctx ends; the caller calls the stop that it
// returns.
func (c *Session) Watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, c.Close)
}

// SetReadTimeout sets how long the server may take before it says something, 0 for as
// long as always.
func (c *Session) SetReadTimeout(limit time.Duration) {
	sqldb.SetReadTimeout(c.socket.Conn, limit)
}

// Exec runs a statement of ours without rows.
func (c *Session) Exec(ctx context.Context, statement string) error {
	return c.Query(ctx, statement, nil)
}

// Query runs one statement of ours and hands each row to f as text; nil is
// NULL.
func (c *Session) Query(ctx context.Context, statement string, f func(row []*string) error) error {
	err := c.Run(ctx, statement, f)
	if err == nil {
		return nil
	}
	return c.Explain(ctx, err, "")
}

// Run is query with the error as it is: a *mysql.MySQLError leaves the session
// in order.
func (c *Session) Run(ctx context.Context, statement string, f func(row []*string) error) error {
	defer c.Watch(ctx)()
	err := c.collect(statement, f)
	var server *mysql.MySQLError
	var ours *driver.Error
	if err != nil && !errors.As(err, &server) && !errors.As(err, &ours) {
		c.Close() // who knows what comes next on it
	}
	return err
}

func (c *Session) collect(statement string, f func(row []*string) error) error {
	names, err := c.Start(statement)
	if err != nil || len(names) == 0 {
		return err
	}
	if f == nil {
		return protocol.ErrPacket
	}
	var failed error // of f: the rest is read all the same
	for {
		p, err := c.Row()
		if err != nil {
			return err
		}
		if p == nil {
			return failed
		}
		row := make([]*string, len(names))
		for i := range row {
			var text []byte
			var ok bool
			if text, p, ok = protocol.Field(p); !ok {
				return protocol.ErrPacket
			}
			if text != nil {
				s := string(text)
				row[i] = &s
			}
		}
		if len(p) > 0 {
			return protocol.ErrPacket
		}
		if failed == nil {
			failed = f(row)
		}
	}
}

// Rollback ends the transaction. The answer is read before the next statement,
// which saves waiting for it now.
func (c *Session) Rollback() error {
	return c.Owe(RollbackStatement)
}
