package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
	"headwater/connectors/sqldb"
)

const schema = "SET time_zone = '+00:00'; SET sql_mode = '';" + `
CREATE DATABASE other;
CREATE TABLE every (
  id int PRIMARY KEY, ti tinyint(1), tu tinyint unsigned, si smallint, mi mediumint, iu int unsigned, b bigint, bu bigint unsigned,
  d decimal(15,2), dd decimal(38,10), big decimal(65,30), f float, g double, bits bit(9), one bit(1), wide bit(64), y year, dt date, tm time, t6 time(6),
  ts timestamp(6) NULL, dtm datetime, j json, c char(5), v varchar(20) COMMENT 'any text', tx text, bin varbinary(9), bl blob, e enum('a','b'), s set('x','y'), u uuid, g0 point);
INSERT INTO every VALUES
 (1, 2, 255, -32768, -8388608, 4294967295, -9223372036854775808, 18446744073709551615, -12345.6, 1234567890123456789012345678.0123456789, 1e-30,
  16777217, 0.1, b'101010101', b'1', 18446744073709551615, 2024, '1969-12-31', '-838:59:59', '12:34:56.789', '2024-02-29 10:00:00.000001', '1000-01-01 00:00:00',
  '{"a": [1, "ü"]}', 'ab', 'Grüße', 'x', x'00ff', x'0a', 'b', 'x,y', '00112233-4455-6677-8899-aabbccddeeff', ST_GeomFromText('POINT(1 2)')),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE events (id bigint unsigned PRIMARY KEY, updated_at timestamp(6) NOT NULL, seen date, tag varchar(9) COLLATE utf8mb4_general_ci, code char(4), amount decimal(9,2), u uuid, at datetime(3)) ENGINE=InnoDB;
INSERT INTO events SELECT seq, '2024-01-01' + INTERVAL seq DIV 4 HOUR, IF(seq % 5, '2024-01-01' + INTERVAL seq DIV 3 DAY, NULL), IF(seq % 4, CONCAT(CHAR(65 + seq % 3), CHAR(97 + seq % 2)), NULL),
  IF(seq < 17, NULL, 'É''\'), (seq DIV 2) * 1.5, CONCAT('00000000-0000-4000-8000-0000000000', LPAD(seq DIV 2, 2, '0')), '2024-01-01 00:00:00.5' FROM seq_1_to_20;
CREATE TABLE blanks (k varchar(5) NOT NULL); INSERT INTO blanks VALUES ('a'), ('a '), ('A'), ('ä'), ('b'), ('a '), ('');
CREATE TABLE empty (a int NOT NULL, b varchar(3) NOT NULL, PRIMARY KEY (b, a));
CREATE TABLE zero_date (d date); INSERT INTO zero_date VALUES ('2024-01-01'), ('0000-00-00');
CREATE TABLE zero_month (d datetime); INSERT INTO zero_month VALUES ('2024-00-10 00:00:00');
CREATE TABLE divided (id bigint PRIMARY KEY, n int NOT NULL, pad varchar(100) NOT NULL);
INSERT INTO divided SELECT seq * 3, seq, CONCAT('row ', seq, REPEAT('.', 60)) FROM seq_1_to_3000; ANALYZE TABLE divided;
CREATE TABLE other.again AS SELECT id DIV 3 AS seq FROM divided;
CREATE VIEW seen AS SELECT id, tag FROM events WHERE id > 19;
CREATE TABLE ` + "`odd ``name 'x'; --` (`a ``b` int NOT NULL, `select` text); INSERT INTO `odd ``name 'x'; --` VALUES (1, 'x');" + `
CREATE VIEW large AS SELECT seq AS id, REPEAT('x', 200) AS pad FROM seq_1_to_100000000;
CREATE TABLE other.t (a int);
CREATE USER reader IDENTIFIED BY 'reader-pass-7391'; GRANT SELECT ON headwater.* TO reader;
CREATE USER pauper IDENTIFIED BY 'pauper-pass-7391'; GRANT INSERT ON headwater.* TO pauper;
`

func TestMariaDB(t *testing.T) {
	conform(t, servers.MariaDBWith(t, "--log-bin=log", "--server-id=7"), schema, expected(false))
}

