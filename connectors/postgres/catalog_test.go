package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// settingsOf are those of a server's own account.
func settingsOf(server *servers.Server) session.Settings {
	return session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: server.User, Password: server.Password}, Port: server.Port, Database: server.Database}
}

// openWith opens the server's database with changed settings.
func openWith(t *testing.T, server *servers.Server, change func(*session.Settings)) *source {
	t.Helper()
	s := settingsOf(server)
	change(&s)
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	src, err := Driver{RangeBytes: smallRange}.Open(t.Context(), driver.Config{Settings: raw, Dial: new(net.Dialer).DialContext})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src.(*source)
}

// TestCatalog has what the catalog says beyond names and types.
func TestCatalog(t *testing.T) {
	server := servers.Postgres(t)
	fill(t, server.OpenPostgres, `
		CREATE ROLE reader LOGIN PASSWORD 'reader-pass-7391';
		CREATE TABLE payload (a int, b text, n int NOT NULL, PRIMARY KEY (b, a) INCLUDE (n));
		CREATE TABLE bare (iso text NOT NULL, x int, y int NOT NULL, UNIQUE (x), UNIQUE (iso, y)); CREATE UNIQUE INDEX ON bare (y) WHERE x > 1;
		CREATE TABLE parent (id int PRIMARY KEY, v text NOT NULL); CREATE TABLE plain () INHERITS (parent); CREATE TABLE more (extra int) INHERITS (parent); ALTER TABLE plain ALTER v DROP NOT NULL;
		INSERT INTO parent VALUES (1, 'a'); INSERT INTO plain VALUES (1, 'b'); INSERT INTO more VALUES (1, 'c', 5);
		CREATE SEQUENCE down INCREMENT -1; CREATE TABLE counted (id int PRIMARY KEY DEFAULT nextval('down'));
		CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE DOMAIN code AS char(3); CREATE TYPE mood AS ENUM ('ok');
		CREATE TABLE equal (n numeric PRIMARY KEY, d numeric(9,2), c code, i interval, j jsonb, f float8, u text COLLATE folded, t text, m mood, ts timestamp(0), tz timestamptz(3), day date, a int[]);
		CREATE VIEW looked AS SELECT 1 AS one; CREATE TABLE secret (id int); CREATE TABLE hollow ();
		CREATE TABLE ruled (id int); ALTER TABLE ruled ENABLE ROW LEVEL SECURITY; CREATE POLICY first_only ON ruled USING (id = 1); INSERT INTO ruled VALUES (1), (2);
		GRANT SELECT ON ruled TO reader; CREATE MATERIALIZED VIEW later AS SELECT 1 AS one WITH NO DATA; CREATE TABLE part (id int, hidden int); GRANT SELECT (id) ON part TO reader`)
	src := openWith(t, server, func(*session.Settings) {})
	table := func(name string) driver.Table { return tableOfName(t, src, name) }
	for name, want := range map[string][]string{"payload": {"b", "a"}, "bare": {"iso", "y"}, "parent": nil, "more": nil, "counted": {"id"}} {
		if got := table(name).PrimaryKey; !slices.Equal(got, want) {
			t.Errorf("the key of %s is %q, want %q", name, got, want)
		}
	}
	if got := table("counted").Cursor; got != "" {
		t.Errorf("numbers that count down are a cursor: %s", got)
	}
	for name, want := range map[string]driver.Equality{"n": driver.EqualNumbers, "d": "", "c": driver.EqualPadded, "i": driver.EqualIntervals, "t": "", "m": ""} {
		if c, _ := table("equal").Column(name); c.Equality != want {
			t.Errorf("%s is compared %q, want %q", name, c.Equality, want)
		}
	}
	for _, name := range []string{"j", "f", "u", "a"} {
		if c, _ := table("equal").Column(name); !strings.HasPrefix(string(c.Equality), driver.NotComparable) {
			t.Errorf("%s is compared %q, want a refusal", name, c.Equality)
		}
	}
	for name, want := range map[string]time.Duration{"ts": time.Second, "tz": time.Millisecond, "day": 24 * time.Hour, "n": 0} {
		if c, _ := table("equal").Column(name); c.Grain != want {
			t.Errorf("the grain of %s is %v, want %v", name, c.Grain, want)
		}
	}
	for name, want := range map[string]string{"plain": "parent", "hollow": "no columns"} {
		if got := table(name).LeftOut; !strings.Contains(got, want) {
			t.Errorf("%s is left out for %q, want %q", name, got, want)
		}
	}
	if v, _ := table("parent").Column("v"); !v.Nullable {
		t.Error("a column that may be NULL in a child is not nullable")
	}
	for name, want := range map[string]int{"parent": 2, "more": 1} {
		for _, ranges := range []bool{false, true} {
			if rows, err := rowsOf(t, src, table(name), ranges); err != nil || len(rows) != want {
				t.Errorf("%s has %v, %v, want %d rows", name, rows, err, want)
			}
		}
	}
	if notes := fmt.Sprint(table("later").Notes); !strings.Contains(notes, "REFRESH") {
		t.Errorf("a view without data is told of by %s", notes)
	}
	testReader(t, server)
	testIdentities(t, server, src)
}

