package mysql

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

// What an administrator, or a client's init_connect, may have set for sessions
// like ours.
const hostile = `SET GLOBAL sql_select_limit = 1, max_join_size = 1, sql_big_selects = 0, max_statement_time = 0.5, group_concat_max_len = 4,
  sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,EMPTY_STRING_IS_NULL', time_zone = '+05:30', system_versioning_asof = '2020-01-01 00:00:00', sql_auto_is_null = 1, autocommit = 0,
  tx_isolation = 'READ-UNCOMMITTED', completion_type = 'RELEASE', net_write_timeout = 1, max_sort_length = 64, max_error_count = 0, lc_messages = 'de_DE', idle_transaction_timeout = 1, max_allowed_packet = 1048576,
  init_connect = 'SET NAMES latin1, SESSION sql_select_limit = 0, div_precision_increment = 0, lc_time_names = ''de_DE'', timestamp = 1, old_mode = ''ZERO_DATE_TIME_CAST'', default_week_format = 3';`

const hostileTables = `SET NAMES utf8mb4; SET sql_mode = '';
CREATE TABLE many (id int PRIMARY KEY, v varchar(300)); INSERT INTO many SELECT seq, REPEAT('x', 200) FROM seq_1_to_20000;
CREATE TABLE padded (id int PRIMARY KEY, c char(9), e varchar(9)); INSERT INTO padded VALUES (1, 'ab', '');
CREATE TABLE zoned (id int PRIMARY KEY, at timestamp(6) NULL); SET time_zone = '+00:00'; INSERT INTO zoned VALUES (1, '2024-02-29 10:00:00.000001');
CREATE TABLE versioned (id int PRIMARY KEY, v int) WITH SYSTEM VERSIONING; INSERT INTO versioned VALUES (1, 1), (2, 2); UPDATE versioned SET v = 3 WHERE id = 1;
CREATE TABLE ` + "`größe 表` (id int PRIMARY KEY, `länge` int, t varchar(9)); INSERT INTO `größe 表` VALUES (1, 7, 'ü表😀');" + `
CREATE TABLE letters (id int PRIMARY KEY, body longtext CHARACTER SET gbk, l longtext CHARACTER SET latin1); INSERT INTO letters VALUES (1, REPEAT('a', 2000000), REPEAT('b', 2000000)), (2, _gbk x'B0A1', 'ü?'), (3, CONCAT(REPEAT('?', 1200000), _gbk x'B0A1'), NULL);
CREATE TABLE japanese (id int PRIMARY KEY, s varchar(40) CHARACTER SET sjis, c varchar(40) CHARACTER SET cp932);
INSERT INTO japanese VALUES (1, _sjis x'433A5C64617461', _cp932 x'ED40'), (2, _sjis x'3F5C3F', _cp932 x'FA5C3F');
CREATE TABLE years (id int PRIMARY KEY, y YEAR(2), y4 YEAR(4)); INSERT INTO years VALUES (1, 2024, 2024), (2, 1999, 1999), (3, 2000, 2000), (4, 70, 1970), (5, NULL, 0);
CREATE VIEW views AS SELECT (SELECT GROUP_CONCAT(v SEPARATOR '') FROM many WHERE id <= 3) AS g, (SELECT COUNT(*) FROM many a JOIN many b ON a.id = b.id) AS n, 1 / 3 AS q, DATE_FORMAT('2024-03-01', '%M') AS m, NOW() > '2024-01-01' AS later, WEEK('2024-01-01') AS w;
CREATE USER guest IDENTIFIED BY 'guest-pass-4410'; GRANT SELECT ON headwater.* TO guest;`

