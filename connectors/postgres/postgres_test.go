package postgres

import (
	"database/sql"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

const schema = ledger + `
CREATE SCHEMA "odd ""name"; CREATE SCHEMA hidden;
CREATE DOMAIN shop.amount AS numeric(12,3); CREATE DOMAIN shop.price AS shop.amount;
CREATE TYPE shop.mood AS ENUM ('ok', 'sad');
CREATE TABLE shop.every (
  id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(15,2), n38 numeric(38,10), free numeric, neg numeric(5,-2), p shop.price,
  t text, v varchar(20), c char(5), raw bytea, d date, tm time, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, arr int[], m shop.mood, iv interval, ip inet);
COMMENT ON COLUMN shop.every.t IS 'any text';
INSERT INTO shop.every VALUES
  (1, true, -32768, 9223372036854775807, 1.5, 0.1, 12345.60, -1234567890123456789012345678.0123456789, 1e-20, 12300, 5.125,
   'Grüße', 'v', 'ab', '\x00ff', '1969-12-31', '23:59:59.999999', '1999-12-31 23:59:59.5', '2024-02-29 12:00:00.000001+02', '00112233-4455-6677-8899-aabbccddeeff', '{"a": 1}', '{"b":[1,2]}', '{1,NULL,3}', 'sad', '1 day 2 hours', '10.0.0.1/8'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, false, 0, -9223372036854775808, 'NaN', '-Infinity', -0.01, 0.0000000001, 'NaN', -100, 0, '', '', '', '', '0001-01-01', '00:00', '0001-01-01', '9999-12-31 23:59:59.999999+00', '00000000-0000-0000-0000-000000000000', 'null', '"x"', '{}', 'ok', '-1 month', '::1');
CREATE TABLE shop.events (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL, seen date, tag text, code varchar(9), amount numeric(9,2), u uuid);
INSERT INTO shop.events SELECT i, '2024-01-01'::timestamptz + (i/4) * interval '1 hour', CASE WHEN i % 5 > 0 THEN '2024-01-01'::date + i/3 END,
  CASE WHEN i % 4 > 0 THEN chr(65 + i % 3) || chr(97 + i % 2) END, CASE WHEN i < 17 THEN NULL ELSE 'É''\' END, (i / 2) * 1.5, ('00000000-0000-0000-0000-0000000000' || lpad((i/2)::text, 2, '0'))::uuid
  FROM generate_series(1, 20) i;
CREATE TABLE shop.empty (a int, b text, PRIMARY KEY (b, a));
CREATE TABLE shop.nothing ();
CREATE TABLE shop.infinite (id int, until timestamptz);  INSERT INTO shop.infinite VALUES (1, now()), (2, 'infinity');
CREATE TABLE shop.endless (id int, d date);              INSERT INTO shop.endless VALUES (1, '-infinity');
CREATE TABLE shop.nan (n numeric(5,2));                  INSERT INTO shop.nan VALUES ('NaN');
CREATE TABLE shop.midnight (t time);                     INSERT INTO shop.midnight VALUES ('24:00');
CREATE TABLE shop.parts (id int NOT NULL, region text NOT NULL) PARTITION BY LIST (region);
CREATE TABLE shop.parts_eu PARTITION OF shop.parts FOR VALUES IN ('eu'); CREATE TABLE shop.parts_us PARTITION OF shop.parts FOR VALUES IN ('us');
INSERT INTO shop.parts VALUES (1, 'eu'), (2, 'us');
CREATE VIEW shop.v AS SELECT id, region FROM shop.parts WHERE id > 1;
CREATE MATERIALIZED VIEW shop.mv AS SELECT count(*) AS n FROM shop.parts;
CREATE TABLE "odd ""name"."Sel;ect 'x'" ("A ""b""" int NOT NULL, "from" text); INSERT INTO "odd ""name"."Sel;ect 'x'" VALUES (1, 'x');
CREATE TABLE hidden.secret (a int);
CREATE VIEW shop.large AS SELECT i::int AS id, repeat('x', 200) AS pad FROM (SELECT generate_series(1, 100000000) AS i) s; -- longer than a test waits
CREATE ROLE reader LOGIN PASSWORD 'reader-pass-7391'; CREATE ROLE pauper LOGIN PASSWORD 'pauper-pass-7391';
GRANT USAGE ON SCHEMA shop, "odd ""name" TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA shop, "odd ""name" TO reader;
ANALYZE shop.events;
`

func fill(t *testing.T, open func() (*sql.DB, error), statements string) {
	t.Helper()
	db, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

func TestPostgres(t *testing.T) {
	server := servers.Postgres(t)
	fill(t, server.OpenPostgres, schema)
	with := func(change func(*session.Settings)) session.Settings {
		s := session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: "reader", Password: "reader-pass-7391"}, Port: server.Port, Database: server.Database}
		change(&s)
		return s
	}
	drivertest.Run(t, drivertest.Harness{
		Driver: Driver{RangeBytes: smallRange}, Settings: with(func(*session.Settings) {}), Exact: true,
		Divided: divided(t, server),
		Secrets: []string{"reader-pass-7391", "pauper-pass-7391", "wrong-pass-5520"},
		Bad: []drivertest.Bad{
			{Name: "password", Settings: with(func(s *session.Settings) { s.Password = "wrong-pass-5520" }), Kind: driver.ErrAuthentication},
			{Name: "no password", Settings: with(func(s *session.Settings) { s.Password = "" }), Kind: driver.ErrAuthentication},
			{Name: "user", Settings: with(func(s *session.Settings) { s.Username = "nobody" }), Kind: driver.ErrAuthentication},
			{Name: "two users", Settings: with(func(s *session.Settings) { s.User = "other" }), Kind: driver.ErrInvalidConfig},
			{Name: "no user", Settings: with(func(s *session.Settings) { s.Username = "" }), Kind: driver.ErrInvalidConfig},
			{Name: "database", Settings: with(func(s *session.Settings) { s.Database = "missing" }), Kind: driver.ErrNotFound},
			{Name: "permission", Settings: with(func(s *session.Settings) { s.Username, s.Password = "pauper", "pauper-pass-7391" }), Kind: driver.ErrPermission},
			{Name: "tls", Settings: with(func(s *session.Settings) { s.SSLMode = "require" }), Kind: driver.ErrUnreachable},
			{Name: "no certificate", Settings: with(func(s *session.Settings) { s.CACertificate = "x" }), Kind: driver.ErrInvalidConfig},
			{Name: "unknown key", Settings: map[string]any{"host": "h", "service": "x"}, Kind: driver.ErrInvalidConfig},
			{Name: "not postgres", Settings: with(func(s *session.Settings) { s.Port = chatter(t) }), Kind: driver.ErrUnreachable},
		},
		Large: "shop.large", LargeRows: 200000,
		Tables: expected(),
	})
	t.Run("options", func(t *testing.T) { testSettings(t, with) })
}

