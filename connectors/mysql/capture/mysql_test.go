package capture_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// mysqlServer is logServer with MySQL, for `make mysql`.
func mysqlServer(t testing.TB, options ...string) (*servers.Server, *sql.DB) {
	t.Helper()
	server := servers.MySQL(t, options...)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return server, db
}

const mysqlTables = `SET sql_mode = '';
CREATE TABLE every (
  id int PRIMARY KEY, ti tinyint(1), tn tinyint, tu tinyint unsigned, si smallint, su smallint unsigned, mi mediumint, mu mediumint unsigned, i int, iu int unsigned, b bigint, bu bigint unsigned,
  d decimal(15,2), dd decimal(38,10), big decimal(65,30), d9 decimal(9,0), d0 decimal(3,3), du decimal(20,1) unsigned, f float, g double, b1 bit(1), b9 bit(9), b63 bit(63), b64 bit(64), y year,
  dt date, tm time, t1 time(1), t3 time(3), t6 time(6), ts timestamp NULL, ts3 timestamp(3) NULL, ts6 timestamp(6) NULL, dtm datetime, dtm2 datetime(2), dtm5 datetime(5), dtm6 datetime(6),
  j json, c char(5), cl char(255), v varchar(20), vl varchar(300), tx text, lt longtext, bin binary(9), vb varbinary(9), bl blob, tb tinyblob, mb mediumblob, lb longblob,
  e enum('a','b''c','d\\e','x,y','q\nr','Grüße'), s set('x','y','ü'), g0 point, g1 geometry, z int(9) zerofill, zb bigint zerofill, zd decimal(12,3) zerofill, vec vector(3),
  virt int AS (i + 1) VIRTUAL, vs varchar(50) AS (CONCAT(v, '!')) VIRTUAL, kept int AS (si + 1) STORED, inv int DEFAULT 7 INVISIBLE, l1 varchar(20) CHARACTER SET latin1, at datetime DEFAULT (current_timestamp), KEY ((i + 3)), KEY ((CAST(j->'$.a' AS unsigned ARRAY))));
CREATE TABLE charsets (id int PRIMARY KEY, utf8mb3 varchar(30) CHARACTER SET utf8mb3, latin1 varchar(30) CHARACTER SET latin1, latin2 char(30) CHARACTER SET latin2, cp1251 varchar(30) CHARACTER SET cp1251,
  koi8r text CHARACTER SET koi8r, greek varchar(30) CHARACTER SET greek, ucs2 char(30) CHARACTER SET ucs2, utf16 varchar(30) CHARACTER SET utf16, utf16le varchar(30) CHARACTER SET utf16le, utf32 varchar(30) CHARACTER SET utf32,
  sjis varchar(30) CHARACTER SET sjis, cp932 varchar(30) CHARACTER SET cp932, gbk varchar(30) CHARACTER SET gbk, gb2312 varchar(30) CHARACTER SET gb2312, big5 varchar(30) CHARACTER SET big5, euckr varchar(30) CHARACTER SET euckr,
  ujis varchar(30) CHARACTER SET ujis, eucjpms varchar(30) CHARACTER SET eucjpms, ascii varchar(30) CHARACTER SET ascii, swe7 varchar(30) CHARACTER SET swe7, bin varchar(30) CHARACTER SET binary, e enum('あ','い') CHARACTER SET sjis);
CREATE TABLE hidden (a int, b varchar(9)); CREATE TABLE docs (id int PRIMARY KEY, j json);
`