// schemaOfMySQL is schema without what MySQL lacks: the type uuid, and sequences.
var schemaOfMySQL = strings.NewReplacer(
	"TABLE empty", "TABLE `empty`", "u uuid, ", "", ", 'x,y', '00112233-4455-6677-8899-aabbccddeeff'", ", 'x,y'", "(2, NULL, ", "(2, ",
	", CONCAT('00000000-0000-4000-8000-0000000000', LPAD(seq DIV 2, 2, '0'))", "",
	"seq_1_to_20", "(SELECT n AS seq FROM thousand WHERE n <= 20) s",
	"seq_1_to_3000", "(SELECT a.n + b.n * 1000 - 1000 AS seq FROM thousand a, thousand b WHERE b.n <= 3) s",
	"SELECT seq AS id, REPEAT('x', 200) AS pad FROM seq_1_to_100000000", "SELECT (a.n - 1) * 1000000 + (b.n - 1) * 1000 + c.n AS id, REPEAT('x', 200) AS pad FROM thousand a, thousand b, thousand c",
).Replace("CREATE TABLE thousand (n int NOT NULL); INSERT INTO thousand WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 1000) SELECT n FROM r;" + schema)

func TestMySQL(t *testing.T) {
	conform(t, servers.MySQL(t), schemaOfMySQL, expected(true))
}

// conform has a server's tables read by every rule of drivertest.
func conform(t *testing.T, server *servers.Server, schema string, tables []drivertest.Expected) {
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), strings.ReplaceAll(schema, `É''\'`, `É''\\'`)); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*session.Settings)) session.Settings {
		s := session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: "reader", Password: "reader-pass-7391"}, Port: server.Port, Database: server.Database}
		change(&s)
		return s
	}
	run := func(statements string) func(context.Context) error {
		var one sync.Mutex // InnoDB would end one of two with a deadlock
		return func(ctx context.Context) error {
			one.Lock()
			defer one.Unlock()
			_, err := db.ExecContext(ctx, statements)
			return err
		}
	}
	if err := run("DO SLEEP(1.1)")(t.Context()); err != nil { // a time of creation within its own second is a sign of change
		t.Fatal(err)
	}
	// A MySQL does not say where its log stands for a snapshot, so a range is kept only if
	// the table's last change lies some seconds back.
	settle := run("DO (SELECT SLEEP(6) FROM DUAL WHERE VERSION() NOT LIKE '%MariaDB%')")
	drivertest.Run(t, drivertest.Harness{
		Driver: smallRanges{}, Settings: with(func(*session.Settings) {}), Exact: true,
		Secrets: []string{"reader-pass-7391", "pauper-pass-7391", "wrong-pass-5520"},
		Bad: []drivertest.Bad{
			{Name: "password", Settings: with(func(s *session.Settings) { s.Password = "wrong-pass-5520" }), Kind: driver.ErrAuthentication},
			{Name: "no password", Settings: with(func(s *session.Settings) { s.Password = "" }), Kind: driver.ErrAuthentication},
			{Name: "no user", Settings: with(func(s *session.Settings) { s.Username = "" }), Kind: driver.ErrInvalidConfig},
			{Name: "database", Settings: with(func(s *session.Settings) {
				s.Database, s.Username, s.Password = "missing", server.User, server.Password
			}), Kind: driver.ErrNotFound},
			{Name: "database of others", Settings: with(func(s *session.Settings) { s.Database = "other" }), Kind: driver.ErrPermission},
			{Name: "option in a name", Settings: with(func(s *session.Settings) { s.Database = "headwater?allowAllFiles=true" }), Kind: driver.ErrPermission},
			{Name: "permission", Settings: with(func(s *session.Settings) { s.Username, s.Password = "pauper", "pauper-pass-7391" }), Kind: driver.ErrPermission},
			{Name: "tls", Settings: with(func(s *session.Settings) { s.SSLMode = "verify-full" }), Kind: driver.ErrUnreachable},
			{Name: "unknown key", Settings: map[string]any{"host": "h", "allowAllFiles": true}, Kind: driver.ErrInvalidConfig},
		},
		Large: "headwater.large", LargeRows: 200000,
		Tables: tables,
		Divided: &drivertest.Divided{
			Table: "headwater.divided", Settle: settle, Write: run(`INSERT INTO divided SELECT MAX(id) + 3, 0, UUID() FROM divided; INSERT INTO divided SELECT MIN(id) - 3, 0, UUID() FROM divided;
UPDATE divided SET n = n + 1 WHERE id MOD 7 = 0; DELETE FROM divided ORDER BY id LIMIT 2; DELETE FROM divided WHERE id > 4000 ORDER BY id LIMIT 1`),
			Changes: []drivertest.Change{
				{Name: "nothing", Apply: run("DO 1"), Keep: drivertest.KeepAll},
				{Name: "insert below and above", Apply: run("INSERT INTO divided VALUES (-1000000, 1, 'below'), (1000000000, 2, 'above')")},
				{Name: "insert between", Apply: run("INSERT INTO divided VALUES (4501, 1, 'between')")},
				{Name: "update", Apply: run("UPDATE divided SET n = n + 1")},
				{Name: "delete", Apply: run("DELETE FROM divided WHERE id BETWEEN 4500 AND 4600")},
				{Name: "empty", Apply: run("DELETE FROM divided")},
				{Name: "fill anew", Apply: run("INSERT INTO divided SELECT seq * 1000000, seq, CONCAT('new ', seq, REPEAT('.', 60)) FROM other.again; ANALYZE TABLE divided")},
				{Name: "another table of that name", Apply: run(`CREATE TABLE next LIKE divided; INSERT INTO next SELECT id, n + 1, pad FROM divided;
DO (SELECT SLEEP(2) FROM information_schema.TABLES WHERE TABLE_NAME = 'divided' AND CREATE_TIME >= NOW() - INTERVAL 1 SECOND); -- the catalog's clock ticks in seconds
DROP TABLE divided; CREATE TABLE divided (id bigint PRIMARY KEY, n int NOT NULL, pad varchar(100) NOT NULL); INSERT INTO divided SELECT * FROM next; DROP TABLE next`)},
			},
		},
	})
}

