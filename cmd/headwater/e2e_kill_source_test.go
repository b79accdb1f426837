package main

import (
	"crypto/md5"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/drivertest/servers"
	"headwater/handlers/landing/landingtest"
)

// killSource is a PostgreSQL whose tables are synced while the service is
// killed. Every table has the columns of killTable.
type killSource struct {
	t      *testing.T
	server *servers.Server
	db     *sql.DB
}

const killTable = `
CREATE TABLE %[1]s (id bigint PRIMARY KEY, version bigint NOT NULL, amount numeric(12,2), note text) WITH (autovacuum_enabled = off);
CREATE SEQUENCE %[1]s_versions;
CREATE INDEX ON %[1]s (version)`

func newKillSource(t *testing.T) *killSource {
	t.Helper()
	s := &killSource{t: t, server: servers.Postgres(t)}
	var err error
	if s.db, err = s.server.OpenPostgres(); err != nil {
		t.Fatal(err)
	}
	// A connection that ends tells what it read at once, an idle one later.
	s.db.SetMaxIdleConns(0)
	t.Cleanup(func() { s.db.Close() })
	return s
}

func (s *killSource) exec(statements ...string) {
	s.t.Helper()
	for _, statement := range statements {
		if _, err := s.db.ExecContext(s.t.Context(), statement); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// make makes an empty table.
func (s *killSource) make(table string) {
	s.t.Helper()
	s.exec(strings.Split(fmt.Sprintf(killTable, table), ";")...)
}

// insert adds the rows of the ids from one up to another, which it leaves out.
func (s *killSource) insert(table string, from, to int) {
	s.t.Helper()
	s.exec(fmt.Sprintf(`INSERT INTO %[1]s SELECT i, nextval('%[1]s_versions'), CASE WHEN i%%10 > 0 THEN i*0.01 END,
		CASE WHEN i%%7 > 0 THEN 'note ' || md5(i::text) END FROM generate_series(%[2]d, %[3]d) i`, table, from, to-1), "ANALYZE "+table)
}

// settings is the connection_config.
func (s *killSource) settings() object {
	return object{"host": s.server.Host, "port": s.server.Port, "database": s.server.Database,
		"username": s.server.User, "password": s.server.Password, "sslmode": "disable"}
}

// contents is what a table holds: the sum is of the first 32 bits of each row's
// md5.
type contents struct{ rows, distinct, sum int64 }

func (s *killSource) contents(table string) (c contents) {
	s.t.Helper()
	err := s.db.QueryRowContext(s.t.Context(), `SELECT count(*), count(DISTINCT id), coalesce(sum(('x' || substr(
		md5(id || '|' || version || '|' || coalesce(amount::text, '-') || '|' || coalesce(note, '-')), 1, 8))::bit(32)::bigint), 0) FROM `+table).Scan(&c.rows, &c.distinct, &c.sum)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// read returns how many rows of a table the server has ever read for anyone,
// once nobody reads it any more.
func (s *killSource) read(table string) int64 {
	s.t.Helper()
	last, same := int64(-1), 0
	for deadline := time.Now().Add(testLimit); same < 3; time.Sleep(50 * time.Millisecond) {
		var busy, rows int64
		err := s.db.QueryRowContext(s.t.Context(), `SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()),
			coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = $1`, table).Scan(&busy, &rows)
		if err != nil {
			s.t.Fatal(err)
		}
		if busy == 0 && rows == last {
			same++
			continue
		}
		last, same = rows, 0
		if time.Now().After(deadline) {
			s.t.Fatalf("%d connections are still at work on the source", busy)
		}
	}
	return last
}

// landedContents reads what readers of a landed table see, and how many of its
// ids lie outside from 1 up to most.
func landedContents(t *testing.T, location string, snapshot int64, most int) (c contents) {
	t.Helper()
	seen := make([]bool, most+1)
	var buffer []byte
	for rec, err := range landingtest.Rows(t.Context(), location, snapshot) {
		if err != nil {
			t.Errorf("read what landed: %v", err)
			return c
		}
		column := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) }
		ids, versions := column("id").(*array.Int64), column("version").(*array.Int64)
		amounts, notes := column("amount").(*array.Decimal128), column("note").(*array.String)
		for row := range int(rec.NumRows()) {
			amount, note := "-", "-"
			if !amounts.IsNull(row) {
				amount = amounts.Value(row).ToString(2)
			}
			if !notes.IsNull(row) {
				note = notes.Value(row)
			}
			id := ids.Value(row)
			buffer = fmt.Appendf(buffer[:0], "%d|%d|%s|%s", id, versions.Value(row), amount, note)
			sum := md5.Sum(buffer)
			c.sum += int64(sum[0])<<24 | int64(sum[1])<<16 | int64(sum[2])<<8 | int64(sum[3])
			c.rows++
			if id < 1 || id > int64(most) {
				t.Errorf("a row with the id %d landed", id)
			} else if !seen[id] {
				seen[id] = true
				c.distinct++
			}
		}
	}
	return c
}