const mysqlRows = `SET sql_mode = '';
INSERT INTO every (id, ti, tn, tu, si, su, mi, mu, i, iu, b, bu, d, dd, big, d9, d0, du, f, g, b1, b9, b63, b64, y, dt, tm, t1, t3, t6, ts, ts3, ts6, dtm, dtm2, dtm5, dtm6, j, c, cl, v, vl, tx, lt, bin, vb, bl, tb, mb, lb, e, s, g0, g1, z, zb, zd, vec, l1) VALUES
(1, 2, -128, 255, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, -12345.6, 1234567890123456789012345678.0123456789, 1e-30, 999999999, -0.123, 1234567890123456789.5, 16777217, 0.1,
  b'1', b'101010101', 9223372036854775807, 18446744073709551615, 2024, '1969-12-31', '-838:59:59', '-00:00:00.1', '100:00:00.123', '12:34:56.789001', '2024-02-29 10:00:00', '2024-02-29 10:00:00.001', '2024-02-29 10:00:00.000001',
  '1000-01-01 00:00:00', '9999-12-31 23:59:59.99', '2024-02-29 10:00:00.00001', '0001-01-01 00:00:00.999999', '{"a": [1, 3]}', 'ab ', REPEAT('é', 200), 'Grüße ', REPEAT('x', 300), 'x', REPEAT('y', 70000), x'00ff00', x'00ff00', x'0a', x'', REPEAT('z', 70000), x'ff',
  'd\\e', 'x,ü', ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('LINESTRING(0 0,1 1)', 4326), 42, 18446744073709551615, 1.5, TO_VECTOR('[1,2.5,-3]'), 'naïve'),
(2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'0', b'0', 0, 0, 0, '2024-02-29', '00:00:00', '00:00:00', '-00:00:00.001', '-838:59:59.000001', '2038-01-19 03:14:07', '1970-01-01 00:00:01', '1970-01-01 00:00:01.5',
  '1000-01-01 00:00:00', '1000-01-01 00:00:00.1', '1000-01-01', '1000-01-01', '[]', '', '', '', '', '', '', x'', x'', x'', x'', x'', x'', '', '', NULL, NULL, 0, 0, 0, NULL, ''),
(4, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.01, -0.0000000001, 12345678901234567890123456789012345.123456789012345678901234567890, -1, 0.999, 0.1, -3.40282e38, -1.7976931348623157e308, b'1', b'1', 1, 1, 1901, '9999-12-31', '838:59:59', '838:59:59.0', '01:02:03.004', '00:00:00.000001',
  '2001-09-09 01:46:40', '2001-09-09 01:46:40.999', '2001-09-09 01:46:40.999999', '2000-01-01 12:00:00', '2000-01-01 12:00:00.5', '2000-01-01 12:00:00.5', '2000-01-01 12:00:00.5', '"ü\\n"', 'a', 'b', 'c', 'd', 'e', 'f', x'ffffffffffffffffff', x'00', x'00', x'00', x'00', x'00',
  'b''c', 'y', ST_GeomFromText('POINT(-1.5 2e10)'), ST_GeomFromText('POINT(1 1)'), 999999999, 1, 999999999.999, TO_VECTOR('[0,0,1e-30]'), 'x'),
(5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1e-38, 5e-324, b'1', b'1', 1, 1, 2155, '2024-12-31', '-00:00:01', '-00:00:01.9', '-01:02:03.004', '-00:00:00.000001', '2001-09-09 01:46:40', NULL, NULL, NULL, NULL, NULL, NULL,
  '{}', 'Ω', 'Ω', 'Ω', 'Ω', 'Ω', 'Ω', x'01', x'01', x'01', x'01', x'01', x'01', 'q\nr', 'x,y,ü', NULL, NULL, 1, 1, 1, NULL, 'ÿ'),
(6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, b'1', b'1', 1, 1, 2000, '2024-12-31', '1', '1', '1', '1', '2001-09-09 01:46:40', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'x', 'x', 'x', 'x', 'x', 'x', x'01', x'01', x'01', x'01', x'01', x'01', 'Grüße', 'ü', NULL, NULL, 1, 1, 1, NULL, NULL);
INSERT INTO every (id) VALUES (3);
INSERT INTO charsets (id, utf8mb3, latin1, latin2, cp1251, koi8r, greek, ucs2, utf16, utf16le, utf32, ascii, bin, swe7) VALUES (1, 'Grüße€', 'Grüße€', 'Łódź', 'Привет', 'Привет', 'Ελλάδα', 'Łódź€', 'Łódź𝄞', 'Łódź𝄞', 'Łódź𝄞', 'plain?', x'00ff', 'ÅÄÖ'), (2, '?', '?', '?', '?', '?', '?', '?', '?', '?', '?', '?', '?', '?'), (3, '', '', '', '', '', '', '', '', '', '', '', '', '');
INSERT INTO charsets (id, sjis, cp932, gbk, gb2312, big5, euckr, ujis, eucjpms, e) VALUES (4, 'あい漢字ｱx', '①あﾊﾝ漢', '汉字㐀x', '汉字x', '漢字x', '한국어x', 'あいｱ漢x', '①あ仱ｱ', 'い'), (5, 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'あ');
INSERT INTO hidden VALUES (1, 'a'), (2, 'b');
INSERT INTO docs VALUES (1, NULL), (2, 'null'), (3, 'true'), (4, '-1'), (5, '18446744073709551615'), (6, '1e300'), (7, '0.1'), (8, '"𝄞\\u0000\\u001f\\"\\\\/"'), (9, '[[],{},[{"a":{"b":[1,2,{"c":null}]}}]]'), (10, '{"b":1,"a":2,"aa":3,"":4}'), (11, CAST(1.50 AS json)), (12, JSON_OBJECT('d', DATE '2024-02-29', 't', TIME '-12:34:56.7', 'dt', TIMESTAMP '2024-02-29 10:00:00.000001', 'dec', 123456789012345678901234567890.123456789, 'bin', x'00ff')), (13, CONCAT('"', REPEAT('x', 70000), '"')), (14, JSON_ARRAY(REPEAT('y', 40000), REPEAT('z', 40000), 1)), (15, '1.0'), (16, '-0.0'), (17, '9223372036854775807'), (18, '[65535, 65536, -32769, 2147483648]'), (19, 'false'), (20, CAST(x'0102' AS json)), (21, '1e16'), (22, '123456789.125'), (23, '1e-7');
`

