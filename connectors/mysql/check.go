package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
	"headwater/connectors/sqldb"
)

// Check connects and reads a row. The error is that of the step that failed.
func (s *source) Check(ctx context.Context) error {
	_, err := s.CheckSteps(ctx)
	return err
}

// CheckSteps connects, looks at the rights, reads a row and asks whether changes can be
// followed. It returns the steps up to the one that failed, and that step's error.
func (s *source) CheckSteps(ctx context.Context) ([]driver.Step, error) {
	var steps sqldb.Steps
	var c *session.Session
	err := steps.Connect(ctx, func(ctx context.Context, tr *sqldb.Trace) (server string, err error) {
		c, err = s.Connect(ctx, tr)
		return "", err
	})
	if err != nil {
		return steps.List(), err
	}
	defer c.Close()

	began := time.Now()
	var total, readable int64
	err = c.Query(ctx, fmt.Sprintf(`SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %[1]s), COUNT(DISTINCT t.TABLE_NAME)
FROM information_schema.COLUMNS c JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
WHERE c.TABLE_SCHEMA = %[1]s AND FIND_IN_SET('select', c.PRIVILEGES) > 0`, session.Literal(s.Settings.Database)), func(row []*string) error {
		total, readable = session.Integer(row[0]), session.Integer(row[1])
		return nil
	})
	if err == nil && total > 0 && readable == 0 {
		err = driver.E(driver.ErrPermission, nil, "this account may read none of %s: GRANT SELECT ON the database to it", driver.Count(total, "table"))
	}
	others := ""
	if err == nil && readable < total {
		others, err = s.withheld(ctx, c, total-readable)
	}
	if steps.Done("permissions", began, err, "%d of %s can be read%s", readable, driver.Count(total, "table"), others) != nil {
		return steps.List(), err
	}

	began = time.Now()
	message, err := s.readAny(ctx, c)
	if steps.Done("read", began, err, "%s", message) != nil {
		return steps.List(), err
	}

	began = time.Now()
	missing, _, err := s.Ready(ctx, c) // which is no part of whether the source can be read
	_ = steps.Done("changes", began, nil, "%s", sqldb.Readiness(missing, err)+s.Advice(ctx, c))
	return steps.List(), nil
}

// withheld counts the tables that this account cannot read and names the first of them,
// for people.
func (s *source) withheld(ctx context.Context, c *session.Session, of int64) (message string, err error) {
	err = c.Query(ctx, fmt.Sprintf(`SELECT t.TABLE_NAME FROM information_schema.TABLES t
LEFT JOIN (SELECT DISTINCT TABLE_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %[1]s AND FIND_IN_SET('select', PRIVILEGES) > 0) r ON r.TABLE_NAME = t.TABLE_NAME
WHERE t.TABLE_SCHEMA = %[1]s AND r.TABLE_NAME IS NULL ORDER BY t.TABLE_NAME LIMIT 1`, session.Literal(s.Settings.Database)), func(row []*string) error {
		message = fmt.Sprintf("; the first of %d that cannot is %s: it has no column that this account may SELECT", of, driver.Table{Namespace: s.Settings.Database, Name: session.Text(row[0])})
		return nil
	})
	return message, err
}

// How many tables a check tries, for how long, and how many seconds it waits for a table
// that somebody else has locked.
const (
	maxProbes   = 50
	probesLimit = 10 * time.Second
	probeWait   = 2
)

// readAny reads one row of the first table that can be read. It says which table that
// was and what was wrong with those before it. If none can be read it returns the error
// of the first.
func (s *source) readAny(ctx context.Context, c *session.Session) (message string, err error) {
	var names, broken []string
	err = c.Query(ctx, fmt.Sprintf("SELECT DISTINCT t.TABLE_NAME FROM information_schema.COLUMNS c JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME WHERE c.TABLE_SCHEMA = %s AND t.TABLE_TYPE <> 'VIEW' AND FIND_IN_SET('select', c.PRIVILEGES) > 0 ORDER BY t.TABLE_NAME LIMIT %d", session.Literal(s.Settings.Database), maxProbes), func(row []*string) error {
		names = append(names, session.Text(row[0]))
		return nil
	})
	if err == nil {
		err = c.Exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout = %d", probeWait))
	}
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "there is no table to read from", nil
	}
	var first error
	for began := time.Now(); len(names) > 0 && time.Since(began) < probesLimit; names = names[1:] {
		table := driver.Table{Namespace: s.Settings.Database, Name: names[0]}
		err := c.Run(ctx, "SELECT 1 FROM "+session.Relation(table)+" LIMIT 1", func([]*string) error { return nil })
		if err == nil {
			return fmt.Sprintf("read from %s%s", table, strings.Join(broken, "")), nil
		}
		var server *mysql.MySQLError
		ours := c.Explain(ctx, err, "table "+table.String())
		if !errors.As(err, &server) {
			return "", ours
		}
		if first == nil {
			first = ours
		}
		broken = append(broken, "; not read: "+ours.Error())
	}
	return "", first
}
