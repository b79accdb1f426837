// Package sqldb is what the drivers of SQL databases share: settings, TLS, the session that
// is kept between calls, the steps of a check, the check of a cursor's value, and what is
// said about logs of changes. Protocols and SQL belong to the drivers.
package sqldb

import (
	"cmp"
	"context"
	"net"
	"time"

	"headwater/connectors/driver"
)

// Settings are the settings in connection_config that all database servers have. A
// driver embeds them. Port and database are the driver's, because their defaults and
// limits differ.
type Settings struct {
	Host     string `json:"host" public:"true" jsonschema:"required,minLength=1,maxLength=255,pattern=^[^\\s/@]+$,title=Host,description=Host name or address of the server"`
	Username string `json:"username,omitempty" public:"true" jsonschema:"maxLength=255,title=User name"`
	User     string `json:"user,omitempty" public:"true" jsonschema:"maxLength=255,title=User name (another spelling of username)"`
	Password string `json:"password,omitempty" jsonschema:"title=Password"`
	// SSLMode prefer encrypts if the server can. It goes on without TLS only if the
	// server itself says that it has none, and then sends no password in clear text.
	SSLMode           string `json:"sslmode,omitempty" public:"true" jsonschema:"enum=disable,enum=prefer,enum=require,enum=verify-ca,enum=verify-full,default=prefer,title=TLS,description=disable: never; prefer: when the server has it; require: always but without checking who the server is; verify-ca: always and check who signed the certificate; verify-full: check the host name as well"`
	CACertificate     string `json:"ca_certificate,omitempty" public:"true" jsonschema:"title=CA certificate,description=PEM text of the authorities that verify-ca and verify-full trust instead of the system's"`
	ClientCertificate string `json:"client_certificate,omitempty" public:"true" jsonschema:"title=Client certificate,description=PEM text of the certificate (with its chain) that the account logs in with; needs client_key"`
	ClientKey         string `json:"client_key,omitempty" jsonschema:"title=Client key,description=PEM text of the private key of client_certificate, not encrypted"`
	MaxRowMiB         int    `json:"max_row_mib,omitempty" public:"true" jsonschema:"minimum=1,maximum=1024,title=Longest row,description=In MiB; 64 when absent. A row takes several times its length of the connector's memory (--connector-memory)"`
	FirstRowLimit     int    `json:"first_row_seconds,omitempty" public:"true" jsonschema:"minimum=1,maximum=86400,default=3600,title=Wait for rows,description=Seconds that a query may take before its first row comes"`
}

// Validate requires a user name in one of the two spellings, and certificates that can
// be used. Errors name the setting.
func (s *Settings) Validate() error {
	switch {
	case s.Account() == "":
		return driver.InvalidField("username", "is missing")
	case s.User != "" && s.Username != "" && s.User != s.Username:
		return driver.InvalidField("username", "and connection_config.user differ: give one")
	}
	return s.TLS().Validate()
}

// Account returns the user name.
func (s *Settings) Account() string { return cmp.Or(s.Username, s.User) }

// TLS returns how the source speaks TLS.
func (s *Settings) TLS() TLS {
	return TLS{Host: s.Host, Mode: s.SSLMode, Authority: s.CACertificate, Certificate: s.ClientCertificate, Key: s.ClientKey}
}

// FirstRow returns how long a query may take before its first row.
func (s *Settings) FirstRow() time.Duration {
	return time.Duration(cmp.Or(s.FirstRowLimit, 3600)) * time.Second
}

// Limits returns l with the source's own limit for a row, and with defaults.
func (s *Settings) Limits(l driver.Limits) driver.Limits {
	l.MaxRowBytes = cmp.Or(int64(s.MaxRowMiB)<<20, l.MaxRowBytes)
	return l.WithDefaults()
}

// Dial is driver.Config.Dial.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// GreetingLimit bounds the time from dialling to the end of the login. A server of
// another protocol waits for us while we wait for it.
const GreetingLimit = 10 * time.Second

// SetReadTimeout sets how long a read of a connection of driver.Config.Dial may wait for
// its first byte, 0 for the idle limit. It holds from the next read on, and may be called
// at any moment.
func SetReadTimeout(conn net.Conn, limit time.Duration) {
	if conn, ok := conn.(interface{ SetReadTimeout(time.Duration) }); ok {
		conn.SetReadTimeout(limit)
	}
}
