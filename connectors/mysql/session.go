package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/protocol"
	"headwater/connectors/sqldb"
)

// session is one connection. go-sql-driver logs in; statements and rows go over
// our own wire. It is used by one goroutine at a time.
type session struct {
	*protocol.Conn
	socket  *socket
	mariadb bool
	version int    // 101109 for 10.11.9, 0 if it is not told
	server  string // which one it is, as far as it tells
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
	begin    = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
	rollback = "ROLLBACK"
)

// connect dials, authenticates and settles.
func (s *source) connect(ctx context.Context, tr *sqldb.Trace) (*session, error) {
	if tr == nil {
		tr = &sqldb.Trace{}
	}
	secured, err := s.settings.TLS().Config()
	if err != nil {
		return nil, err
	}
	c, err := s.connectWith(ctx, secured, tr)
	if errors.Is(err, mysql.ErrNoTLS) && !s.settings.TLS().Strict() {
		c, err = s.connectWith(ctx, nil, tr)
	}
	if err != nil {
		return nil, s.connectError(ctx, err, tr.Secure)
	}
	if err := c.settle(ctx, s.limits.Idle); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// connectWith makes one attempt. The driver is configured through its struct
// alone; everything dangerous (files, clear-text passwords, several statements,
// fallbacks) stays off.
func (s *source) connectWith(ctx context.Context, secured *tls.Config, tr *sqldb.Trace) (c *session, err error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(strings.Trim(s.settings.Host, "[]"), strconv.Itoa(s.settings.Port))
	if secured != nil {
		// So the driver calls every transport that is safe without its own TLS.
		cfg.Net = "unix"
	}
	cfg.User, cfg.Passwd, cfg.DBName = s.settings.Account(), s.settings.Password, s.settings.Database
	cfg.AllowNativePasswords, cfg.CheckConnLiveness = true, false
	cfg.AllowAllFiles, cfg.AllowCleartextPasswords, cfg.AllowFallbackToPlaintext, cfg.AllowOldPasswords, cfg.MultiStatements, cfg.ParseTime = false, false, false, false, false, false
	cfg.Logger = &mysql.NopLogger{}
	cfg.ConnectionAttributes = "program_name:headwater"
	var l *protocol.Login
	var own *socket
	cfg.DialFunc = func(ctx context.Context, _, address string) (net.Conn, error) {
		conn, err := s.dial(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		own = &socket{Conn: conn}
		l = protocol.NewLogin(own, secured)
		tr.Dialled, tr.Secure = time.Now(), secured != nil
		return l, nil
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "the connection settings are not valid together")
	}
	greeting, cancel := context.WithTimeout(ctx, sqldb.GreetingLimit)
	defer cancel()
	defer func() { // the driver trusts its servers
		if recover() != nil {
			if l != nil {
				l.Close()
			}
			c, err = nil, driver.E(driver.ErrBadData, nil, "the server's part of the login is malformed")
		}
	}()
	theirs, err := connector.Connect(greeting)
	if err != nil {
		if l != nil {
			l.Close()
			if l.Failed != nil && ctx.Err() == nil {
				err = l.Failed
			}
		}
		if greeting.Err() != nil && ctx.Err() == nil {
			return nil, driver.E(driver.ErrTimeout, nil, "the server did not greet as MySQL does within %s: check host and port", sqldb.GreetingLimit)
		}
		return nil, err
	}
	c = &session{
		socket: own, Conn: l.Take(s.limits.MaxRowBytes),
		mariadb: strings.Contains(strings.ToLower(l.Version), "mariadb"), version: versionOf(l.Version),
	}
	_ = theirs.Close() // ends the driver's goroutine
	return c, nil
}

// close hangs up. A result that is still being sent is cut off.
func (c *session) close() { c.socket.Close() }

// watch closes the session when ctx ends; the caller calls the stop that it
// returns.
func (c *session) watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, c.close)
}

// patience sets how long the server may take before it says something, 0 for as
// long as always.
func (c *session) patience(limit time.Duration) {
	sqldb.Patience(c.socket.Conn, limit)
}

// exec runs a statement of ours without rows.
func (c *session) exec(ctx context.Context, statement string) error {
	return c.query(ctx, statement, nil)
}

// query runs one statement of ours and hands each row to f as text; nil is
// NULL.
func (c *session) query(ctx context.Context, statement string, f func(row []*string) error) error {
	err := c.run(ctx, statement, f)
	if err == nil {
		return nil
	}
	return c.explain(ctx, err, "")
}

// run is query with the error as it is: a *mysql.MySQLError leaves the session
// in order.
func (c *session) run(ctx context.Context, statement string, f func(row []*string) error) error {
	defer c.watch(ctx)()
	err := c.ask(statement, f)
	var server *mysql.MySQLError
	var ours *driver.Error
	if err != nil && !errors.As(err, &server) && !errors.As(err, &ours) {
		c.close() // who knows what comes next on it
	}
	return err
}

func (c *session) ask(statement string, f func(row []*string) error) error {
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

// forgo ends the transaction. The answer is read before the next statement,
// which saves waiting for it now.
func (c *session) forgo() error {
	return c.Owe(rollback)
}

// transaction returns a session in a fresh read-only snapshot. before, unless it
// is nil, runs on the session before the snapshot is taken.
func (s *source) transaction(ctx context.Context, before func(*session) error) (*session, error) {
	start := func(c *session) error {
		if before != nil {
			if err := before(c); err != nil {
				return err
			}
		}
		return c.exec(ctx, begin)
	}
	c, kept, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	if err = start(c); err == nil {
		return c, nil
	}
	c.close()
	if !kept || ctx.Err() != nil {
		return nil, err
	}
	// The kept session may have been cut while it was not used.
	if c, err = s.connect(ctx, nil); err != nil {
		return nil, err
	}
	if err = start(c); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// quote makes an identifier.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// literal makes a string constant; NO_BACKSLASH_ESCAPES is on.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func relation(t driver.Table) string { return quote(t.Namespace) + "." + quote(t.Name) }
