// Package mysql reads MySQL 8 and MariaDB 10 and later. Rows come by the text
// protocol and are parsed into Arrow builders.
package mysql

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

// Driver opens MySQL and MariaDB databases. Its zero value is ready.
type Driver struct{}

// Settings is the connection_config of a MySQL or MariaDB source.
type Settings struct {
	sqldb.Settings
	Port           int               `json:"port,omitempty" public:"true" jsonschema:"minimum=1,maximum=65535,default=3306,title=Port"`
	Database       string            `json:"database" public:"true" jsonschema:"required,minLength=1,maxLength=64,title=Database"`
	OnBadValue     string            `json:"on_bad_value,omitempty" public:"true" jsonschema:"enum=fail,enum=null,default=fail,title=Values that a type cannot hold,description=0000-00-00 and other days off the calendar and text that is not valid in its character set: fail ends the table; null lands NULL and says how often"`
	ColumnTypes    map[string]string `json:"column_types,omitempty" public:"true" jsonschema:"title=Column types,description=By column or table.column: string for the server's own text of a date or time or number"`
	MaxConnections int               `json:"max_connections,omitempty" public:"true" jsonschema:"minimum=1,maximum=16,default=2,title=Connections,description=Most connections that the reading of one table takes at once; 1 for an account that may have no second one"`
}

// Validate returns an ErrInvalidConfig that names the setting that cannot be used.
func (s *Settings) Validate() error {
	if err := s.Settings.Validate(); err != nil {
		return err
	}
	for name, text := range s.ColumnTypes {
		if text != driver.Of(driver.String).String() {
			return driver.InvalidField("column_types."+name, "must be string")
		}
	}
	return nil
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

// Spec describes the driver.
func (Driver) Spec() driver.Spec {
	return driver.Spec{
		Name:     "mysql",
		Aliases:  []string{"mariadb"},
		Class:    "database",
		Schemes:  []string{"mysql", "mariadb"},
		Ports:    []int{3306},
		Title:    "MySQL and MariaDB",
		Changes:  true,
		Settings: &Settings{},
	}
}

// Open prepares the source. It does not dial.
func (Driver) Open(_ context.Context, cfg driver.Config) (driver.Source, error) {
	s := &source{dial: cfg.Dial}
	if err := driver.Decode(cfg.Settings, &s.settings); err != nil {
		return nil, err
	}
	if err := s.settings.Validate(); err != nil {
		return nil, err
	}
	s.settings.Port = cmp.Or(s.settings.Port, 3306)
	s.limits = s.settings.Limits(cfg.Limits)
	return s, nil
}

// source is one database. It keeps one session between calls.
type source struct {
	settings  Settings
	dial      sqldb.Dial
	limits    driver.Limits
	rangeSize int64 // bytes of a range of a Scan, about; 0 for driver.RangeSize

	mu   sync.Mutex
	lost map[string]lostTable // by the table's name, until it is read whole

	full atomic.Bool // the last connection was refused: the server has no more of them
	kept sqldb.IdleSession[*session]
}

// acquire returns the kept session, and that it is that one, or a new one. The
// caller gives it back by keep or closes it.
func (s *source) acquire(ctx context.Context) (c *session, kept bool, err error) {
	if c, kept, err = s.kept.Take(); err != nil || kept {
		return c, kept, err
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
	full := func(error) bool { return s.full.Load() }
	return sqldb.Await(ctx, fullLimit, fullPause, full, func() (*session, error) {
		s.full.Store(false)
		return s.connect(ctx, nil)
	})
}

// keep gives a session back, ending its transaction; a broken one is closed.
func (s *source) keep(c *session) {
	if c.forgo() != nil {
		c.close()
		return
	}
	if !s.kept.Put(c) {
		c.close()
	}
}

// Close ends the session. It is safe to call twice.
func (s *source) Close() error {
	if c, ok := s.kept.Close(); ok {
		c.close()
	}
	return nil
}
