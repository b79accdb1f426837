package capture_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

type arrowArray = arrow.Array

const logTables = `SET sql_mode = '';
CREATE TABLE every (
  id int PRIMARY KEY, ti tinyint(1), tn tinyint, tu tinyint unsigned, si smallint, su smallint unsigned, mi mediumint, mu mediumint unsigned, i int, iu int unsigned, b bigint, bu bigint unsigned,
  d decimal(15,2), dd decimal(38,10), big decimal(65,30), d9 decimal(9,0), d0 decimal(3,3), du decimal(20,1) unsigned, f float, g double, b1 bit(1), b9 bit(9), b63 bit(63), b64 bit(64), y year, y2 year(2),
  dt date, tm time, t1 time(1), t3 time(3), t6 time(6), ts timestamp NULL, ts3 timestamp(3) NULL, ts6 timestamp(6) NULL, dtm datetime, dtm2 datetime(2), dtm5 datetime(5), dtm6 datetime(6),
  j json, c char(5), cl char(255), v varchar(20), vl varchar(300), tx text, lt longtext, bin binary(9), vb varbinary(9), bl blob, tb tinyblob, mb mediumblob, lb longblob,
  e enum('a','b''c','d\\e','x,y','q\nr','Grüße'), s set('x','y','ü'), u uuid, i6 inet6, i4 inet4, g0 point, g1 geometry, z int(9) zerofill, zb bigint zerofill, zd decimal(12,3) zerofill,
  cc varchar(200) compressed, bc blob compressed, tc text compressed, virt int AS (i + 1) VIRTUAL, vs varchar(50) AS (CONCAT(v, '!')) VIRTUAL, stored int AS (si + 1) PERSISTENT, inv int INVISIBLE DEFAULT 7, l1 varchar(20) CHARACTER SET latin1, at datetime DEFAULT current_timestamp) ROW_FORMAT=DYNAMIC;
CREATE TABLE charsets (id int PRIMARY KEY, utf8mb3 varchar(30) CHARACTER SET utf8mb3, latin1 varchar(30) CHARACTER SET latin1, latin2 char(30) CHARACTER SET latin2, cp1251 varchar(30) CHARACTER SET cp1251,
  koi8r text CHARACTER SET koi8r, greek varchar(30) CHARACTER SET greek, ucs2 char(30) CHARACTER SET ucs2, utf16 varchar(30) CHARACTER SET utf16, utf16le varchar(30) CHARACTER SET utf16le, utf32 varchar(30) CHARACTER SET utf32,
  sjis varchar(30) CHARACTER SET sjis, cp932 varchar(30) CHARACTER SET cp932, gbk varchar(30) CHARACTER SET gbk, gb2312 varchar(30) CHARACTER SET gb2312, big5 varchar(30) CHARACTER SET big5, euckr varchar(30) CHARACTER SET euckr,
  ujis varchar(30) CHARACTER SET ujis, eucjpms varchar(30) CHARACTER SET eucjpms, ascii varchar(30) CHARACTER SET ascii, swe7 varchar(30) CHARACTER SET swe7, bin varchar(30) CHARACTER SET binary, e enum('あ','い') CHARACTER SET sjis);
`

