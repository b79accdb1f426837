package session

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

// How long to wait for a first connection if the account has no free one, and how often to
// ask again: other readers of ours are soon done.
const (
	connectionLimit = 50 * time.Second
	connectionPause = 500 * time.Millisecond
)

// ConnectFirst is Connect. If the account has no free connection it tries again for a
// while, then returns ErrTooManyConnections.
func (s *Pool) ConnectFirst(ctx context.Context, tr *sqldb.Trace) (*Session, error) {
	crowded := func(err error) bool { return errors.Is(err, ErrTooManyConnections) }
	return sqldb.Await(ctx, connectionLimit, connectionPause, crowded, func() (*Session, error) { return s.Connect(ctx, tr) })
}

// Connect dials and logs in. tr may be nil. The password is tried in the form that SCRAM
// requires, then as it is. The caller closes the session.
func (s *Pool) Connect(ctx context.Context, tr *sqldb.Trace) (*Session, error) {
	return s.ConnectWith(ctx, tr, nil)
}

// ConnectWith is Connect with further parameters of the startup message.
func (s *Pool) ConnectWith(ctx context.Context, tr *sqldb.Trace, further map[string]string) (*Session, error) {
	if tr == nil {
		tr = &sqldb.Trace{}
	}
	prepared := saslprep(s.Settings.Password)
	c, err := s.login(ctx, tr, prepared, further)
	if prepared != s.Settings.Password && errors.Is(err, driver.ErrAuthentication) {
		return s.login(ctx, tr, s.Settings.Password, further)
	}
	return c, err
}

func (s *Pool) login(ctx context.Context, tr *sqldb.Trace, password string, further map[string]string) (*Session, error) {
	// pgconn requires a parsed configuration, and parsing reads the environment and the
	// home directory. Every field is set below, so nothing of them is used.
	cfg, err := pgconn.ParseConfig("host=invalid port=1 user=invalid password=invalid dbname=invalid sslmode=disable sslcertmode=disable passfile='' target_session_attrs=any connect_timeout=0")
	if err != nil {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "the PG* variables in the environment of this process are not usable: unset them")
	}
	tlsConfig, err := s.Settings.TLS().Config()
	if err != nil {
		return nil, err
	}
	c := &Session{pool: s}
	cfg.Host, cfg.Port, cfg.Database = s.Settings.Host, uint16(s.Settings.Port), s.Settings.Database
	cfg.User, cfg.Password = s.Settings.Account(), password
	cfg.TLSConfig, cfg.Fallbacks, cfg.SSLNegotiation, cfg.SSLCertMode = nil, nil, "", "allow" // TLS is set up while dialling
	cfg.ConnectTimeout = 0
	cfg.RuntimeParams = map[string]string{"application_name": "headwater", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
	maps.Copy(cfg.RuntimeParams, further)
	cfg.KerberosSrvName, cfg.KerberosSpn = "", ""
	cfg.MinProtocolVersion, cfg.MaxProtocolVersion, cfg.ChannelBinding = "3.0", "3.0", "prefer"
	cfg.RequireAuth = "password,md5,scram-sha-256,none"
	cfg.ValidateConnect, cfg.AfterConnect, cfg.AfterNetConnect, cfg.OnNotice, cfg.OnNotification, cfg.OAuthTokenProvider = nil, nil, nil, nil, nil, nil
	cfg.MaxProtocolMessageBodyLen = int(min(s.Limits.MaxRowBytes, 1<<30))
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // Dial resolves names and checks the addresses
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := s.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		first := c.track(conn) // later ones carry requests to cancel
		if first && further["replication"] != "" {
			conn = newCoalescingConn(conn)
		}
		if tlsConfig != nil {
			secured, err := secure(ctx, conn, tlsConfig)
			switch {
			case errors.Is(err, sqldb.ErrNoTLS) && !s.Settings.TLS().Strict():
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
			_, tr.Secure = conn.(*tls.Conn)
			tr.Dialled = time.Now()
		}
		return conn, nil
	}
	greeting, cancel := context.WithTimeout(ctx, sqldb.GreetingLimit)
	defer cancel()
	c.PG, err = pgconn.ConnectConfig(greeting, cfg)
	if err != nil {
		c.Drop()
		if greeting.Err() != nil && ctx.Err() == nil {
			return nil, driver.E(driver.ErrTimeout, nil, "the server did not greet as PostgreSQL does within %s: check host and port, or add \"driver\" to connection_config if it is another kind of database", sqldb.GreetingLimit)
		}
		return nil, s.connectError(ctx, err)
	}
	return c, nil
}

// connectError explains why a connection was not made.
func (s *Pool) connectError(ctx context.Context, err error) error {
	var server *pgconn.PgError
	var typed *driver.Error
	switch {
	case errors.As(err, &typed):
		return typed
	case errors.As(err, &server):
		switch server.Code {
		case "28P01":
			return driver.E(driver.ErrAuthentication, nil, "the server does not accept this username and password")
		case "28000":
			switch text := server.Message; {
			case strings.Contains(text, "pg_hba.conf") && (strings.Contains(text, "no encryption") || strings.Contains(text, "SSL off")):
				return driver.E(driver.ErrAuthentication, nil, "the server lets this account in over TLS only: set connection_config.sslmode to require, verify-ca or verify-full")
			case strings.Contains(text, "pg_hba.conf"):
				return driver.E(driver.ErrAuthentication, nil, "the server's pg_hba.conf lets this account into this database not from here: %s", text)
			case strings.Contains(text, "client certificate"), strings.Contains(text, "certificate authentication"):
				return driver.E(driver.ErrAuthentication, nil, "the server wants a client certificate that is made out to this account: set connection_config.client_certificate and client_key (%s)", text)
			}
		case "53300":
			return driver.E(driver.ErrUnreachable, ErrTooManyConnections, "%s: raise the account's or the server's limit, or lower sync_options.parallelism and connection_config.max_connections", server.Message)
		case "3D000":
			return driver.E(driver.ErrNotFound, nil, "database %q does not exist on the server", s.Settings.Database)
		}
		return Classify(ctx, err, "")
	case ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "the server did not answer in time")
	}
	// pgconn has no types for these errors.
	if text := err.Error(); strings.Contains(text, "remote error: tls") {
		return driver.E(driver.ErrAuthentication, nil, "the server refuses connection_config.client_certificate, or wants one: it must be signed by an authority that the server trusts")
	} else if strings.Contains(text, "require_auth") || strings.Contains(text, "SASL") || strings.Contains(text, "unsupported authentication") {
		return driver.E(driver.ErrAuthentication, nil, "the server asks for a way of authentication that is not safe on this connection or not supported: set sslmode to require, or let the server use scram-sha-256")
	}
	return driver.E(driver.ErrUnreachable, nil, "the server ended the connection while it was being made: is this a PostgreSQL server? If it is another kind of database, add \"driver\" to connection_config")
}

// secure asks the server for TLS and makes the handshake. sqldb.ErrNoTLS says that the
// server has none.
func secure(ctx context.Context, conn net.Conn, cfg *tls.Config) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
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
		return nil, sqldb.ErrNoTLS
	default:
		return nil, driver.E(driver.ErrUnreachable, nil, "what answers there is not a PostgreSQL server")
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, sqldb.HandshakeError(err)
	}
	return secured, nil
}