// Every type of MySQL, in the log and in a whole read, inserted, updated and deleted: what
// lands is the same.
func TestMySQLFidelity(t *testing.T) {
	server, db := mysqlServer(t)
	for _, form := range []struct{ name, options string }{
		{"plain", ""},
		{"metadata", "SET GLOBAL binlog_row_metadata = 'FULL'; FLUSH TABLES;"},
		{"no checksum", "SET GLOBAL binlog_row_metadata = 'MINIMAL', GLOBAL binlog_checksum = 'NONE'; FLUSH TABLES;"},
	} {
		t.Run(form.name, func(t *testing.T) {
			execute(t, db, form.options+"DROP TABLE IF EXISTS every, charsets, hidden, docs;"+mysqlTables)
			f := newFollower(t, server, db, func(s *session.Settings) {})
			f.discover("every", "charsets", "hidden", "docs")
			log, err := f.capture()
			if err != nil {
				t.Fatal(err)
			}
			if refused := log.Refused(); len(refused) > 0 {
				t.Fatal(refused)
			}
			execute(t, db, mysqlRows)
			if err := f.changes(log); err != nil {
				t.Fatal(err)
			}
			f.same()
			execute(t, db, `SET sql_mode = ''; UPDATE every SET i = id + 100, v = CONCAT(v, 'x'), c = NULL; UPDATE every SET id = id + 100 WHERE id < 3; DELETE FROM every WHERE id IN (4, 5, 102); UPDATE charsets SET id = id + 10, latin2 = 'ł'; DELETE FROM charsets WHERE id = 14;
UPDATE docs SET j = JSON_SET(j, '$.a', 'changed') WHERE id = 10; UPDATE docs SET j = JSON_REMOVE(j, '$[0]') WHERE id = 14; UPDATE hidden SET b = 'c' WHERE a = 1; DELETE FROM hidden WHERE a = 2`)
			f.catchUp()
		})
	}
}

