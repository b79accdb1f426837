package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
)

// greetingLimit bounds the way from dialling to the end of authentication. A
// server of another protocol waits for us as we wait for it.
const greetingLimit = 10 * time.Second

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// session is one connection of the driver underneath database/sql, whose pool
// and conversions are not wanted here.
type session struct {
	conn   sqldriver.Conn
	socket *socket
}

// socket keeps the error that ended it: go-sql-driver tells only that the
// connection is invalid, not that our own side gave up waiting.
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

// trace receives what a check tells of connecting.
type trace struct {
	dialled time.Time // zero when dialling failed
	secure  bool
}

// settle prepares a session: instants in UTC, plain quoting, and a server that
// waits for a slow consumer instead of hanging up after a minute.
const settle = "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', time_zone = '+00:00', net_write_timeout = 3600, max_sort_length = 4096, character_set_results = utf8mb4"

const (
	isolate = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
	begin   = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
)

// connect dials and authenticates.
func (s *source) connect(ctx context.Context, tr *trace) (*session, error) {
	if tr == nil {
		tr = &trace{}
	}
	secured, err := s.settings.tls()
	if err != nil {
		return nil, err
	}
	c, err := s.connectWith(ctx, secured, tr)
	if errors.Is(err, mysql.ErrNoTLS) && s.settings.SSLMode != "require" && s.settings.SSLMode != "verify-full" {
		c, err = s.connectWith(ctx, nil, tr)
	}
	if err != nil {
		return nil, s.connectError(ctx, err)
	}
	if err := c.exec(ctx, settle); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// connectWith makes one attempt. The driver is configured through its struct
// alone; everything dangerous (files, clear-text passwords, several statements,
// fallbacks) stays off.
func (s *source) connectWith(ctx context.Context, secured *tls.Config, tr *trace) (*session, error) {
	c := &session{}
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(strings.Trim(s.settings.Host, "[]"), strconv.Itoa(s.settings.Port))
	cfg.User, cfg.Passwd, cfg.DBName = s.settings.user(), s.settings.Password, s.settings.Database
	cfg.TLS = secured
	cfg.AllowNativePasswords, cfg.CheckConnLiveness = true, false
	cfg.AllowAllFiles, cfg.AllowCleartextPasswords, cfg.AllowFallbackToPlaintext, cfg.AllowOldPasswords, cfg.MultiStatements, cfg.ParseTime = false, false, false, false, false, false
	cfg.Logger = &mysql.NopLogger{}
	cfg.ConnectionAttributes = "program_name:headwater"
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := s.dial(ctx, network, address)
		if err == nil {
			c.socket, tr.dialled, tr.secure = &socket{Conn: conn}, time.Now(), secured != nil
			conn = c.socket
		}
		return conn, err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "the connection settings are not valid together")
	}
	greeting, cancel := context.WithTimeout(ctx, greetingLimit)
	defer cancel()
	if c.conn, err = connector.Connect(greeting); err != nil {
		if c.socket != nil {
			c.socket.Close()
		}
		if greeting.Err() != nil && ctx.Err() == nil {
			return nil, driver.E(driver.ErrTimeout, nil, "the server did not greet as MySQL does within %s: check host and port", greetingLimit)
		}
		return nil, err
	}
	return c, nil
}

// tls returns nil for no TLS.
func (s *Settings) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.Host, InsecureSkipVerify: true}
	switch s.SSLMode {
	case "disable":
		return nil, nil
	case "verify-full":
		roots, err := s.roots()
		if err != nil {
			return nil, err
		}
		cfg.InsecureSkipVerify, cfg.RootCAs = false, roots
	}
	return cfg, nil
}

// roots returns the authorities to trust, nil for the system's.
func (s *Settings) roots() (*x509.CertPool, error) {
	if s.CACertificate == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(s.CACertificate)) {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "connection_config.ca_certificate holds no PEM certificate")
	}
	return pool, nil
}

// close hangs up. A result that is still being sent is cut off.
func (c *session) close() {
	c.socket.Close() // first: the driver would wait for the server
	_ = c.conn.Close()
}

// exec runs a statement of ours without rows.
func (c *session) exec(ctx context.Context, statement string) error {
	_, err := c.conn.(sqldriver.ExecerContext).ExecContext(ctx, statement, nil)
	return classify(ctx, err, "")
}

// query runs one statement of ours and hands each row to f as text; nil is
// NULL.
func (c *session) query(ctx context.Context, statement string, f func(row []*string) error) error {
	rows, err := c.conn.(sqldriver.QueryerContext).QueryContext(ctx, statement, nil)
	if err != nil {
		return classify(ctx, err, "")
	}
	values := make([]sqldriver.Value, len(rows.Columns()))
	for {
		err := rows.Next(values)
		if err == io.EOF {
			return classify(ctx, rows.Close(), "")
		}
		if err != nil {
			rows.Close()
			return classify(ctx, err, "")
		}
		row := make([]*string, len(values))
		for i, v := range values {
			if v != nil {
				text := textOf(v)
				row[i] = &text
			}
		}
		if err := f(row); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
}

// transaction returns a session in a fresh read-only snapshot.
func (s *source) transaction(ctx context.Context) (*session, error) {
	c, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.exec(ctx, isolate); err != nil {
		c.close()
		if ctx.Err() != nil {
			return nil, err
		}
		// The kept session may have been cut while it was not used.
		if c, err = s.connect(ctx, nil); err != nil {
			return nil, err
		}
		if err := c.exec(ctx, isolate); err != nil {
			c.close()
			return nil, err
		}
	}
	if err := c.exec(ctx, begin); err != nil {
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