const logRows = `SET sql_mode = '';
INSERT INTO every (id, ti, tn, tu, si, su, mi, mu, i, iu, b, bu, d, dd, big, d9, d0, du, f, g, b1, b9, b63, b64, y, y2, dt, tm, t1, t3, t6, ts, ts3, ts6, dtm, dtm2, dtm5, dtm6, j, c, cl, v, vl, tx, lt, bin, vb, bl, tb, mb, lb, e, s, u, i6, i4, g0, g1, z, zb, zd, cc, bc, tc, l1) VALUES
(1, 2, -128, 255, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, -12345.6, 1234567890123456789012345678.0123456789, 1e-30, 999999999, -0.123, 1234567890123456789.5, 16777217, 0.1,
  b'1', b'101010101', 9223372036854775807, 18446744073709551615, 2024, 99, '1969-12-31', '-838:59:59', '-00:00:00.1', '100:00:00.123', '12:34:56.789001', '2024-02-29 10:00:00', '2024-02-29 10:00:00.001', '2024-02-29 10:00:00.000001',
  '1000-01-01 00:00:00', '9999-12-31 23:59:59.99', '2024-02-29 10:00:00.00001', '0001-01-01 00:00:00.999999', '{"a": [1, "ü"]}', 'ab ', REPEAT('é', 200), 'Grüße ', REPEAT('x', 300), 'x', REPEAT('y', 70000), x'00ff00', x'00ff00', x'0a', x'', REPEAT('z', 70000), x'ff',
  'd\\e', 'x,ü', '00112233-4455-6677-8899-aabbccddeeff', '2001:db8::1', '1.2.3.0', ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('LINESTRING(0 0,1 1)', 4326), 42, 18446744073709551615, 1.5, REPEAT('ab', 90), REPEAT('c', 500), REPEAT('ü', 200), 'naïve'),
(2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'0', b'0', 0, 0, 0, 0, '2024-02-29', '00:00:00', '00:00:00', '-00:00:00.001', '-838:59:59.999999', '2038-01-19 03:14:07', '1970-01-01 00:00:01', '1970-01-01 00:00:01.5',
  '1000-01-01 00:00:00', '1000-01-01 00:00:00.1', '1000-01-01', '1000-01-01', '[]', '', '', '', '', '', '', x'', x'', x'', x'', x'', x'', '', '', '00000000-0000-0000-0000-000000000000', '::', '0.0.0.0', NULL, NULL, 0, 0, 0, '', '', '', ''),
(4, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.01, -0.0000000001, 12345678901234567890123456789012345.123456789012345678901234567890, -1, 0.999, 0.1, -3.40282e38, -1.7976931348623157e308, b'1', b'1', 1, 1, 1901, 70, '9999-12-31', '838:59:59', '838:59:59.0', '01:02:03.004', '00:00:00.000001',
  '2001-09-09 01:46:40', '2001-09-09 01:46:40.999', '2001-09-09 01:46:40.999999', '2000-01-01 12:00:00', '2000-01-01 12:00:00.5', '2000-01-01 12:00:00.5', '2000-01-01 12:00:00.5', '"ü\\n"', 'a', 'b', 'c', 'd', 'e', 'f', x'ffffffffffffffffff', x'00', x'00', x'00', x'00', x'00',
  'b''c', 'y', 'f47ac10b-58cc-1372-8567-0e02b2c3d479', '::ffff:1.2.3.4', '255.255.255.255', ST_GeomFromText('POINT(-1.5 2e10)'), ST_GeomFromText('POINT(1 1)'), 999999999, 1, 999999999.999, 'short', x'00', 'short', 'x'),
(5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1e-38, 5e-324, b'1', b'1', 1, 1, 2155, 69, '2024-12-31', '-00:00:01', '-00:00:01.9', '-01:02:03.004', '-00:00:00.000001', '2001-09-09 01:46:40', NULL, NULL, NULL, NULL, NULL, NULL,
  '{}', 'Ω', 'Ω', 'Ω', 'Ω', 'Ω', 'Ω', x'01', x'01', x'01', x'01', x'01', x'01', 'q\nr', 'x,y,ü', '018c2a4e-7b1d-7e3f-9a2b-3c4d5e6f7a8b', '::1', '127.0.0.1', NULL, NULL, 1, 1, 1, REPEAT('ü', 199), x'0000', 'x', 'ÿ'),
(6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, b'1', b'1', 1, 1, 2000, 0, '2024-12-31', '1', '1', '1', '1', '2001-09-09 01:46:40', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'x', 'x', 'x', 'x', 'x', 'x', x'01', x'01', x'01', x'01', x'01', x'01',
  'Grüße', 'ü', '1ec9414c-232a-6b00-b3c8-9f6bdeced846', '1:0:0:2:0:0:0:3', '10.0.0.1', NULL, NULL, 1, 1, 1, NULL, NULL, NULL, NULL),
(7, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, b'1', b'1', 1, 1, 2000, 1, '2024-12-31', '1', '1', '1', '1', '2001-09-09 01:46:40', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'x', 'x', 'x', 'x', 'x', 'x', x'01', x'01', x'01', x'01', x'01', x'01',
  'x,y', 'x', '320c3d4d-cc00-875b-8ec9-32d5f69181c0', 'fe80:0:1:0:1:0:1:0', '10.0.0.1', NULL, NULL, 1, 1, 1, NULL, NULL, NULL, NULL);
INSERT INTO every (id, i6) VALUES (3, NULL), (8, '::2:3'), (9, '::1:2:3'), (10, '0:1::'), (11, '1::'), (12, '0:0:0:1::'), (13, '::ffff:0:0'), (14, '64:ff9b::1.2.3.4'), (15, '1:2:3:4:5:6:7:8'), (16, '::0.0.255.1'), (17, '1:0:2:3:4:5:6:7'), (18, '::1.0.0.0'), (19, '0:0:1::1'), (20, '::ffff:0.0.0.1');
INSERT INTO charsets (id, utf8mb3, latin1, latin2, cp1251, koi8r, greek, ucs2, utf16, utf16le, utf32, ascii, bin, swe7) VALUES (1, 'Grüße€', 'Grüße€', 'Łódź', 'Привет', 'Привет', 'Ελλάδα', 'Łódź€', 'Łódź𝄞', 'Łódź𝄞', 'Łódź𝄞', 'plain?', x'00ff', 'ÅÄÖ'), (2, '?', '?', '?', '?', '?', '?', '?', '?', '?', '?', '?', '?', '?'), (3, '', '', '', '', '', '', '', '', '', '', '', '', '');
INSERT INTO charsets (id, sjis, cp932, gbk, gb2312, big5, euckr, ujis, eucjpms, e) VALUES (4, 'あい漢字ｱx', '①あﾊﾝ漢', '汉字㐀x', '汉字x', '漢字x', '한국어x', 'あいｱ漢x', '①あ仱ｱ', 'い'), (5, 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'あ');
`

