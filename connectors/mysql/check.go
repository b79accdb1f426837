package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"time"

	"headwater/connectors/driver"
)

// Check connects anew and reads something small.
func (s *source) Check(ctx context.Context) error {
	_, err := s.CheckSteps(ctx)
	return err
}

// CheckSteps reports what a check consists of.
func (s *source) CheckSteps(ctx context.Context) ([]driver.Step, error) {
	var steps []driver.Step
	step := func(name string, took time.Duration, err error, format string, args ...any) error {
		steps = append(steps, driver.Step{Name: name, Duration: took, Err: err, Message: fmt.Sprintf(format, args...)})
		return err
	}
	c, err := s.checkConnect(ctx, step)
	if err != nil {
		return steps, err
	}
	defer c.close()

	began := time.Now()
	var total, readable int64
	var first *string
	err = c.query(ctx, fmt.Sprintf(`SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %[1]s), COUNT(DISTINCT t.TABLE_NAME), MIN(CASE WHEN t.TABLE_TYPE <> 'VIEW' THEN t.TABLE_NAME END)
FROM information_schema.COLUMNS c JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
WHERE c.TABLE_SCHEMA = %[1]s AND FIND_IN_SET('select', c.PRIVILEGES) > 0`, literal(s.settings.Database)), func(row []*string) error {
		total, readable, first = integer(row[0]), integer(row[1]), row[2]
		return nil
	})
	if err == nil && total > 0 && readable == 0 {
		err = driver.E(driver.ErrPermission, nil, "this account may read none of the %d tables: GRANT SELECT ON the database to it", total)
	}
	if step("permissions", time.Since(began), err, "%d of %d tables can be read", readable, total) != nil {
		return steps, err
	}

	began = time.Now()
	if first == nil {
		return steps, step("read", time.Since(began), nil, "there is no table to read from")
	}
	table := driver.Table{Namespace: s.settings.Database, Name: *first}
	err = c.query(ctx, "SELECT 1 FROM "+relation(table)+" LIMIT 1", func([]*string) error { return nil })
	return steps, step("read", time.Since(began), err, "read from %s", table)
}

// checkConnect connects in steps of its own: resolve, connect, authenticate.
func (s *source) checkConnect(ctx context.Context, step func(string, time.Duration, error, string, ...any) error) (*session, error) {
	began := time.Now()
	var resolved time.Time
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{DNSDone: func(httptrace.DNSDoneInfo) { resolved = time.Now() }})
	var tr trace
	c, err := s.connect(traced, &tr)
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return nil, step("resolve", time.Since(began), err, "")
	}
	dialled := began
	if !resolved.IsZero() {
		_ = step("resolve", resolved.Sub(began), nil, "")
		dialled = resolved
	}
	if err != nil && tr.dialled.IsZero() {
		return nil, step("connect", time.Since(dialled), err, "")
	}
	security := "not encrypted"
	if tr.secure {
		security = "encrypted"
	}
	_ = step("connect", tr.dialled.Sub(dialled), nil, "%s", security)
	if err != nil {
		return nil, step("authenticate", time.Since(tr.dialled), err, "")
	}
	_ = step("authenticate", time.Since(tr.dialled), nil, "")
	return c, nil
}