// openHostile fills a server with tables, then sets what changes results for
// everybody, and opens it as an account without rights to set globals.
func openHostile(t *testing.T, options ...string) (*source, map[string]driver.Table, *sql.DB) {
	t.Helper()
	server := servers.MariaDBWith(t, append([]string{"--max-allowed-packet=16M"}, options...)...)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, statements := range []string{hostileTables, hostile} {
		if _, err := db.ExecContext(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	src := openSource(t, settingsOf(server, func(s *session.Settings) { s.Username, s.Password = "guest", "guest-pass-4410" }))
	found, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]driver.Table{}
	for _, table := range found {
		tables[table.Name] = table
	}
	return src, tables, db
}

// A session reads what its owner reads, whatever is set for it.
func TestHostileSession(t *testing.T) {
	src, tables, _ := openHostile(t, "--skip-character-set-client-handshake", "--character-set-server=latin1")
	if rows := keysOf(t, src.Read(t.Context(), tables["many"], driver.Cursor{})); len(rows) != 20000 {
		t.Errorf("%d rows of 20000", len(rows))
	}
	src.rangeSize = 1 << 20
	scan, err := src.Scan(t.Context(), tables["many"], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer scan.Close()
	read := 0
	for _, r := range scan.Unread() {
		read += len(keysOf(t, scan.Read(t.Context(), r)))
	}
	if read != 20000 {
		t.Errorf("%d rows of 20000 in ranges", read)
	}
	for name, want := range map[string][]string{
		"padded":    {"1|ab|"},
		"zoned":     {"1|2024-02-29T10:00:00.000001Z"},
		"versioned": {"1|3", "2|2"},
		"größe 表":   {"1|7|ü表😀"},
		"letters":   {"1|" + strings.Repeat("a", 2000000) + "|" + strings.Repeat("b", 2000000), "2|啊|ü?", "3|" + strings.Repeat("?", 1200000) + "啊|\x00NULL"},
		"japanese":  {`1|C:\data|纊`, `2|?\?|纊?`},
		"years":     {"1|2024|2024", "2|1999|1999", "3|2000|2000", "4|1970|1970", "5|\x00NULL|0"},
		"views":     {strings.Repeat("x", 600) + "|20000|0.3333|March|1|0"},
	} {
		t.Run(name, func(t *testing.T) { same(t, want, keysOf(t, src.Read(t.Context(), tables[name], driver.Cursor{}))) })
	}
}

const brokenTables = `CREATE TABLE good (id int PRIMARY KEY, v int); INSERT INTO good VALUES (1, 1), (2, 2);
CREATE TABLE part1 (id int, KEY (id)) ENGINE=MyISAM; CREATE TABLE aa_all (id int, KEY (id)) ENGINE=MERGE UNION=(part1, part_gone);
CREATE TABLE ab_crashed (id int, KEY (id)) ENGINE=MyISAM; INSERT INTO ab_crashed SELECT seq FROM seq_1_to_1000; FLUSH TABLES;
CREATE TABLE gone (id int PRIMARY KEY); CREATE VIEW v_gone AS SELECT * FROM gone; DROP TABLE gone;
CREATE VIEW twice AS SELECT id, (SELECT v FROM good) AS two FROM good;
CREATE VIEW cut AS SELECT REPEAT('x', 20000000) AS v FROM good;
CREATE VIEW loose AS SELECT id FROM good WHERE 'abc' + id = 1;
CREATE USER leaver@localhost; GRANT SELECT ON headwater.* TO leaver@localhost; CREATE DEFINER = leaver@localhost VIEW v_left AS SELECT * FROM good; DROP USER leaver@localhost;
CREATE TABLE partly (id int PRIMARY KEY, secret int); INSERT INTO partly VALUES (1, 2);
CREATE USER guest IDENTIFIED BY 'guest-pass-4410'; GRANT SELECT ON headwater.good TO guest; GRANT SELECT (id), INSERT (secret) ON headwater.partly TO guest; GRANT SELECT ON headwater.v_left TO guest; GRANT SELECT ON headwater.aa_all TO guest; GRANT INSERT ON headwater.loose TO guest;
CREATE USER shut IDENTIFIED BY 'guest-pass-4410' ACCOUNT LOCK;`

// One bad table keeps nobody from the others, and the server's own words are
// let through where they hold no value.
func TestBrokenTables(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), brokenTables); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(server.Dir, "data", "headwater", "ab_crashed.MYI"), 0); err != nil {
		t.Fatal(err)
	}
	src := openSource(t, settingsOf(server, func(*session.Settings) {}))
	steps, err := src.CheckSteps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if last := steps[len(steps)-2].Message; !strings.Contains(last, "read from headwater.good") || !strings.Contains(last, "headwater.aa_all: ") || !strings.Contains(last, "headwater.ab_crashed: ") {
		t.Errorf("the check says: %s", last)
	}
	found, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]driver.Table{}
	for _, table := range found {
		tables[table.Name] = table
	}
	if why := tables["v_gone"].LeftOut; !strings.Contains(why, "references invalid table") || tables["v_gone"].Kind != "view" {
		t.Errorf("v_gone is left out because of %q", why)
	}
	for name, want := range map[string]struct {
		kind error
		says string
	}{
		"aa_all": {driver.ErrBadData, "Unable to open underlying table"}, "ab_crashed": {driver.ErrBadData, "ab_crashed"}, "twice": {driver.ErrBadData, "more than 1 row"},
		"cut": {driver.ErrBadData, "max_allowed_packet"}, "v_left": {driver.ErrPermission, "definer"},
	} {
		if err := failure(t, src, tables[name]); !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.says) || !strings.Contains(err.Error(), "headwater."+name) {
			t.Errorf("%s: %v, want %q", name, err, want.says)
		}
	}
	// Warnings of a view's own expressions say what everybody sees.
	same(t, []string{"1"}, keysOf(t, src.Read(t.Context(), tables["loose"], driver.Cursor{})))

	guest := openSource(t, settingsOf(server, func(s *session.Settings) { s.Username, s.Password = "guest", "guest-pass-4410" }))
	steps, err = guest.CheckSteps(t.Context())
	if told := fmt.Sprint(steps); err != nil || !strings.Contains(told, "can be read; the first of") || !strings.Contains(told, "cannot is headwater.loose: it has no column that this account may SELECT") {
		t.Errorf("the steps of a guest: %s, %v", told, err)
	}
	found, err = guest.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range found {
		if table.Name == "partly" && (len(table.Columns) != 1 || len(table.Notes) != 1 || !strings.Contains(table.Notes[0], "secret")) {
			t.Errorf("partly has %v, %q", table.Columns, table.Notes)
		}
	}
	for user, want := range map[string]string{"shut": "locked"} {
		locked := openSource(t, settingsOf(server, func(s *session.Settings) { s.Username, s.Password = user, "guest-pass-4410" }))
		if err := locked.Check(t.Context()); !errors.Is(err, driver.ErrAuthentication) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "SET GLOBAL init_connect = 'SELECT no_such_function()'"); err != nil {
		t.Fatal(err)
	}
	if err := openSource(t, guest.Settings).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "init_connect") {
		t.Errorf("a broken init_connect: %v", err)
	}
}