// chatter listens and answers nonsense.
func chatter(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			conn.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func testSettings(t *testing.T, with func(func(*session.Settings)) session.Settings) {
	t.Setenv("PGHOST", "192.0.2.1") // no environment reaches a source
	t.Setenv("PGUSER", "somebody")
	t.Setenv("PGPASSWORD", "environment")
	t.Setenv("PGSSLMODE", "verify-full")
	t.Setenv("PGOPTIONS", "-c default_transaction_isolation=serializable")
	raw, err := json.Marshal(with(func(s *session.Settings) { s.Schemas, s.SSLMode = []string{`odd "name`}, "disable" }))
	if err != nil {
		t.Fatal(err)
	}
	src, err := Driver{}.Open(t.Context(), driver.Config{Settings: raw, Dial: (&net.Dialer{}).DialContext})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	tables, err := src.Discover(t.Context())
	if err != nil || len(tables) != 1 || tables[0].Namespace != `odd "name` {
		t.Errorf("Discover = %v, %v, want the one table of the listed schema", tables, err)
	}
	steps, err := src.(driver.Stepper).CheckSteps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, step := range steps {
		names = append(names, step.Name)
	}
	if got := strings.Join(names, " "); got != "connect authenticate permissions read changes" {
		t.Errorf("steps %s", got)
	}
	// A cursor that is no value of its column must be refused, not passed on.
	large := driver.Table{Namespace: "shop", Name: "large", Columns: []driver.Column{{Name: "id", Type: driver.Of(driver.Int32), Nullable: true}}}
	for name, c := range map[string]struct {
		table driver.Table
		value string
		kind  error
	}{
		"value": {large, "1; DROP TABLE x", driver.ErrInvalidConfig},
		"type":  {driver.Table{Namespace: "shop", Name: "large", Columns: []driver.Column{{Name: "id", Type: driver.Of(driver.String)}}}, "1", driver.ErrBadData},
	} {
		for b, err := range src.Read(t.Context(), c.table, driver.Cursor{Column: "id", Value: &c.value}) {
			if b.Record != nil {
				t.Fatalf("%s: rows came", name)
			}
			var typed *driver.Error
			if typed, _ = err.(*driver.Error); typed == nil || typed.Kind != c.kind {
				t.Errorf("%s: %v, want %v", name, err, c.kind)
			}
		}
	}
}

func itoa(i int) string { return strconv.Itoa(i) }
