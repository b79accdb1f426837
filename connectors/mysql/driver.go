// Package mysql reads MySQL 8 and MariaDB 10 and later. Rows come by the text
// protocol and are parsed into Arrow builders.
package mysql

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"headwater/connectors/dbtls"
	"headwater/connectors/driver"
)

// Driver opens MySQL and MariaDB databases. Its zero value is ready.
type Driver struct{}

// Settings is the connection_config of a MySQL or MariaDB source.
type Settings struct {
	Host     string `json:"host" public:"true" jsonschema:"required,minLength=1,maxLength=255,pattern=^[^\\s/@]+$,title=Host,description=Host name or address of the server"`
	Port     int    `json:"port,omitempty" public:"true" jsonschema:"minimum=1,maximum=65535,default=3306,title=Port"`
	Database string `json:"database" public:"true" jsonschema:"required,minLength=1,maxLength=64,title=Database"`
	Username string `json:"username,omitempty" public:"true" jsonschema:"maxLength=255,title=User name"`
	User     string `json:"user,omitempty" public:"true" jsonschema:"maxLength=255,title=User name (another spelling of username)"`
	Password string `json:"password,omitempty" jsonschema:"title=Password"`
	// SSLMode prefer encrypts wherever the server can, and falls back only on the
	// server's own word that it has no TLS.
	SSLMode           string            `json:"sslmode,omitempty" public:"true" jsonschema:"enum=disable,enum=prefer,enum=require,enum=verify-ca,enum=verify-full,default=prefer,title=TLS,description=disable: never; prefer: when the server has it; require: always but without checking who the server is; verify-ca: always and check who signed the certificate; verify-full: check the host name as well"`
	CACertificate     string            `json:"ca_certificate,omitempty" public:"true" jsonschema:"title=CA certificate,description=PEM text of the authorities that verify-ca and verify-full trust instead of the system's"`
	ClientCertificate string            `json:"client_certificate,omitempty" public:"true" jsonschema:"title=Client certificate,description=PEM text of the certificate (with its chain) that the account logs in with; needs client_key"`
	ClientKey         string            `json:"client_key,omitempty" jsonschema:"title=Client key,description=PEM text of the private key of client_certificate, not encrypted"`
	OnBadValue        string            `json:"on_bad_value,omitempty" public:"true" jsonschema:"enum=fail,enum=null,default=fail,title=Values that a type cannot hold,description=0000-00-00 and other days off the calendar and text that is not valid in its character set: fail ends the table; null lands NULL and says how often"`
	ColumnTypes       map[string]string `json:"column_types,omitempty" public:"true" jsonschema:"title=Column types,description=By column or table.column: string for the server's own text of a date or time or number"`
	MaxConnections    int               `json:"max_connections,omitempty" public:"true" jsonschema:"minimum=1,maximum=16,default=2,title=Connections,description=Most connections that the reading of one table takes at once; 1 for an account that may have no second one"`
	MaxRowMiB         int               `json:"max_row_mib,omitempty" public:"true" jsonschema:"minimum=1,maximum=1024,title=Longest row,description=In MiB; 64 when absent. A row takes several times its length of the connector's memory (--connector-memory)"`
	FirstRowLimit     int               `json:"first_row_seconds,omitempty" public:"true" jsonschema:"minimum=1,maximum=86400,default=3600,title=Wait for rows,description=Seconds that a query may take before its first row comes"`
}

// Validate requires one of the two spellings of the user name, and that what is
// given can be used.
func (s *Settings) Validate() error {
	switch {
	case s.user() == "":
		return driver.InvalidField("username", "is missing")
	case s.User != "" && s.Username != "" && s.User != s.Username:
		return driver.InvalidField("username", "and connection_config.user differ: give one")
	}
	for name, text := range s.ColumnTypes {
		if text != driver.Of(driver.String).String() {
			return driver.InvalidField("column_types."+name, "must be string")
		}
	}
	return s.tls().Validate()
}