// What applications do to the rows of a MySQL.
func TestMySQLChangesOfRows(t *testing.T) {
	server, db := mysqlServer(t, "--log-bin-trust-function-creators=1", "--event-scheduler=OFF")
	execute(t, db, `CREATE TABLE t (id int PRIMARY KEY, v varchar(50), n int, j json); CREATE TABLE keyless (a int, b varchar(9)); CREATE TABLE pair (a int, b varchar(9), v int, PRIMARY KEY (b, a));
CREATE TABLE mem (id int PRIMARY KEY) ENGINE=MEMORY; CREATE TABLE my (id int PRIMARY KEY, v int) ENGINE=MyISAM;
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (100));
CREATE TABLE audit (id int AUTO_INCREMENT PRIMARY KEY, what varchar(50)); CREATE TRIGGER seen AFTER INSERT ON t FOR EACH ROW INSERT INTO audit (what) VALUES (CONCAT('t', NEW.id));
CREATE DATABASE other; CREATE TABLE other.t (id int PRIMARY KEY, v varchar(50), n int); CREATE TABLE ignored (id int PRIMARY KEY);
INSERT INTO t VALUES (1, 'one', 1, '{"a": 1}'), (2, 'two', 2, '[]'), (3, 'three', 3, NULL); INSERT INTO keyless VALUES (1, 'a'), (2, 'b'); INSERT INTO pair VALUES (1, 'a', 1), (2, 'a', 2); INSERT INTO part VALUES (1), (11)`)
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("t", "keyless", "pair", "mem", "my", "part", "audit")
	f.catchUp()
	for _, step := range []struct{ name, statements string }{
		{"nothing", "DO 1"},
		{"insert, update, delete", "INSERT INTO t VALUES (4, 'four', 4, '1'); UPDATE t SET v = 'ONE' WHERE id = 1; DELETE FROM t WHERE id = 2"},
		{"key", "UPDATE t SET id = 20 WHERE id = 3; UPDATE pair SET b = 'A' WHERE a = 1; UPDATE pair SET a = a + 10"},
		{"keys that swap", "UPDATE t SET id = id + 1 ORDER BY id DESC"},
		{"replace", "REPLACE t VALUES (2, 'replaced', NULL, NULL); INSERT INTO t VALUES (2, 'x', 1, NULL) ON DUPLICATE KEY UPDATE v = 'dup', n = 9"},
		{"no key", "UPDATE keyless SET b = 'c' WHERE a = 1; DELETE FROM keyless WHERE a = 2; INSERT INTO keyless VALUES (3, NULL)"},
		{"several tables", "UPDATE t JOIN pair ON pair.v = 1 SET t.v = 'joined', pair.v = 7; DELETE t, keyless FROM t JOIN keyless WHERE t.id = 2"},
		{"one transaction", "BEGIN; INSERT INTO t VALUES (50, 'a', 1, NULL); UPDATE t SET v = 'b' WHERE id = 50; DELETE FROM t WHERE id = 50; INSERT INTO t VALUES (50, 'c', 1, NULL); UPDATE t SET id = 51 WHERE id = 50; COMMIT"},
		{"rolled back", "BEGIN; INSERT INTO t VALUES (60, 'a', 1, NULL); ROLLBACK"},
		{"truncate", "INSERT INTO my VALUES (1, 1); INSERT INTO keyless VALUES (8, 'x'); TRUNCATE my; TRUNCATE TABLE keyless; INSERT INTO my VALUES (2, 2)"},
		{"engines", "INSERT INTO mem VALUES (1), (2); INSERT INTO my VALUES (5, 5); DELETE FROM mem WHERE id = 1; UPDATE my SET v = 6"},
		{"savepoint", "BEGIN; INSERT INTO t VALUES (80, 'a', 1, NULL); SAVEPOINT s; INSERT INTO t VALUES (81, 'a', 1, NULL); ROLLBACK TO s; INSERT INTO t VALUES (82, 'a', 1, NULL); SAVEPOINT s2; INSERT INTO t VALUES (83, 'a', 1, NULL); COMMIT"},
		{"XA", "XA START 'a', 'b'; INSERT INTO t VALUES (90, 'xa', 1, NULL); XA END 'a', 'b'; XA PREPARE 'a', 'b'; XA COMMIT 'a', 'b'; XA START 'c'; INSERT INTO t VALUES (91, 'one phase', 1, NULL); XA END 'c'; XA COMMIT 'c' ONE PHASE; XA START 'd'; INSERT INTO t VALUES (92, 'gone', 1, NULL); XA END 'd'; XA PREPARE 'd'; XA ROLLBACK 'd'"},
		{"by the server's own programs", "CREATE PROCEDURE fill(n int) INSERT INTO t VALUES (n, UUID(), RAND() * 1000, NULL); CALL fill(310); CREATE FUNCTION single() RETURNS int BEGIN INSERT INTO t VALUES (311, 'f', 1, NULL); RETURN 1; END; DO single()"},
		{"partitions", "INSERT INTO part VALUES (20), (21), (22); UPDATE part SET id = 5 WHERE id = 20; DELETE FROM part WHERE id = 1"},
		{"of others", "INSERT INTO other.t VALUES (1, 'x', 1); TRUNCATE other.t; USE other; ALTER TABLE t ADD z int; USE headwater; INSERT INTO ignored VALUES (1); ALTER TABLE ignored ADD z int"},
		{"harmless", "CREATE INDEX i ON t (n); ALTER TABLE t ALTER INDEX i INVISIBLE; DROP INDEX i ON t; ALTER TABLE t COMMENT 'x'; ANALYZE TABLE t; OPTIMIZE TABLE t; ALTER TABLE t ALTER n SET DEFAULT 5; CREATE TABLE IF NOT EXISTS t (a int); FLUSH TABLES; CREATE VIEW w AS SELECT 1; DROP VIEW w; GRANT SELECT ON t TO headwater; ALTER TABLE part ADD PARTITION (PARTITION p2 VALUES LESS THAN (1000)); CREATE ROLE r; DROP ROLE r; ANALYZE TABLE t UPDATE HISTOGRAM ON n"},
		{"a table made of another", "CREATE TABLE made AS SELECT * FROM t; DROP TABLE made; CREATE TEMPORARY TABLE tt (a int); INSERT INTO tt VALUES (1); DROP TABLE tt"},
		{"rotation", "FLUSH BINARY LOGS; INSERT INTO t VALUES (100, 'after', 1, NULL); FLUSH BINARY LOGS; INSERT INTO t VALUES (101, 'after', 1, NULL)"},
		{"a tag", "SET SESSION gtid_next = 'AUTOMATIC:nightly'; INSERT INTO t VALUES (110, 'x', 1, NULL); UPDATE t SET v = 'y' WHERE id = 110; SET SESSION gtid_next = 'AUTOMATIC'; INSERT INTO t VALUES (111, 'x', 1, NULL)"},
		{"a transaction of another server", "SET SESSION gtid_next = '00112233-4455-6677-8899-aabbccddeeff:7'; INSERT INTO t VALUES (112, 'x', 1, NULL); SET SESSION gtid_next = 'AUTOMATIC'"},
		{"less in a row", "SET SESSION binlog_row_image = 'NOBLOB'; UPDATE t SET v = 'noblob' WHERE id = 112; SET SESSION binlog_row_image = 'MINIMAL'; UPDATE t SET v = 'minimal' WHERE id = 111; UPDATE t SET id = 113 WHERE id = 112; DELETE FROM t WHERE id = 113; UPDATE t SET j = '1', n = 5 WHERE id = 111; REPLACE t (id, v) VALUES (111, 'replaced'); SET SESSION binlog_row_image = 'NOBLOB'; UPDATE t SET j = '1', n = 5 WHERE id = 111; REPLACE t (id, v) VALUES (111, 'replaced'); SET SESSION binlog_row_image = 'FULL'"},
		{"queries in the log", "SET SESSION binlog_rows_query_log_events = 1; INSERT INTO t VALUES (114, 'q', 1, NULL); SET SESSION binlog_rows_query_log_events = 0"},
		{"compressed", "SET SESSION binlog_transaction_compression = ON; INSERT INTO t (id, v) VALUES (120, 'c'); UPDATE t SET n = n + 1; CREATE TABLE made AS SELECT * FROM t; DROP TABLE made; BEGIN; UPDATE pair SET v = v + 1; SAVEPOINT s; DELETE FROM t WHERE id = 120; ROLLBACK TO s; DELETE FROM part; COMMIT; XA START 'e'; INSERT INTO t (id) VALUES (122); XA END 'e'; XA PREPARE 'e'; XA COMMIT 'e'; TRUNCATE keyless; SET SESSION binlog_transaction_compression_level_zstd = 22; UPDATE t SET v = REPEAT('x', 50); SET SESSION binlog_transaction_compression = OFF; INSERT INTO t (id, v) VALUES (121, 'c')"},
	} {
		t.Run(step.name, func(t *testing.T) {
			f.t = t
			execute(t, db, step.statements)
			f.catchUp()
		})
	}
	f.t = t
	execute(t, db, "INSERT INTO t (id, j) VALUES (200, JSON_OBJECT('a', 1, 'pad', REPEAT('x', 2000))); SET SESSION binlog_row_value_options = 'PARTIAL_JSON'; UPDATE t SET j = JSON_SET(j, '$.a', 2) WHERE id = 200; SET SESSION binlog_row_value_options = ''")
	log, err := f.capture()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.changes(log); !errors.Is(err, driver.ErrReplaced) || !strings.Contains(err.Error(), "binlog_row_value_options") {
		t.Errorf("a part of a document: %v", err)
	}
}

