package capture_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/capture"
	"headwater/connectors/postgres/session"
)

// oddSettings are settings of an account that change how values look, how long a statement
// may take, or how transactions begin.
var oddSettings = []string{
	"statement_timeout = '60ms'", "lock_timeout = '60ms'", "idle_in_transaction_session_timeout = '1ms'", "idle_session_timeout = '400ms'", "default_transaction_read_only = on",
	"default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on", "search_path = nowhere, public", "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "extra_float_digits = -5",
	"bytea_output = 'escape'", "client_encoding = 'LATIN1'", "row_security = off", "TimeZone = 'Asia/Kathmandu'", "lc_monetary = 'C.UTF-8'", "xmlbinary = 'hex'", "standard_conforming_strings = off",
	"synchronous_commit = remote_apply", "quote_all_identifiers = on", "array_nulls = off", "backslash_quote = on", "transaction_timeout = '150ms'",
}

// odd makes an account with such settings that may do all that the server's own may, and
// returns what opens a source with it.
func odd(t *testing.T, db *sql.DB) func(*session.Settings) {
	t.Helper()
	run(t, db, "CREATE ROLE odd LOGIN SUPERUSER REPLICATION PASSWORD 'odd-7391'")
	for _, s := range oddSettings {
		name, _, _ := strings.Cut(s, " ")
		if value[int](t, db, "SELECT count(*) FROM pg_settings WHERE name = $1", name) == 1 { // older servers have no transaction_timeout
			run(t, db, "ALTER ROLE odd SET "+s)
		}
	}
	return func(s *session.Settings) { s.Username, s.Password = "odd", "odd-7391" }
}

// Settings of the account change neither values nor whether they are read.
func TestCaptureWithTheSettingsOfAnAccount(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *servers.Server) {
		db := handle(t, server)
		columns, values := []string{"id int PRIMARY KEY"}, []string{"1"}
		for i, e := range everyType {
			if e.typ != "numeric(5,-2)" {
				columns, values = append(columns, fmt.Sprintf("c%d %s", i, e.typ)), append(values, e.values[0])
			}
		}
		run(t, db, everyTypeSchema, "CREATE TABLE set_types ("+strings.Join(columns, ", ")+")", "CREATE VIEW slow AS SELECT g AS id, pg_sleep(0.2) IS NULL AS never FROM generate_series(1, 2) g",
			"CREATE TABLE waits (id int PRIMARY KEY, v text)")
		insert := "INSERT INTO set_types VALUES (" + strings.Join(values, ", ") + ")"
		run(t, db, insert)
		src, plain := openWith(t, server, odd(t, db)), openWith(t, server, func(*session.Settings) {})
		for _, table := range []string{"set_types", "slow"} {
			for _, ranges := range []bool{false, table != "slow"} {
				want, err := rowsOf(t, plain, tableOfName(t, plain, table), ranges)
				if err != nil {
					t.Fatal(err)
				}
				got, err := rowsOf(t, src, tableOfName(t, src, table), ranges)
				if err != nil || !slices.EqualFunc(got, want, slices.Equal) {
					t.Errorf("%s, ranges %v, %v:\n%q\nwant\n%q", table, ranges, err, got, want)
				}
			}
		}
		m := mirrorOf(t, src, "set_types", "waits")
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		run(t, tx, "INSERT INTO waits VALUES (0, 'open')") // the slot waits for it, longer than lock_timeout
		done := make(chan error, 1)
		go func() { done <- m.sync() }()
		servers.Await(t, db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'walsender' AND wait_event_type = 'Lock' AND state_change < clock_timestamp() - interval '0.5 s' OR NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'odd')")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatalf("%+v", err)
		}
		m.same()
		// Nor is one that waits while tables are read whole.
		idle := "SELECT bool_and(state_change < clock_timestamp() - interval '1 s') IS NOT FALSE FROM pg_stat_activity WHERE usename = 'odd'"
		m.tables, m.landed, m.between = map[string]*mirrored{}, "", func() { servers.Await(t, db, idle) }
		began := time.Now()
		m.synced()
		if took := time.Since(began); took > 50*time.Second {
			t.Errorf("a sync took %s: it waits for a standby that is not there", took)
		}
		m.between = nil
		// One transaction that takes longer to send than any limit.
		run(t, db, strings.Replace(insert, "VALUES (1,", "VALUES (2,", 1), "INSERT INTO waits SELECT g, repeat('x', 200) FROM generate_series(1, 100000) g", "UPDATE waits SET v = 'y'")
		m.synced()
		mirrored := m.tables["set_types"]
		want, err := rowsOf(t, plain, tableOfName(t, plain, "set_types"), false)
		if err != nil || len(want) != 2 || !slices.Equal(mirrored.rows["2"], want[1]) {
			t.Errorf("%v: %q, want %q", err, mirrored.rows["2"], want)
		}
		// A session that asks from time to time is not ended between.
		m.change = func(c *driver.Capture) { c.Continuous = true }
		log, err := m.capture(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		servers.Await(t, db, idle)
		run(t, db, "ALTER TABLE waits ADD w int")
		fails(t, capture.Altered(t.Context(), log), driver.ErrRetyped, "waits")
	}, "synchronous_standby_names=nobody", "synchronous_commit=local")
}
