package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"headwater/connectors/driver"
)

// greetingLimit bounds the way from dialling to the end of authentication. A
// server of another protocol waits for us as we wait for it.
const greetingLimit = 10 * time.Second

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// session is one connection with everything that was dialled for it.
type session struct {
	pg      *pgconn.PgConn
	idle    bool // known to be outside a transaction
	mu      sync.Mutex
	sockets []net.Conn // the connection and requests to cancel on it
}

// trace receives when the parts of connecting were done; its fields are set by
// connect.
type trace struct {
	dialled time.Time // zero when dialling failed
	secure  bool
}

// The session's settings. The first part is what a pooler such as PgBouncer
// lets through at start-up; the rest is set in each transaction. The narrow
// search path keeps names that we do not qualify from being shadowed.
const (
	begin    = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
	settings = "SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;" +
		"SET LOCAL lock_timeout = '10s'; SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL intervalstyle = 'iso_8601'"
)

// begin returns the statements that begin a transaction, with snapshot the one
// that was exported under that name.
func (c *session) begin(snapshot string) string {
	first := begin
	if snapshot != "" {
		first += "; SET TRANSACTION SNAPSHOT " + literal(snapshot)
	}
	if c.version() >= 17 {
		return first + "; SET LOCAL transaction_timeout = 0;" + settings
	}
	return first + ";" + settings
}

// version returns the server's major version, 0 if it does not tell.
func (c *session) version() int {
	major, _, _ := strings.Cut(c.pg.ParameterStatus("server_version"), ".")
	digits := strings.TrimLeft(major, "0123456789")
	return int(number([]byte(strings.TrimSuffix(major, digits)))) // 18beta1
}

// connect dials and authenticates.
func (s *source) connect(ctx context.Context, tr *trace) (*session, error) {
	if tr == nil {
		tr = &trace{}
	}
	// pgconn insists on a parsed configuration, and parsing reads the process's
	// environment and home directory. Every field is set below, so nothing of
	// them survives.
	cfg, err := pgconn.ParseConfig("host=invalid port=1 user=invalid password=invalid dbname=invalid sslmode=disable sslcertmode=disable passfile='' target_session_attrs=any connect_timeout=0")
	if err != nil {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "the PG* variables in the environment of this process are not usable: unset them")
	}
	tlsConfig, err := s.settings.tls()
	if err != nil {
		return nil, err
	}
	c := &session{}
	cfg.Host, cfg.Port, cfg.Database = s.settings.Host, uint16(s.settings.Port), s.settings.Database
	cfg.User, cfg.Password = s.settings.user(), s.settings.Password
	cfg.TLSConfig, cfg.Fallbacks, cfg.SSLNegotiation, cfg.SSLCertMode = nil, nil, "", "allow" // TLS is done while dialling
	cfg.ConnectTimeout = 0
	cfg.RuntimeParams = map[string]string{"application_name": "headwater", "client_encoding": "UTF8", "DateStyle": "ISO, YMD", "TimeZone": "UTC", "standard_conforming_strings": "on"}
	cfg.KerberosSrvName, cfg.KerberosSpn = "", ""
	cfg.MinProtocolVersion, cfg.MaxProtocolVersion, cfg.ChannelBinding = "3.0", "3.0", "prefer"
	cfg.RequireAuth = "password,md5,scram-sha-256,none"
	cfg.ValidateConnect, cfg.AfterConnect, cfg.AfterNetConnect, cfg.OnNotice, cfg.OnNotification, cfg.OAuthTokenProvider = nil, nil, nil, nil, nil, nil
	cfg.MaxProtocolMessageBodyLen = int(min(s.limits.MaxRowBytes, 1<<30))
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // Dial resolves, and checks what it resolved
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := s.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		first := c.track(conn) // later ones carry requests to cancel, while others read what is set here
		if tlsConfig != nil {
			secured, err := secure(ctx, conn, tlsConfig)
			switch {
			case errors.Is(err, errNoTLS) && s.settings.SSLMode != "require" && s.settings.SSLMode != "verify-full":
				if first {
					cfg.RequireAuth = "md5,scram-sha-256,none" // no password in clear text where TLS could have been stripped
				}
			case err != nil:
				conn.Close()
				return nil, err
			default:
				conn = secured
			}
		}
		if first {
			_, tr.secure = conn.(*tls.Conn)
			tr.dialled = time.Now()
		}
		return conn, nil
	}
	greeting, cancel := context.WithTimeout(ctx, greetingLimit)
	defer cancel()
	c.pg, err = pgconn.ConnectConfig(greeting, cfg)
	if err != nil {
		c.drop()
		if greeting.Err() != nil && ctx.Err() == nil {
			return nil, driver.E(driver.ErrTimeout, nil, "the server did not greet as PostgreSQL does within %s: check host and port, or add \"driver\" to connection_config if it is another kind of database", greetingLimit)
		}
		return nil, s.connectError(ctx, err)
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

var errNoTLS = driver.E(driver.ErrUnreachable, nil, "the server has no TLS: set sslmode to prefer, or to disable, if that is acceptable")

// secure asks the server for TLS and shakes hands.
func secure(ctx context.Context, conn net.Conn, cfg *tls.Config) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), 80877103)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, err
	}
	switch answer[0] {
	case 'S':
	case 'N':
		return nil, errNoTLS
	default:
		return nil, driver.E(driver.ErrUnreachable, nil, "what answers there is not a PostgreSQL server")
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, driver.E(driver.ErrUnreachable, err, "TLS with the server failed; sslmode require does not check its certificate")
	}
	return secured, nil
}