// What ALTER and its kin do to tables of a MySQL: what can be followed is, the others are
// read whole, and what is followed equals its table.
func TestMySQLChangesOfTables(t *testing.T) {
	server, db := mysqlServer(t)
	f := newFollower(t, server, db, func(*session.Settings) {})
	for _, step := range []struct {
		name, statements string
		whole            bool // t is read whole
	}{
		{"a column is added last", "ALTER TABLE t ADD z int", false},
		{"first, at once", "ALTER TABLE t ADD z int FIRST, ALGORITHM=INSTANT", false},
		{"in between", "ALTER TABLE t ADD z int AFTER id", false},
		{"dropped at once", "ALTER TABLE t DROP v, ALGORITHM=INSTANT", true},
		{"dropped and added again", "ALTER TABLE t DROP v; INSERT INTO t (id) VALUES (50); ALTER TABLE t ADD v varchar(50)", true},
		{"renamed", "ALTER TABLE t RENAME COLUMN v TO w", true},
		{"another type", "ALTER TABLE t MODIFY n bigint unsigned", true},
		{"another order", "ALTER TABLE t MODIFY n int AFTER id", true},
		{"another character set", "ALTER TABLE t CONVERT TO CHARACTER SET latin1", true},
		{"another key", "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, n)", true},
		{"invisible", "ALTER TABLE t ALTER COLUMN v SET INVISIBLE", false},
		{"tables swap", "CREATE TABLE u LIKE t; INSERT INTO u VALUES (9, 'u', 9); RENAME TABLE t TO old, u TO t", true},
		{"made again", "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v varchar(50), n int); INSERT INTO t VALUES (7, 'x', 7)", true},
		{"partitions", "ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 4; ALTER TABLE t TRUNCATE PARTITION p1", true},
		{"exchanged", "ALTER TABLE t PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (3), PARTITION p1 VALUES LESS THAN (MAXVALUE)); CREATE TABLE x (id int PRIMARY KEY, v varchar(50), n int); INSERT INTO x VALUES (1, 'x', 1); ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x", true},
		{"imported", "CREATE TABLE y (id int PRIMARY KEY, v varchar(50), n int); ALTER TABLE t DISCARD TABLESPACE; DROP TABLE t; RENAME TABLE y TO t", true},
		{"the log's own compression", "ALTER TABLE t ROW_FORMAT=COMPRESSED", false},
	} {
		t.Run(step.name, func(t *testing.T) {
			f.t = t
			execute(t, db, "DROP TABLE IF EXISTS t, beside, u, old, x, y; CREATE TABLE t (id int PRIMARY KEY, v varchar(50), n int); CREATE TABLE beside (id int PRIMARY KEY); INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2), (3, NULL, 3)")
			f.tables, f.landed = map[string]*copied{}, ""
			f.discover("t", "beside")
			f.catchUp()
			f.pad("t")
			execute(t, db, "INSERT INTO t VALUES (4, 'four', 4); "+step.statements+"; INSERT INTO beside VALUES (1); INSERT INTO t (id, n) VALUES (60, 6); DELETE FROM t WHERE id = 60")
			whole := f.follow("t")
			f.same()
			if whole != step.whole {
				t.Errorf("the table was read whole: %t, want %t", whole, step.whole)
			}
		})
	}
}

