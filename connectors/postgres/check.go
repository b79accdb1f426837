package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// Check connects and reads a row. The error is that of the step that failed.
func (s *source) Check(ctx context.Context) error {
	_, err := s.CheckSteps(ctx)
	return err
}

// CheckSteps connects, counts the tables that can be read, reads a row, and asks whether
// changes can be followed. It returns the steps up to the one that failed, and that
// step's error.
func (s *source) CheckSteps(ctx context.Context) ([]driver.Step, error) {
	var steps sqldb.Steps
	var c *session.Session
	err := steps.Connect(ctx, func(ctx context.Context, tr *sqldb.Trace) (server string, err error) {
		if c, err = s.ConnectFirst(ctx, tr); err != nil {
			return "", err
		}
		return "PostgreSQL " + c.PG.ParameterStatus("server_version"), nil
	})
	if err != nil {
		return steps.List(), err
	}
	defer c.Close()

	began := time.Now()
	if err := c.Exec(ctx, c.Begin("")); err != nil {
		err = steps.Done("permissions", began, err, "")
		return steps.List(), err
	}
	seen, err := s.count(ctx, c)
	switch {
	case err != nil:
	case seen.total > 0 && seen.readable == 0:
		err = driver.E(driver.ErrPermission, nil, "this account may read none of %s: GRANT USAGE ON the schema and SELECT ON its tables", driver.Count(seen.total, "table"))
	case len(seen.missing) > 0:
		err = driver.E(driver.ErrNotFound, nil, "connection_config.schemas: there is no schema %s in the database", catalog.Some(seen.missing))
	}
	if steps.Done("permissions", began, err, "%d of %s can be read", seen.readable, driver.Count(seen.total, "table")) != nil {
		return steps.List(), err
	}

	began = time.Now()
	message, err := s.sample(ctx, c, seen.candidates)
	if steps.Done("read", began, err, "%s", message) != nil {
		return steps.List(), err
	}

	began = time.Now()
	_ = steps.Done("changes", began, nil, "%s", s.Readiness(ctx))
	return steps.List(), nil
}

// How many tables a check tries, and how long it waits for a lock of each.
const (
	maxSamples = 12
	sampleLock = "1500ms"
)

// sample reads a row of the first table that can be read. A table that is locked,
// filtered or damaged says nothing about the others; the message names it. The error is
// one of the connection.
func (s *source) sample(ctx context.Context, c *session.Session, candidates []driver.Table) (string, error) {
	if len(candidates) == 0 {
		return "there is no table to read from", nil
	}
	var failed []string
	for _, t := range candidates {
		if err := c.Exec(ctx, "ROLLBACK;"+c.Begin("")+"; SET LOCAL lock_timeout = '"+sampleLock+"';"+catalog.Server{}.BeforeRows("")+"SELECT 1 FROM "+session.Relation(t)+" LIMIT 1"); err != nil {
			if c.PG.IsClosed() || ctx.Err() != nil {
				return "", err
			}
			failed = append(failed, fmt.Sprintf("%s cannot be read: %s", t, err))
			continue
		}
		return strings.Join(append([]string{"read from " + t.String()}, failed...), "; "), nil
	}
	return strings.Join(failed, "; "), nil
}

// counted is what a check finds in the catalog.
type counted struct {
	total, readable int64
	candidates      []driver.Table // tables to try
	missing         []string       // configured schemas that do not exist
}

// count returns how many tables there are, how many may be read, and some of them to
// try: tables that hold rows themselves, small ones first, because a view could take
// hours.
func (s *source) count(ctx context.Context, c *session.Session) (found counted, err error) {
	const condition = `c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND ($1 = 'null' OR n.nspname IN (SELECT json_array_elements_text(CASE WHEN $1 = 'null' THEN '[]' ELSE $1 END::json)))`
	const ok = `has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')`
	query := fmt.Sprintf(`
SELECT count(*), count(*) FILTER (WHERE `+ok+`), NULL, NULL FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE `+condition+`
UNION ALL SELECT NULL, NULL, nspname, relname FROM (
  SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE `+condition+` AND `+ok+` AND c.relkind IN ('r', 'p', 'm') AND c.relispopulated AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
  ORDER BY c.relpages > 1000, n.nspname, c.relname LIMIT %d) t
UNION ALL SELECT NULL, NULL, s, NULL FROM json_array_elements_text(CASE WHEN $1 = 'null' THEN '[]' ELSE $1 END::json) s WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = s)`, maxSamples)
	schemas := "null"
	if len(s.Settings.Schemas) > 0 {
		schemas = session.JSONList(s.Settings.Schemas)
	}
	err = c.Query(ctx, query, func(row [][]byte) error {
		switch {
		case row[0] != nil:
			found.total, found.readable = session.Number(row[0]), session.Number(row[1])
		case row[3] == nil:
			found.missing = append(found.missing, string(row[2]))
		default:
			found.candidates = append(found.candidates, driver.Table{Namespace: string(row[2]), Name: string(row[3])})
		}
		return nil
	}, schemas)
	return found, err
}

var _ driver.Stepper = (*source)(nil)