func (s *Settings) user() string {
	if s.Username != "" {
		return s.Username
	}
	return s.User
}

// asText reports whether column_types asks for the text of a column.
func (s *Settings) asText(table, column string) bool {
	for _, name := range []string{s.Database + "." + table + "." + column, table + "." + column, column} {
		if _, ok := s.ColumnTypes[name]; ok {
			return true
		}
	}
	return false
}

// nulls reports whether a value that its column's type cannot hold lands as NULL.
func (s *Settings) nulls() bool { return s.OnBadValue == "null" }

// patience is how long a query may take before its first row comes.
func (s *Settings) patience() time.Duration {
	return time.Duration(cmp.Or(s.FirstRowLimit, 3600)) * time.Second
}

// Spec describes the driver.
func (Driver) Spec() driver.Spec {
	return driver.Spec{
		Name:     "mysql",
		Aliases:  []string{"mariadb"},
		Class:    "database",
		Schemes:  []string{"mysql", "mariadb"},
		Ports:    []int{3306},
		Title:    "MySQL and MariaDB",
		Settings: &Settings{},
	}
}

// Open prepares the source. It does not dial.
func (Driver) Open(_ context.Context, cfg driver.Config) (driver.Source, error) {
	s := &source{dial: cfg.Dial, limits: cfg.Limits.WithDefaults()}
	if err := driver.Decode(cfg.Settings, &s.settings); err != nil {
		return nil, err
	}
	if err := s.settings.Validate(); err != nil {
		return nil, err
	}
	s.settings.Port = cmp.Or(s.settings.Port, 3306)
	s.limits.MaxRowBytes = cmp.Or(int64(s.settings.MaxRowMiB)<<20, s.limits.MaxRowBytes)
	return s, nil
}

// source is one database. It keeps one session between calls.
type source struct {
	settings  Settings
	dial      dialFunc
	limits    driver.Limits
	rangeSize int64 // bytes of a range of a Scan, about; 0 for driver.RangeSize

	full    atomic.Bool // the last connection was refused: the server has no more of them
	mu      sync.Mutex  // Close may come at any moment
	session *session
	closed  bool
}

// acquire returns the kept session, and that it is that one, or a new one. The
// caller gives it back by keep or closes it.
func (s *source) acquire(ctx context.Context) (c *session, kept bool, err error) {
	s.mu.Lock()
	c, closed := s.session, s.closed
	s.session = nil
	s.mu.Unlock()
	switch {
	case closed:
		return nil, false, driver.E(driver.ErrUnreachable, nil, "the connection is closed")
	case c != nil:
		return c, true, nil
	}
	c, err = s.await(ctx)
	return c, false, err
}

// How long a connection is waited for that the server has none of now, and how
// often it is asked for: another table of the same sync may have the only one.
const (
	fullLimit = 15 * time.Second
	fullPause = 300 * time.Millisecond
)

// await connects, and waits for a while where there is no connection to be had.
func (s *source) await(ctx context.Context) (*session, error) {
	for began := time.Now(); ; {
		s.full.Store(false)
		c, err := s.connect(ctx, nil)
		if err == nil || !s.full.Load() || time.Since(began) > fullLimit {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(fullPause):
		}
	}
}

// keep gives a session back, ending its transaction; a broken one is closed.
func (s *source) keep(c *session) {
	if c.forgo() != nil {
		c.close()
		return
	}
	s.mu.Lock()
	if !s.closed && s.session == nil {
		s.session, c = c, nil
	}
	s.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// Close ends the session. It is safe to call twice.
func (s *source) Close() error {
	s.mu.Lock()
	kept := s.session
	s.session, s.closed = nil, true
	s.mu.Unlock()
	if kept != nil {
		kept.close()
	}
	return nil
}

func (s *Settings) tls() dbtls.Settings {
	return dbtls.Settings{Host: s.Host, Mode: s.SSLMode, Authority: s.CACertificate, Certificate: s.ClientCertificate, Key: s.ClientKey}
}
