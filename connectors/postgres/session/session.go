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

// Session is one connection with everything that was dialled for it.
type Session struct {
	pool    *Pool
	PG      *pgconn.PgConn
	Idle    bool // known to be outside a transaction
	mu      sync.Mutex
	sockets []net.Conn // the connection and requests to cancel on it
}

// Begin returns the statements that begin a transaction, with snapshot the one
// that was exported under that name, and set what changes what a SELECT returns
// or how long it may take. The narrow search path keeps names that we do not
// qualify from being shadowed; reading has the account's own.
func (c *Session) Begin(snapshot string) string {
	first := "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
	if snapshot != "" {
		first += "; SET TRANSACTION SNAPSHOT " + Literal(snapshot)
	}
	if c.Version() >= 17 {
		first += "; SET LOCAL transaction_timeout = 0"
	}
	if c.IsASCII() {
		first += "; SET LOCAL client_encoding = 'SQL_ASCII'" // else the server refuses bytes that are no UTF-8
	}
	// A process of ours that was stopped lets go of its locks and its snapshot
	// after this time, also while the server sends to it.
	frozen := 2 * c.pool.Limits.Idle.Milliseconds()
	return first + fmt.Sprintf("; SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL tcp_user_timeout = %d;"+
		"SET LOCAL lock_timeout = '10s'; SET LOCAL row_security = %s; SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL intervalstyle = 'iso_8601';"+
		"SET LOCAL DateStyle = 'ISO'; SET LOCAL TimeZone = 'UTC'; SET LOCAL quote_all_identifiers = off", frozen, frozen, c.pool.Settings.RowSecuritySetting())
}

// IsASCII reports whether the database does not say what its bytes mean.
func (c *Session) IsASCII() bool { return c.PG.ParameterStatus("server_encoding") == "SQL_ASCII" }

// Version returns the server's major version, 0 if it does not tell.
func (c *Session) Version() int {
	major, _, _ := strings.Cut(c.PG.ParameterStatus("server_version"), ".")
	digits := strings.TrimLeft(major, "0123456789")
	return int(Number([]byte(strings.TrimSuffix(major, digits)))) // 18beta1
}

// track remembers a socket and reports whether it is the session's first.
func (c *Session) track(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets = append(c.sockets, conn)
	return len(c.sockets) == 1
}

// Drop closes every socket.
func (c *Session) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.sockets {
		conn.Close()
	}
}

// Close ends the session in an orderly way, but waits no longer than
// closeLimit for the server. Nothing of it runs afterwards.
func (c *Session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), CloseLimit) // closing outlives the call that failed
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

// Exec runs statements of ours and ignores their rows.
func (c *Session) Exec(ctx context.Context, sql string) error {
	return c.Run(ctx, sql, func(int, [][]byte) error { return nil })
}

// Run sends statements of ours in one message, which costs one round trip, and
// hands each row to f as text, with the index of its statement among those that
// return rows; nil is NULL. f keeps nothing of the row. The error of f breaks the
// session: what else the server has to say may have no end.
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

// Query runs one statement of ours and hands each row to f as text; nil is
// NULL. f keeps nothing of the row, and its error breaks the session.
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

// Controlled reports whether the server tells its system identifier, as far as that is
// known.
func (c *Session) Controlled() bool { return !c.pool.Uncontrolled }

// KeepAlive gives signs of life to the server, which ends a transaction that stands
// still. The function that it returns ends that.
func (c *Session) KeepAlive(every time.Duration) (quiet func()) {
	ctx, cancel := context.WithCancel(context.Background()) // as long as what it holds
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
				if c.Exec(context.Background(), "SELECT 1") != nil { // whoever reads will find out
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

const CloseLimit = 3 * time.Second