// testReader has an account that may read some and sees a part of others.
func testReader(t *testing.T, server *servers.Server) {
	reader := func(s *session.Settings) { s.Username, s.Password = "reader", "reader-pass-7391" }
	src := openWith(t, server, reader)
	if got := tableOfName(t, src, "secret").LeftOut; !strings.Contains(got, "GRANT") {
		t.Errorf("a table that may not be read is left out for %q", got)
	}
	if notes := fmt.Sprint(tableOfName(t, src, "part").Notes); !strings.Contains(notes, "hidden") {
		t.Errorf("a column that may not be read is told of by %s", notes)
	}
	steps, err := src.CheckSteps(t.Context())
	if err != nil || !slices.ContainsFunc(steps, func(s driver.Step) bool { return strings.Contains(s.Message, "read from public.part") }) {
		t.Errorf("the check says %v, %v", steps, err)
	}
	if rows, err := rowsOf(t, src, tableOfName(t, src, "ruled"), false); !errors.Is(err, driver.ErrPermission) || !strings.Contains(err.Error(), "ruled") {
		t.Errorf("filtered rows came: %v, %v", rows, err)
	}
	src = openWith(t, server, func(s *session.Settings) { reader(s); s.RowSecurity = "filter" })
	if rows, err := rowsOf(t, src, tableOfName(t, src, "ruled"), false); err != nil || len(rows) != 1 {
		t.Errorf("the rows that the policy lets through: %v, %v", rows, err)
	}
	// An account that may not ask for the server's identifier goes by names.
	was := tableOfName(t, src, "part").Identity
	fill(t, server.OpenPostgres, "REVOKE EXECUTE ON FUNCTION pg_control_system(), pg_walfile_name(pg_lsn) FROM PUBLIC")
	src = openWith(t, server, reader)
	if now := tableOfName(t, src, "part").Identity; now == was || now == "" {
		t.Errorf("the identity is %q, with rights %q", now, was)
	}
	if _, err := rowsOf(t, src, tableOfName(t, src, "part"), false); err != nil {
		t.Error(err)
	}
	src = openWith(t, server, func(s *session.Settings) { s.Schemas = []string{"public", "pubilc"} })
	if err := src.Check(t.Context()); !errors.Is(err, driver.ErrNotFound) || !strings.Contains(err.Error(), "pubilc") {
		t.Errorf("a schema that is not there: %v", err)
	}
}

// testIdentities changes what a table or column is, and what it is not.
func testIdentities(t *testing.T, server *servers.Server, src *source) {
	column := func(name string) string {
		c, _ := tableOfName(t, src, "ids").Column(name)
		return c.Identity
	}
	fill(t, server.OpenPostgres, "CREATE TABLE ids (id int, v varchar(10), m mood, g int GENERATED ALWAYS AS (id + 1) STORED)")
	for _, c := range []struct {
		column, change string
		same           bool
	}{
		{"v", "ALTER TABLE ids ALTER v TYPE varchar(20)", true},
		{"v", "ALTER TABLE ids RENAME v TO w; ALTER TABLE ids RENAME w TO v; ALTER TABLE ids ALTER v SET NOT NULL", true},
		{"v", "ALTER TABLE ids DROP v; ALTER TABLE ids ADD v varchar(20)", false},
		{"v", "ALTER TABLE ids ALTER v TYPE text", false},
		{"m", "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'", false},
		{"g", "ALTER TABLE ids DROP g; ALTER TABLE ids ADD g int GENERATED ALWAYS AS (id + 2) STORED", false},
	} {
		was, table := column(c.column), tableOfName(t, src, "ids").Identity
		fill(t, server.OpenPostgres, c.change)
		if same := column(c.column) == was; same != c.same {
			t.Errorf("%s: the column is the same: %v, want %v", c.change, same, c.same)
		}
		if tableOfName(t, src, "ids").Identity != table {
			t.Errorf("%s: the table is another one", c.change)
		}
	}
}