// track remembers a socket and reports whether it is the session's first.
func (c *session) track(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets = append(c.sockets, conn)
	return len(c.sockets) == 1
}

// drop closes every socket.
func (c *session) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.sockets {
		conn.Close()
	}
}

// close ends the session in an orderly way, but waits no longer than
// closeLimit for the server. Nothing of it runs afterwards.
func (c *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit) // closing outlives the call that failed
	defer cancel()
	if !c.pg.IsClosed() {
		_ = c.pg.Close(ctx)
	}
	select {
	case <-c.pg.CleanupDone():
	case <-ctx.Done():
	}
	c.drop()
	<-c.pg.CleanupDone()
}

// exec runs statements of ours and ignores their rows.
func (c *session) exec(ctx context.Context, sql string) error {
	return c.run(ctx, sql, func(int, [][]byte) error { return nil })
}

// run sends statements of ours in one message, which costs one round trip, and
// hands each row to f as text, with the index of its statement among those that
// return rows; nil is NULL. f keeps nothing of the row. The error of f breaks the
// session: what else the server has to say may have no end.
func (c *session) run(ctx context.Context, sql string, f func(statement int, row [][]byte) error) error {
	c.idle = false
	results := c.pg.Exec(ctx, sql)
	var failed error
	for n := 0; results.NextResult(); {
		r := results.ResultReader()
		for r.NextRow() {
			if failed == nil {
				if failed = f(n, r.Values()); failed != nil {
					c.drop()
				}
			}
		}
		if len(r.FieldDescriptions()) > 0 {
			n++
		}
	}
	if err := results.Close(); failed == nil {
		return classify(ctx, err, "")
	}
	return failed
}

// query runs one statement of ours and hands each row to f as text; nil is
// NULL. f keeps nothing of the row, and its error breaks the session.
func (c *session) query(ctx context.Context, sql string, f func(row [][]byte) error, args ...string) error {
	params := make([][]byte, len(args))
	for i, arg := range args {
		params[i] = []byte(arg)
	}
	r := c.pg.ExecParams(ctx, sql, params, nil, nil, nil)
	var failed error
	for r.NextRow() {
		if failed == nil {
			if failed = f(r.Values()); failed != nil {
				c.drop()
			}
		}
	}
	if _, err := r.Close(); failed == nil {
		return classify(ctx, err, "")
	}
	return failed
}

// transaction returns a session in a fresh read-only snapshot in which sql has
// run, as session.run runs it. It takes one round trip.
func (s *source) transaction(ctx context.Context, sql string, f func(statement int, row [][]byte) error) (*session, error) {
	c, kept, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	heard := false
	for {
		err := c.run(ctx, c.begin("")+";"+sql, func(statement int, row [][]byte) error {
			heard = true
			return f(statement, row)
		})
		if err == nil {
			return c, nil
		}
		lost := kept && !heard && c.pg.IsClosed() && ctx.Err() == nil // it was cut while it was not used
		c.close()
		if !lost {
			return nil, err
		}
		kept = false
		if c, err = s.connect(ctx, nil); err != nil {
			return nil, err
		}
	}
}

// quote makes an identifier.
func quote(name string) string {
	return `"` + replaceAll(name, '"') + `"`
}

// literal makes a string constant; standard_conforming_strings is on.
func literal(text string) string {
	return `'` + replaceAll(text, '\'') + `'`
}

// replaceAll doubles a quote character and drops NUL, which would end the
// statement early.
func replaceAll(s string, q byte) string {
	out := make([]byte, 0, len(s)+2)
	for i := range len(s) {
		switch s[i] {
		case 0:
		case q:
			out = append(out, q, q)
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

func relation(t driver.Table) string {
	return fmt.Sprintf("%s.%s", quote(t.Namespace), quote(t.Name))
}
