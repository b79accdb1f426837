package session

import (
	"cmp"
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

// Pool makes sessions of one database and keeps one of them between calls. It is safe
// for concurrent use.
type Pool struct {
	Settings Settings
	dial     sqldb.Dial
	Limits   driver.Limits

	full atomic.Bool // the last connection was refused because the server has no more
	kept sqldb.IdleSession[*Session]
}

// NewPool reads the settings of a source. It does not connect. An ErrInvalidConfig names
// the setting that cannot be used.
func NewPool(cfg driver.Config) (*Pool, error) {
	s := &Pool{dial: cfg.Dial}
	if err := driver.Decode(cfg.Settings, &s.Settings); err != nil {
		return nil, err
	}
	if err := s.Settings.Validate(); err != nil {
		return nil, err
	}
	s.Settings.Port = cmp.Or(s.Settings.Port, 3306)
	s.Limits = s.Settings.Limits(cfg.Limits)
	return s, nil
}

// acquire returns the kept session, or a new one; kept says which. The caller gives it
// back with Keep or closes it.
func (s *Pool) acquire(ctx context.Context) (c *Session, kept bool, err error) {
	if c, kept, err = s.kept.Take(); err != nil || kept {
		return c, kept, err
	}
	c, err = s.Await(ctx)
	return c, false, err
}

// How long to wait if the server has no free connection, and how often to ask again:
// another table of the same sync may have the only one.
const (
	fullLimit = 15 * time.Second
	fullPause = 300 * time.Millisecond
)

// Await connects. If the server has no free connection it tries again for a while, then
// returns the last error.
func (s *Pool) Await(ctx context.Context) (*Session, error) {
	full := func(error) bool { return s.full.Load() }
	return sqldb.Await(ctx, fullLimit, fullPause, full, func() (*Session, error) {
		s.full.Store(false)
		return s.Connect(ctx, nil)
	})
}

// Keep ends the session's transaction and keeps it for the next call. If that fails, or
// one is kept already, it closes the session.
func (s *Pool) Keep(c *Session) {
	if c.Rollback() != nil {
		c.Close()
		return
	}
	if !s.kept.Put(c) {
		c.Close()
	}
}

// Close closes the kept session. Sessions that others use stay open. It is safe to call
// twice.
func (s *Pool) Close() error {
	if c, ok := s.kept.Close(); ok {
		c.Close()
	}
	return nil
}

// Connect dials, logs in and sets the session's variables. tr may be nil. The caller
// closes the session.
func (s *Pool) Connect(ctx context.Context, tr *sqldb.Trace) (*Session, error) {
	if tr == nil {
		tr = &sqldb.Trace{}
	}
	secured, err := s.Settings.TLS().Config()
	if err != nil {
		return nil, err
	}
	c, err := s.connectWith(ctx, secured, tr)
	if errors.Is(err, mysql.ErrNoTLS) && !s.Settings.TLS().Strict() {
		c, err = s.connectWith(ctx, nil, tr)
	}
	if err != nil {
		return nil, s.connectError(ctx, err, tr.Secure)
	}
	if err := c.setVariables(ctx, s.Limits.Idle); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// connectWith makes one attempt, over TLS if secured is not nil. go-sql-driver is
// configured only through its struct; everything dangerous (files, passwords in clear
// text, several statements, fallbacks) stays off.
func (s *Pool) connectWith(ctx context.Context, secured *tls.Config, tr *sqldb.Trace) (c *Session, err error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(strings.Trim(s.Settings.Host, "[]"), strconv.Itoa(s.Settings.Port))
	if secured != nil {
		// go-sql-driver takes "unix" for a transport that is safe without its own TLS.
		cfg.Net = "unix"
	}
	cfg.User, cfg.Passwd, cfg.DBName = s.Settings.Account(), s.Settings.Password, s.Settings.Database
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
	defer func() { // go-sql-driver panics on malformed packets
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
	c = &Session{
		socket: own, Conn: l.Take(s.Limits.MaxRowBytes),
		MariaDB: strings.Contains(strings.ToLower(l.Version), "mariadb"), Version: versionOf(l.Version),
	}
	_ = theirs.Close() // ends go-sql-driver's goroutine
	return c, nil
}

// connectError explains why a connection was not made.
func (s *Pool) connectError(ctx context.Context, err error, secure bool) error {
	var server *mysql.MySQLError
	var typed *driver.Error
	switch {
	case errors.As(err, &typed):
		return typed
	case ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "the server did not answer in time")
	case errors.As(err, &server):
		switch server.Number {
		case 1040, 1203, 1226:
			s.full.Store(true)
		case 1045, 1698:
			return driver.E(driver.ErrAuthentication, nil, "the server does not accept this username and password%s", s.Settings.loginHint(secure))
		case 1049:
			return driver.E(driver.ErrNotFound, nil, "database %q does not exist on the server", s.Settings.Database)
		}
		return Classify(ctx, err, "")
	case errors.Is(err, mysql.ErrNoTLS):
		return sqldb.ErrNoTLS
	case errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrNativePassword), errors.Is(err, mysql.ErrUnknownPlugin):
		return driver.E(driver.ErrAuthentication, nil, "the server asks for a way of authentication that is not safe or not supported: let the account use caching_sha2_password, ed25519 or mysql_native_password")
	}
	return driver.E(driver.ErrUnreachable, nil, "the connection failed while it was being made: is this a MySQL or MariaDB server, and is its TLS certificate good?")
}

// Transaction returns a session in a new read-only snapshot. before, if it is not nil,
// runs on the session before the snapshot is taken. The caller gives the session back
// with Keep or closes it.
func (s *Pool) Transaction(ctx context.Context, before func(*Session) error) (*Session, error) {
	start := func(c *Session) error {
		if before != nil {
			if err := before(c); err != nil {
				return err
			}
		}
		return c.Exec(ctx, Begin)
	}
	c, kept, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	if err = start(c); err == nil {
		return c, nil
	}
	c.Close()
	if !kept || ctx.Err() != nil {
		return nil, err
	}
	// The kept session may have been closed while it was not used.
	if c, err = s.Connect(ctx, nil); err != nil {
		return nil, err
	}
	if err = start(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
