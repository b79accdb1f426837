package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"headwater/connectors/driver"
)

// trace receives when the parts of connecting were done; its fields are set by
// connect.
type trace struct {
	dialled time.Time // zero when dialling failed
	secure  bool
}

// How long a source waits for its first connection where the account has no
// free one: others of ours are soon done with theirs.
const (
	crowdLimit = 50 * time.Second
	crowdPause = 500 * time.Millisecond
)

// connectFirst is connect, and waits where there is no free connection.
func (s *source) connectFirst(ctx context.Context, tr *trace) (*session, error) {
	limit := time.Now().Add(crowdLimit)
	for {
		c, err := s.connect(ctx, tr)
		if !errors.Is(err, errCrowded) || time.Now().After(limit) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(crowdPause):
		}
	}
}

// connect dials and authenticates. The password goes in the form that SCRAM
// hashes; other methods take it as it is.
func (s *source) connect(ctx context.Context, tr *trace) (*session, error) {
	if tr == nil {
		tr = &trace{}
	}
	prepared := saslprep(s.settings.Password)
	c, err := s.login(ctx, tr, prepared)
	if prepared != s.settings.Password && errors.Is(err, driver.ErrAuthentication) {
		return s.login(ctx, tr, s.settings.Password)
	}
	return c, err
}

func (s *source) login(ctx context.Context, tr *trace, password string) (*session, error) {
	// pgconn insists on a parsed configuration, and parsing reads the process's
	// environment and home directory. Every field is set below, so nothing of
	// them survives.
	cfg, err := pgconn.ParseConfig("host=invalid port=1 user=invalid password=invalid dbname=invalid sslmode=disable sslcertmode=disable passfile='' target_session_attrs=any connect_timeout=0")
	if err != nil {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "the PG* variables in the environment of this process are not usable: unset them")
	}
	tlsConfig, err := s.settings.tls().Config()
	if err != nil {
		return nil, err
	}
	c := &session{source: s}
	cfg.Host, cfg.Port, cfg.Database = s.settings.Host, uint16(s.settings.Port), s.settings.Database
	cfg.User, cfg.Password = s.settings.user(), password
	cfg.TLSConfig, cfg.Fallbacks, cfg.SSLNegotiation, cfg.SSLCertMode = nil, nil, "", "allow" // TLS is done while dialling
	cfg.ConnectTimeout = 0
	cfg.RuntimeParams = map[string]string{"application_name": "headwater", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
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
			case errors.Is(err, errNoTLS) && !s.settings.tls().Strict():
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
