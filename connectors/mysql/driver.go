// Package mysql reads MySQL 8 and MariaDB 10 and later. Rows come by the text
// protocol and are parsed into Arrow builders.
package mysql

import (
	"context"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/capture"
	"headwater/connectors/mysql/session"
)

// Driver opens MySQL and MariaDB databases. Its zero value is ready.
type Driver struct{}

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
		Settings: &session.Settings{},
	}
}

// Open prepares the source. It does not dial.
func (Driver) Open(_ context.Context, cfg driver.Config) (driver.Source, error) {
	p, err := session.NewPool(cfg)
	if err != nil {
		return nil, err
	}
	return &source{Pool: p, Capturer: capture.New(p)}, nil
}

// source is one database.
type source struct {
	*session.Pool
	*capture.Capturer
	rangeSize int64 // bytes of a range of a Scan, about; 0 for driver.RangeSize
}
