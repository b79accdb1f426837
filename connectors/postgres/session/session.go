// Package session makes and keeps sessions of a PostgreSQL server: settings, login, the
// statements that each transaction begins with, COPY, and what errors mean.
package session

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Session is one connection with every socket that was opened for it. It is used by one
// goroutine at a time, except Drop.
type Session struct {
	pool    *Pool
	PG      *pgconn.PgConn
	Idle    bool // it is certainly outside a transaction
	mu      sync.Mutex
	sockets []net.Conn // of the connection, and of requests to cancel on it
}

// Begin returns the statements that begin a transaction, in the snapshot that was
// exported under a name or in a new one for "", and that set what changes the result of
// a SELECT or how long it may take. The narrow search path keeps other objects from
// taking names that we do not qualify; catalog.Server.BeforeRows sets the account's own
// for reading rows.
func (c *Session) Begin(snapshot string) string {
	first := "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
	if snapshot != "" {
		first += "; SET TRANSACTION SNAPSHOT " + Literal(snapshot)
	}
	if c.Version() >= 17 {
		first += "; SET LOCAL transaction_timeout = 0"
	}
	if c.IsASCII() {
		first += "; SET LOCAL client_encoding = 'SQL_ASCII'" // otherwise the server refuses bytes that are not UTF-8
	}
	// After this time the server ends the locks and the snapshot of a process that
	// hangs, even while it sends to it.
	frozen := 2 * c.pool.Limits.Idle.Milliseconds()
	return first + fmt.Sprintf("; SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL tcp_user_timeout = %d;"+
		"SET LOCAL lock_timeout = '10s'; SET LOCAL row_security = %s; SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL intervalstyle = 'iso_8601';"+
		"SET LOCAL DateStyle = 'ISO'; SET LOCAL TimeZone = 'UTC'; SET LOCAL quote_all_identifiers = off", frozen, frozen, c.pool.Settings.RowSecuritySetting())
}

// Unhurried returns the statements that lift what ends a session while it is idle, or a
// transaction that is long, for sessions that are idle between questions or that the server
// sends to for long.
func (c *Session) Unhurried() string {
	sql := "SET idle_in_transaction_session_timeout = 0"
	if c.Version() >= 14 {
		sql += "; SET idle_session_timeout = 0"
	}
	if c.Version() >= 17 {
		sql += "; SET transaction_timeout = 0"
	}
	return sql
}

// IsASCII reports whether the database has the encoding SQL_ASCII, which does not say
// what its bytes mean.
func (c *Session) IsASCII() bool { return c.PG.ParameterStatus("server_encoding") == "SQL_ASCII" }

// Version returns the server's major version, 0 if it does not say.
func (c *Session) Version() int {
	major, _, _ := strings.Cut(c.PG.ParameterStatus("server_version"), ".")
	digits := strings.TrimLeft(major, "0123456789")
	return int(Number([]byte(strings.TrimSuffix(major, digits)))) // 18beta1
}

// track remembers a socket. It returns true for the first one of the session.
func (c *Session) track(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets = append(c.sockets, conn)
	return len(c.sockets) == 1
}

// Drop closes every socket. It may be called at any moment.
func (c *Session) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.sockets {
		conn.Close()
	}
}

// Close ends the session and waits for the server, up to CloseLimit. No goroutine of the
// session runs afterwards.
func (c *Session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), CloseLimit) // the context of the call may have ended
	defer cancel()
	if !c.PG.IsClosed() {
		_ = c.PG.Close(ctx)
	}
	select {
	case <-c.PG.CleanupDone():
	case <-ctx.Done():
	}
	c.Drop()
	<-c.PG.CleanupDone()
}

// Exec runs statements and ignores their rows. The error is a *driver.Error.
func (c *Session) Exec(ctx context.Context, sql string) error {
	return c.Run(ctx, sql, func(int, [][]byte) error { return nil })
}

// Run sends statements in one message, which is one round trip, and hands each row to f
// as text, with the index of its statement among those that return rows; nil is NULL. f
// must not keep the row. An error of f closes the session, because what the server still
// sends may have no end.
func (c *Session) Run(ctx context.Context, sql string, f func(statement int, row [][]byte) error) error {
	c.Idle = false
	results := c.PG.Exec(ctx, sql)
	var failed error
	for n := 0; results.NextResult(); {
		r := results.ResultReader()
		for r.NextRow() {
			if failed == nil {
				if failed = f(n, r.Values()); failed != nil {
					c.Drop()
				}
			}
		}
		if len(r.FieldDescriptions()) > 0 {
			n++
		}
	}
	if err := results.Close(); failed == nil {
		return Classify(ctx, err, "")
	}
	return failed
}

// Query runs one statement with parameters and hands each row to f as text; nil is NULL.
// f must not keep the row. An error of f closes the session.
func (c *Session) Query(ctx context.Context, sql string, f func(row [][]byte) error, args ...string) error {
	params := make([][]byte, len(args))
	for i, arg := range args {
		params[i] = []byte(arg)
	}
	r := c.PG.ExecParams(ctx, sql, params, nil, nil, nil)
	var failed error
	for r.NextRow() {
		if failed == nil {
			if failed = f(r.Values()); failed != nil {
				c.Drop()
			}
		}
	}
	if _, err := r.Close(); failed == nil {
		return Classify(ctx, err, "")
	}
	return failed
}

// Controlled reports whether the system identifier can be read, as far as that is known.
func (c *Session) Controlled() bool { return !c.pool.Uncontrolled }

// KeepAlive runs a statement from time to time, because the server ends transactions
// that are idle. quiet, which it returns, stops that and waits until it has stopped.
func (c *Session) KeepAlive(every time.Duration) (quiet func()) {
	ctx, cancel := context.WithCancel(context.Background()) // until quiet is called
	done := make(chan struct{})
	go func() {
		defer close(done)
		beat := time.NewTicker(every)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
				if c.Exec(context.Background(), "SELECT 1") != nil { // the next statement will find out
					return
				}
			}
		}
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

// CloseLimit bounds how long closing waits for the server.
const CloseLimit = 3 * time.Second
