// Package postgres reads PostgreSQL, version 12 and later, and what speaks its
// protocol and has its catalog. Rows come by binary COPY and are parsed
// straight into Arrow builders.
package postgres

import (
	"context"
	"sync"
	"time"

	"headwater/connectors/driver"
)

// Driver opens PostgreSQL databases. Its zero value is ready.
type Driver struct {
	rangeBytes int64 // of a Scan's ranges, 0 for driver.RangeSize; tests make them small
}

// Settings is the connection_config of a PostgreSQL source.
type Settings struct {
	Host     string `json:"host" public:"true" jsonschema:"required,minLength=1,maxLength=255,pattern=^[^\\s/@]+$,title=Host,description=Host name or address of the server"`
	Port     int    `json:"port,omitempty" public:"true" jsonschema:"minimum=1,maximum=65535,default=5432,title=Port"`
	Database string `json:"database" public:"true" jsonschema:"required,minLength=1,maxLength=255,title=Database"`
	Username string `json:"username,omitempty" public:"true" jsonschema:"maxLength=255,title=User name"`
	User     string `json:"user,omitempty" public:"true" jsonschema:"maxLength=255,title=User name (another spelling of username)"`
	Password string `json:"password,omitempty" jsonschema:"title=Password"`
	// SSLMode prefer encrypts wherever the server can. It falls back only on the
	// server's own word that it has no TLS, and then never sends the password in
	// clear text.
	SSLMode       string   `json:"sslmode,omitempty" public:"true" jsonschema:"enum=disable,enum=prefer,enum=require,enum=verify-full,default=prefer,title=TLS,description=disable: never; prefer: when the server has it; require: always but without checking who the server is; verify-full: always and check certificate and host name"`
	CACertificate string   `json:"ca_certificate,omitempty" public:"true" jsonschema:"title=CA certificate,description=PEM text of the authorities that verify-full trusts instead of the system's"`
	Schemas       []string `json:"schemas,omitempty" public:"true" jsonschema:"title=Schemas,description=Only these schemas; all but the system's when absent"`
}

// Validate requires one of the two spellings of the user name.
func (s *Settings) Validate() error {
	switch {
	case s.user() == "":
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.username is missing")
	case s.User != "" && s.Username != "" && s.User != s.Username:
		return driver.E(driver.ErrInvalidConfig, nil, "connection_config.username and connection_config.user differ: give one")
	}
	_, err := s.roots()
	return err
}

func (s *Settings) user() string {
	if s.Username != "" {
		return s.Username
	}
	return s.User
}

// Spec describes the driver.
func (Driver) Spec() driver.Spec {
	return driver.Spec{
		Name:     "postgresql",
		Aliases:  []string{"postgres", "pg"},
		Class:    "database",
		Schemes:  []string{"postgres", "postgresql"},
		Ports:    []int{5432},
		Default:  true,
		Title:    "PostgreSQL",
		Settings: &Settings{},
	}
}

// Open prepares the source. It does not dial.
func (d Driver) Open(_ context.Context, cfg driver.Config) (driver.Source, error) {
	s := &source{dial: cfg.Dial, limits: cfg.Limits.WithDefaults(), rangeBytes: d.rangeBytes}
	if err := driver.Decode(cfg.Settings, &s.settings); err != nil {
		return nil, err
	}
	if err := s.settings.Validate(); err != nil {
		return nil, err
	}
	if s.settings.Port == 0 {
		s.settings.Port = 5432
	}
	return s, nil
}

// source is one database. It keeps one session between calls.
type source struct {
	settings   Settings
	dial       dialFunc
	limits     driver.Limits
	rangeBytes int64

	mu      sync.Mutex // Close may come at any moment
	session *session
	closed  bool
}

// acquire returns the kept session or a new one, and which of them. The caller
// gives it back by keep or closes it.
func (s *source) acquire(ctx context.Context) (c *session, old bool, err error) {
	s.mu.Lock()
	kept, closed := s.session, s.closed
	s.session = nil
	s.mu.Unlock()
	switch {
	case closed:
		return nil, false, driver.E(driver.ErrUnreachable, nil, "the connection is closed")
	case kept != nil && !kept.pg.IsClosed():
		return kept, true, nil
	case kept != nil:
		kept.close()
	}
	c, err = s.connect(ctx, nil)
	return c, false, err
}

// keep gives a session back, ending its transaction; a broken one is closed. It
// commits: reading tidies the server's pages, and what a transaction that rolls
// back has logged of that waits for somebody else to write it to disk.
func (s *source) keep(ctx context.Context, c *session) {
	if c.pg.IsClosed() || !c.idle && c.exec(ctx, "COMMIT") != nil {
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

const closeLimit = 3 * time.Second
