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

// Session is one connection that is logged in and whose variables are set. go-sql-driver
// does the login; statements and rows go through protocol. It is used by one goroutine
// at a time, except Close.
type Session struct {
	*protocol.Conn
	socket  *socket
	MariaDB bool
	Version int    // 101109 for 10.11.9, 0 if the server does not say
	Server  string // what tells this server from others
}

// socket remembers the error of our own side that ended it: TLS wraps that error, and a
// closed socket hides that it was our side that gave up waiting.
type socket struct {
	net.Conn
	failed atomic.Pointer[driver.Error]
}

// Read is net.Conn.Read.
func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	var typed *driver.Error
	if errors.As(err, &typed) {
		s.failed.Store(typed)
	}
	return n, err
}

// The statements that begin and end a read-only snapshot.
const (
	Begin             = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
	RollbackStatement = "ROLLBACK"
)

// Close hangs up. A result that is still being sent is cut off. It may be called at any
// moment.
func (c *Session) Close() { c.socket.Close() }

// Watch closes the session when ctx ends. The caller calls stop, which it returns, when
// that is no longer wanted.
func (c *Session) Watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, c.Close)
}

// SetReadTimeout sets how long the server may take before its next byte, 0 for the idle
// limit.
func (c *Session) SetReadTimeout(limit time.Duration) {
	sqldb.SetReadTimeout(c.socket.Conn, limit)
}

// Exec runs a statement that returns no rows. The error is a *driver.Error.
func (c *Session) Exec(ctx context.Context, statement string) error {
	return c.Query(ctx, statement, nil)
}

// Query runs one statement and hands each row to f as text; nil is NULL. After an error
// of f the other rows are read and dropped. The error is a *driver.Error.
func (c *Session) Query(ctx context.Context, statement string, f func(row []*string) error) error {
	err := c.Run(ctx, statement, f)
	if err == nil {
		return nil
	}
	return c.Explain(ctx, err, "")
}

// Run is Query with the error as it came. After a *mysql.MySQLError the session can be
// used further; after other errors of the connection it is closed.
func (c *Session) Run(ctx context.Context, statement string, f func(row []*string) error) error {
	defer c.Watch(ctx)()
	err := c.collect(statement, f)
	var server *mysql.MySQLError
	var ours *driver.Error
	if err != nil && !errors.As(err, &server) && !errors.As(err, &ours) {
		c.Close() // what would come next on it is not known
	}
	return err
}

// collect runs a statement and hands its rows to f.
func (c *Session) collect(statement string, f func(row []*string) error) error {
	names, err := c.Start(statement)
	if err != nil || len(names) == 0 {
		return err
	}
	if f == nil {
		return protocol.ErrPacket
	}
	var failed error // the error of f: the other rows are read nevertheless
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

// Rollback ends the transaction without waiting: the server's answer is read before the
// next statement.
func (c *Session) Rollback() error {
	return c.Owe(RollbackStatement)
}