// smallRanges is the driver with ranges so small that tests have many.
type smallRanges struct{ Driver }

func (d smallRanges) Open(ctx context.Context, cfg driver.Config) (driver.Source, error) {
	src, err := d.Driver.Open(ctx, cfg)
	if err == nil {
		src.(*source).rangeSize = 32 << 10
	}
	return src, err
}

// columns reads "name:type" or "name:type?" for a nullable one, with what the
// server calls the type behind a slash.
func columns(specs ...string) []driver.Column {
	var all []driver.Column
	for _, spec := range specs {
		spec, source, _ := strings.Cut(spec, "/")
		name, typ, _ := strings.Cut(spec, ":")
		typ, nullable := strings.CutSuffix(typ, "?")
		parsed, err := driver.ParseType(typ)
		if err != nil {
			panic(err)
		}
		all = append(all, driver.Column{Name: name, Type: parsed, SourceType: source, Nullable: nullable})
	}
	return all
}

// expected returns the tables of schema, or those of schemaOfMySQL.
func expected(mysql bool) []drivertest.Expected {
	const null = drivertest.Null
	table := func(name string, rows [][]string, specs ...string) drivertest.Expected {
		return drivertest.Expected{Table: driver.Table{Namespace: "headwater", Name: name, Kind: "table", Columns: columns(specs...)}, Rows: rows}
	}
	every := table("every", nil,
		"id:int32/int(11)", "ti:int32?/tinyint(1)", "tu:int32?", "si:int32?", "mi:int32?", "iu:int64?", "b:int64?", "bu:decimal(20,0)?/bigint(20) unsigned",
		"d:decimal(15,2)?", "dd:decimal(38,10)?", "big:string?/decimal(65,30)", "f:float32?", "g:float64?", "bits:int64?", "one:boolean?", "wide:decimal(20,0)?", "y:int32?", "dt:date?", "tm:string?", "t6:string?",
		"ts:timestamptz?", "dtm:timestamp?", "j:json?/longtext", "c:string?", "v:string?", "tx:string?", "bin:bytes?", "bl:bytes?", "e:string?", "s:string?", "u:uuid?", "g0:bytes?/point")
	every.Table.PrimaryKey, every.Table.Cursor = []string{"id"}, "id"
	every.Cursors = []string{"id", "bits", "wide", "bu"}
	nulls := make([]string, len(every.Table.Columns))
	for i := range nulls {
		nulls[i] = null
		if every.Table.Columns[i].Name == "v" {
			every.Table.Columns[i].Comment = "any text"
		}
	}
	nulls[0] = "2"
	every.Rows = [][]string{
		{"1", "2", "255", "-32768", "-8388608", "4294967295", "-9223372036854775808", "18446744073709551615", "-12345.60", "1234567890123456789012345678.0123456789", "0.000000000000000000000000000001",
			"1.6777216e+07", "0.1", "341", "true", "18446744073709551615", "2024", "1969-12-31", "-838:59:59", "12:34:56.789000", "2024-02-29T10:00:00.000001Z", "1000-01-01T00:00:00.000000",
			`{"a": [1, "ü"]}`, "ab", "Grüße", "x", "00ff", "0a", "b", "x,y", "00112233-4455-6677-8899-aabbccddeeff", "000000000101000000000000000000f03f0000000000000040"},
		nulls,
	}
	events := table("events", nil, "id:decimal(20,0)", "updated_at:timestamptz/timestamp(6)", "seen:date?", "tag:string?", "code:string?", "amount:decimal(9,2)?", "u:uuid?", "at:timestamp?")
	events.Table.PrimaryKey, events.Table.Cursor = []string{"id"}, "updated_at"
	events.Cursors = []string{"id", "updated_at", "seen", "tag", "code", "amount", "u", "at"}
	for i := 1; i <= 20; i++ {
		seen, tag, code := null, null, `É'\`
		if i%5 > 0 {
			seen = fmt.Sprintf("2024-01-%02d", 1+i/3)
		}
		if i%4 > 0 {
			tag = string([]byte{byte(65 + i%3), byte(97 + i%2)})
		}
		if i < 17 {
			code = null
		}
		half := i / 2
		events.Rows = append(events.Rows, []string{fmt.Sprint(i), fmt.Sprintf("2024-01-01T%02d:00:00.000000Z", i/4), seen, tag, code,
			fmt.Sprintf("%d.%02d", half*3/2, half%2*50), fmt.Sprintf("00000000-0000-4000-8000-0000000000%02d", half), "2024-01-01T00:00:00.500000"})
	}
	blanks := table("blanks", [][]string{{"a"}, {"a "}, {"A"}, {"ä"}, {"b"}, {"a "}, {""}}, "k:string")
	blanks.Cursors = []string{"k"}
	empty := table("empty", nil, "a:int32", "b:string")
	empty.Table.PrimaryKey, empty.Cursors = []string{"b", "a"}, []string{"a", "b"}
	date, month := table("zero_date", nil, "d:date?"), table("zero_month", nil, "d:timestamp?")
	date.Broken, month.Broken = driver.ErrBadData, driver.ErrBadData
	divided := table("divided", nil, "id:int64", "n:int32", "pad:string")
	divided.Table.PrimaryKey, divided.Table.Cursor = []string{"id"}, "id"
	for i := 1; i <= 3000; i++ {
		divided.Rows = append(divided.Rows, []string{fmt.Sprint(3 * i), fmt.Sprint(i), fmt.Sprintf("row %d%s", i, strings.Repeat(".", 60))})
	}
	view := table("seen", [][]string{{"20", null}}, "id:decimal(20,0)", "tag:string?")
	view.Table.Kind, view.Table.RowEstimate = "view", -1
	odd := table("odd `name 'x'; --", [][]string{{"1", "x"}}, "a `b:int32", "select:string?")
	odd.Cursors = []string{"a `b"}
	all := []drivertest.Expected{every, events, blanks, divided, empty, date, month, view, odd}
	if !mysql {
		return all
	}
	for i := range all {
		of := &all[i]
		at := slices.IndexFunc(of.Table.Columns, func(c driver.Column) bool { return c.Name == "u" })
		if at >= 0 {
			of.Table.Columns = slices.Delete(of.Table.Columns, at, at+1)
			for i, row := range of.Rows {
				of.Rows[i] = slices.Delete(slices.Clone(row), at, at+1)
			}
			of.Cursors = slices.DeleteFunc(of.Cursors, func(name string) bool { return name == "u" })
		}
		for i, c := range of.Table.Columns {
			of.Table.Columns[i].SourceType = strings.NewReplacer("int(11)", "int", "bigint(20)", "bigint", "longtext", "json").Replace(c.SourceType)
		}
	}
	thousand := table("thousand", nil, "n:int32")
	thousand.Cursors = []string{"n"}
	for i := range 1000 {
		thousand.Rows = append(thousand.Rows, []string{fmt.Sprint(i + 1)})
	}
	return append(all, thousand)
}
