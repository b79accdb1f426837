package postgres

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
	if err := c.exec(ctx, c.begin("")); err != nil {
		return steps, step("permissions", time.Since(began), err, "")
	}
	total, readable, first, err := s.count(ctx, c)
	if err == nil && total > 0 && readable == 0 {
		err = driver.E(driver.ErrPermission, nil, "this account may read none of the %d tables: GRANT USAGE ON the schema and SELECT ON its tables", total)
	}
	if step("permissions", time.Since(began), err, "%d of %d tables can be read", readable, total) != nil {
		return steps, err
	}

	began = time.Now()
	if first == nil {
		return steps, step("read", time.Since(began), nil, "there is no table to read from")
	}
	err = c.exec(ctx, "SELECT 1 FROM "+relation(*first)+" LIMIT 1")
	return steps, step("read", time.Since(began), err, "read from %s", first)
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
	_ = step("authenticate", time.Since(tr.dialled), nil, "PostgreSQL %s", c.pg.ParameterStatus("server_version"))
	return c, nil
}

// count returns how many tables there are and how many may be read, and one of
// those that holds rows of its own, preferring small ones: a view could take
// hours.
func (s *source) count(ctx context.Context, c *session) (total, readable int64, first *driver.Table, err error) {
	const query = `
SELECT count(*), count(*) FILTER (WHERE ok), min(name) FILTER (WHERE ok AND relkind IN ('r', 'p', 'm')) FROM (
  SELECT c.relkind, json_build_array(n.nspname, c.relname)::text AS name,
    has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT') AS ok
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND ($1 = 'null' OR n.nspname IN (SELECT json_array_elements_text(CASE WHEN $1 = 'null' THEN '[]' ELSE $1 END::json)))) t`
	schemas := "null"
	if len(s.settings.Schemas) > 0 {
		schemas = jsonList(s.settings.Schemas)
	}
	err = c.query(ctx, query, func(row [][]byte) error {
		total, readable = number(row[0]), number(row[1])
		if row[2] != nil {
			first = tableOf(row[2])
		}
		return nil
	}, schemas)
	return total, readable, first, err
}