// TestSessions has settings of the account that change what a SELECT returns.
func TestSessions(t *testing.T) {
	server := servers.Postgres(t)
	fill(t, server.OpenPostgres, `
		CREATE SCHEMA shop; CREATE TABLE shop.rate (f int); INSERT INTO shop.rate VALUES (3);
		CREATE FUNCTION shop.rated() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT f FROM rate); END $$;
		CREATE VIEW shop.v AS SELECT shop.rated() AS f, '2026-01-01 23:30Z'::timestamptz::date AS d FROM pg_sleep(0.2);
		CREATE TABLE shop.t (p money, a money[], i interval, f float8, ch "char", d date); INSERT INTO shop.t VALUES (1234.5, '{1,2.5}', '1 day', 0.1, 'x', '2026-02-03');
		CREATE ROLE odd LOGIN PASSWORD 'odd-pass-3310' CONNECTION LIMIT 1; GRANT USAGE ON SCHEMA shop TO odd; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO odd;
		ALTER ROLE odd SET search_path = shop; ALTER ROLE odd SET TimeZone = 'Asia/Tokyo'; ALTER ROLE odd SET statement_timeout = '100ms'; ALTER ROLE odd SET DateStyle = 'SQL, DMY';
		ALTER ROLE odd SET IntervalStyle = 'sql_standard'; ALTER ROLE odd SET extra_float_digits = -5; ALTER ROLE odd SET bytea_output = 'escape'; ALTER ROLE odd SET default_transaction_read_only = off;
		CREATE TABLE shop.big AS SELECT g AS id, repeat('x', 500) AS pad FROM generate_series(1, 3000) g; GRANT SELECT ON shop.big TO odd`)
	src := openWith(t, server, func(s *session.Settings) { s.Username, s.Password = "odd", "odd-pass-3310" })
	for name, want := range map[string]string{"v": "[[3 2026-01-02]]", "t": "[[1234.50 [1.00,2.50] P1D 0.1 x 2026-02-03]]"} {
		if rows, err := rowsOf(t, src, tableOfName(t, src, name), false); err != nil || fmt.Sprint(rows) != want {
			t.Errorf("%s has %v, %v, want %s", name, rows, err, want)
		}
	}
	// The account has one connection, and the table several ranges.
	took := time.Duration(math.MaxInt64)
	for try := 0; try < 3 && took > joinLimit; try++ { // no other is waited for; a busy machine may be slow once
		began := time.Now()
		rows, err := rowsOf(t, src, tableOfName(t, src, "big"), true)
		if err != nil || len(rows) != 3000 {
			t.Errorf("over one connection: %d rows, %v", len(rows), err)
		}
		took = time.Since(began)
	}
	if took > joinLimit {
		t.Errorf("over one connection it takes %v", took)
	}
	// A second source waits for the connection, and has it when it is free.
	other := openWith(t, server, func(s *session.Settings) { s.Username, s.Password = "odd", "odd-pass-3310" })
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := other.Discover(short); !errors.Is(err, session.ErrTooManyConnections) {
		t.Errorf("no connection is free: %v", err)
	}
	src.Close()
	if _, err := other.Discover(t.Context()); err != nil {
		t.Errorf("a connection is free: %v", err)
	}
}

// TestPreparedPassword has a password whose form for SCRAM is another one.
func TestPreparedPassword(t *testing.T) {
	server := servers.Postgres(t)
	fill(t, server.OpenPostgres, "CREATE ROLE meter LOGIN PASSWORD 'area12m²'")
	src := openWith(t, server, func(s *session.Settings) { s.Username, s.Password = "meter", "area12m²" })
	if err := src.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