// Every type, in the log and in a whole read, inserted, updated and deleted: what
// lands is the same.
func TestLogFidelity(t *testing.T) {
	server, db := logServer(t)
	for _, form := range []struct{ name, options string }{
		{"plain", ""},
		{"compressed", "SET GLOBAL log_bin_compress = 1, GLOBAL log_bin_compress_min_len = 10;"},
		{"metadata", "SET GLOBAL log_bin_compress = 0, GLOBAL binlog_row_metadata = 'FULL'; FLUSH TABLES;"},
		{"no checksum", "SET GLOBAL binlog_row_metadata = 'MINIMAL', GLOBAL binlog_checksum = 'NONE'; FLUSH TABLES;"},
	} {
		t.Run(form.name, func(t *testing.T) {
			execute(t, db, form.options+"DROP TABLE IF EXISTS every, charsets;"+logTables)
			f := newFollower(t, server, db, func(s *session.Settings) {})
			f.discover("every", "charsets")
			log, err := f.capture()
			if err != nil {
				t.Fatal(err)
			}
			if refused := log.Refused(); len(refused) > 0 {
				t.Fatal(refused)
			}
			execute(t, db, logRows)
			if err := f.changes(log); err != nil {
				t.Fatal(err)
			}
			f.same()
			execute(t, db, "SET sql_mode = ''; UPDATE every SET i = id + 100, v = CONCAT(v, 'x'), c = NULL; UPDATE every SET id = id + 100 WHERE id < 3; DELETE FROM every WHERE id IN (4, 5, 102); UPDATE charsets SET id = id + 10, latin2 = 'ł'; DELETE FROM charsets WHERE id = 14")
			f.catchUp()
		})
	}
	t.Run("text", func(t *testing.T) {
		execute(t, db, "DROP TABLE IF EXISTS every, charsets;"+logTables)
		f := newFollower(t, server, db, func(s *session.Settings) {
			s.ColumnTypes = map[string]string{}
			for column := range strings.FieldsSeq("tn tu si su mi mu i iu b bu d dd d9 b1 b9 b64 y y2 dt tm ts ts3 ts6 dtm dtm2 dtm6 bin vb bl u z zb zd g0 bc") {
				s.ColumnTypes[column] = "string"
			}
		})
		f.discover("every")
		log, err := f.capture()
		if err != nil {
			t.Fatal(err)
		}
		execute(t, db, logRows+"INSERT INTO every (id, dt, dtm, dtm2, ts, ts3, at) VALUES (30, '0000-00-00', '0000-00-00', '2024-00-10', 0, 0, NULL), (31, '2024-02-00', '0000-00-00 00:00:00', '0000-01-00 10:00:00.5', 0, 0, NULL)")
		if err := f.changes(log); err != nil {
			t.Fatal(err)
		}
		f.same()
	})
}

var _ = driver.Table{}