// A MySQL's log that is deleted, begun anew, or lost its end in a crash is not continued.
func TestMySQLLogThatDoesNotGoOn(t *testing.T) {
	server, db := mysqlServer(t, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); INSERT INTO t VALUES (1, 'a')")
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("t")
	f.catchUp()
	restart := func() {
		t.Helper()
		if err := errors.Join(server.Kill(), server.Restart(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, db, "INSERT INTO t VALUES (2, 'b')")
	restart()
	execute(t, db, "INSERT INTO t VALUES (3, 'c')")
	f.catchUp()

	execute(t, db, "FLUSH BINARY LOGS")
	purge(t, db)
	f.catchUp() // none of what was deleted is needed
	execute(t, db, "INSERT INTO t VALUES (5, 'e'); FLUSH BINARY LOGS; INSERT INTO t VALUES (6, 'f'); FLUSH BINARY LOGS")
	purge(t, db)
	f.fails(driver.ErrReplaced, "deleted the binary logs")
	f.reset()
	f.catchUp()

	execute(t, db, "DO SLEEP(1.1); RESET BINARY LOGS AND GTIDS; INSERT INTO t VALUES (7, 'g')") // files have the time of a second
	f.fails(driver.ErrReplaced, "begun anew")
	f.reset()
	f.catchUp()
	execute(t, db, "INSERT INTO t VALUES (8, 'h'), (9, 'h')")
	f.catchUp()
	execute(t, db, "DO SLEEP(1.1); RESET BINARY LOGS AND GTIDS; INSERT INTO t VALUES (10, 'i'); INSERT INTO t VALUES (11, 'i'); INSERT INTO t VALUES (12, 'i'); INSERT INTO t VALUES (13, 'i')")
	f.fails(driver.ErrReplaced, "begun anew")
	f.reset()
	f.catchUp()

	// What a crash without sync_binlog loses is given the same numbers again.
	before, err := binlog.Parse(f.landed)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, "INSERT INTO t VALUES (16, 'lost')")
	f.catchUp()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(server.Dir, "data", before.Place.File), int64(before.Place.At)); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.fails(driver.ErrReplaced, "crashed without sync_binlog")
	execute(t, db, "INSERT INTO t VALUES (17, 'k'); INSERT INTO t VALUES (18, 'k')")
	f.fails(driver.ErrReplaced, "crashed without sync_binlog")
	f.reset()
	f.catchUp()
}

// Beside writers, a MySQL's whole read and its log join without a gap.
func TestMySQLJoin(t *testing.T) {
	server, db := mysqlServer(t)
	joined(t, server, db)
}

// follow follows until the log's end, and discovers the tables again wherever the log asks
// for that. It reports whether a table had to be read whole.
func (f *follower) follow(name string) (whole bool) {
	f.t.Helper()
	for range 20 {
		f.discover(f.names()...)
		f.pad(name)
		log, err := f.capture()
		if err == nil {
			if why := log.Refused()[slices.Index(f.names(), name)]; why != nil {
				f.tables[name].after, whole = "", true
				log.Close()
				continue
			}
			err = f.changes(log)
			log.Close()
		}
		switch {
		case err == nil:
			return whole
		case !errors.Is(err, driver.ErrRetyped):
			f.t.Fatal(err)
		}
	}
	f.t.Fatal("the tables are never as they were found")
	return whole
}
