package mysql

import (
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

// Keys of every kind, and integers that lie anything but evenly.
const keyTables = `
CREATE TABLE dense (id int PRIMARY KEY, pad char(100) NOT NULL); INSERT INTO dense SELECT seq, 'x' FROM seq_1_to_4000;
CREATE TABLE skewed (id bigint PRIMARY KEY, pad char(100) NOT NULL); INSERT INTO skewed SELECT seq, 'x' FROM seq_1_to_4000; INSERT INTO skewed VALUES (-9223372036854775808, 'first'), (9223372036854775807, 'last');
CREATE TABLE huge (id bigint unsigned PRIMARY KEY, pad char(100) NOT NULL); INSERT INTO huge SELECT 18446744073709551615 - seq, 'x' FROM seq_0_to_3999; INSERT INTO huge SELECT seq, 'x' FROM seq_1_to_4000;
CREATE TABLE pair (a int, b varchar(20) COLLATE utf8mb4_general_ci, pad char(100) NOT NULL, PRIMARY KEY (a, b)); INSERT INTO pair SELECT seq DIV 3, CONCAT('k', seq), 'x' FROM seq_1_to_4000;
CREATE TABLE few (tenant int, id bigint, pad char(100) NOT NULL, PRIMARY KEY (tenant, id)); INSERT INTO few SELECT seq MOD 3, seq, 'x' FROM seq_1_to_4000;
CREATE TABLE text_ci (k varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, pad char(100) NOT NULL);
INSERT INTO text_ci SELECT CONCAT(ELT(1 + seq % 6, 'a', 'Ä', 'b', 'ß', 'Z', '_'), seq, ELT(1 + seq % 3, '', ' x', '\'')), 'x' FROM seq_1_to_4000;
CREATE TABLE text_latin (k char(40) CHARACTER SET latin1 COLLATE latin1_german2_ci PRIMARY KEY, pad char(100) NOT NULL);
INSERT INTO text_latin SELECT CONCAT(ELT(1 + seq % 5, 'ä', 'AF', 'Ö', 'z', 'ß'), seq), 'x' FROM seq_1_to_4000;
CREATE TABLE raw (k varbinary(16) PRIMARY KEY, pad char(100) NOT NULL); INSERT INTO raw SELECT UNHEX(MD5(seq)), 'x' FROM seq_1_to_4000;
CREATE TABLE ids (k uuid PRIMARY KEY, pad char(100) NOT NULL); INSERT INTO ids SELECT CONCAT('00000000-0000-4000-8000-', LPAD(HEX(seq * 77777), 12, '0')), 'x' FROM seq_1_to_4000;
CREATE TABLE days (d date, n decimal(9,2), pad char(100) NOT NULL, PRIMARY KEY (d, n)); INSERT INTO days SELECT '2000-01-01' + INTERVAL seq DIV 4 DAY, seq / 4, 'x' FROM seq_1_to_4000;
CREATE TABLE moments (t timestamp(6), pad char(100) NOT NULL, PRIMARY KEY (t)); INSERT INTO moments SELECT '2000-01-01' + INTERVAL seq * 3600.5 SECOND, 'x' FROM seq_1_to_4000;
CREATE TABLE written (id int PRIMARY KEY, n int NOT NULL, pad char(100) NOT NULL); INSERT INTO written SELECT seq, 0, 'x' FROM seq_1_to_4000;
CREATE TABLE changed LIKE written; INSERT INTO changed SELECT * FROM written;
CREATE TABLE no_key (a int); CREATE TABLE approximate (f double PRIMARY KEY); CREATE TABLE beginning (t text, PRIMARY KEY (t(9))); CREATE TABLE heap (id int PRIMARY KEY) ENGINE=MyISAM; CREATE VIEW seen AS SELECT * FROM dense;
CREATE TABLE choice (e enum('b','a') PRIMARY KEY);
ANALYZE TABLE dense, skewed, huge, pair, few, text_ci, text_latin, raw, ids, days, moments, written, changed;`

func TestScan(t *testing.T) {
	server := servers.MariaDBWith(t, "--log-bin=log", "--server-id=7")
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), keyTables); err != nil {
		t.Fatal(err)
	}
	src := openSource(t, settingsOf(server, func(*session.Settings) {}))
	src.rangeSize = 64 << 10
	tables := map[string]driver.Table{}
	found, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range found {
		tables[table.Name] = table
	}
	for _, name := range []string{"dense", "skewed", "huge", "pair", "few", "text_ci", "text_latin", "raw", "ids", "days", "moments"} {
		t.Run(name, func(t *testing.T) { testKey(t, src, tables[name]) })
	}
	for _, name := range []string{"no_key", "approximate", "beginning", "heap", "seen", "choice"} {
		if _, err := src.Scan(t.Context(), tables[name], nil); !errors.Is(err, driver.ErrUnsupported) {
			t.Errorf("Scan of %s = %v, want a refusal", name, err)
		}
	}
	t.Run("moment", func(t *testing.T) { testMoment(t, db, src, tables["written"]) })
	t.Run("changed", func(t *testing.T) { testChanged(t, db, src, tables["changed"]) })
}

// testKey reads a table in ranges, lands some of them, and reads the rest in
// another division: together they are the table.
func testKey(t *testing.T, src *source, table driver.Table) {
	want := keysOf(t, src.Read(t.Context(), table, driver.Cursor{}))
	first, err := src.Scan(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	unread := first.Unread()
	if len(unread) < 4 || len(unread) > 100 {
		t.Errorf("%d ranges, want some", len(unread))
	}
	var all []string
	var landed []driver.Range
	kept := map[string][]string{}
	for i, r := range unread {
		before := reads(t, first.(*scan).session())
		rows := keysOf(t, first.Read(t.Context(), r))
		// The range was read through the index, not the table filtered. The
		// counter has our own look at it, and the row behind the last.
		if read := reads(t, first.(*scan).session()) - before; read > int64(len(rows))+10 {
			t.Errorf("range %d of %d rows made the server read %d", i, len(rows), read)
		}
		if len(rows) > len(want)/2 {
			t.Errorf("range %d has %d of %d rows", i, len(rows), len(want))
		}
		all = append(all, rows...)
		if i%3 > 0 {
			landed = append(landed, driver.Range{Token: r.Token, Rows: int64(len(rows))})
			kept[r.Token] = rows
		}
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	same(t, want, all)

	src.rangeSize = 32 << 10
	defer func() { src.rangeSize = 64 << 10 }()
	slices.Reverse(landed)
	again, err := src.Scan(t.Context(), table, landed)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if len(again.Kept()) != len(landed) {
		t.Errorf("%d of %d ranges are kept", len(again.Kept()), len(landed))
	}
	all = nil
	for _, r := range again.Kept() {
		all = append(all, kept[r.Token]...)
	}
	for _, r := range again.Unread() {
		all = append(all, keysOf(t, again.Read(t.Context(), r))...)
	}
	same(t, want, all)
}

// reads is how many rows the server has read for the session.
func reads(t *testing.T, c *session.Session) int64 {
	t.Helper()
	var n int64
	err := c.Query(t.Context(), "SHOW SESSION STATUS LIKE 'Handler_read_next'", func(row []*string) error {
		n += session.Integer(row[1])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// session is the one that the next Read takes.
func (sc *scan) session() *session.Session { return sc.free[len(sc.free)-1] }

// testMoment: reads at the same time are of one moment, as long as there are no more than
// snapshots, and later ones are of a later one.
func testMoment(t *testing.T, db *sql.DB, src *source, table driver.Table) {
	scan, err := src.Scan(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer scan.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE written SET n = 1"); err != nil {
		t.Fatal(err)
	}
	// The first two are read at the same time, each batch by batch in turn.
	unread := scan.Unread()
	var rows []string
	batch := func(b driver.Batch, err error) iter.Seq2[driver.Batch, error] {
		return func(yield func(driver.Batch, error) bool) { yield(b, err) }
	}
	next, stop := iter.Pull2(scan.Read(t.Context(), unread[0]))
	defer stop()
	b, failed, _ := next()
	rows = append(rows, keysOf(t, batch(b, failed))...)
	rows = append(rows, keysOf(t, scan.Read(t.Context(), unread[1]))...)
	for b, failed, ok := next(); ok; b, failed, ok = next() {
		rows = append(rows, keysOf(t, batch(b, failed))...)
	}
	for _, r := range unread[2:] {
		rows = append(rows, keysOf(t, scan.Read(t.Context(), r))...)
	}
	if len(rows) != 4000 || slices.ContainsFunc(rows, func(row string) bool { return !strings.Contains(row, "|0|") }) {
		t.Errorf("%d rows are not those of the Scan's moment", len(rows))
	}
}

// testChanged: a column that is retyped during a Scan is not read as what it was.
func testChanged(t *testing.T, db *sql.DB, src *source, table driver.Table) {
	scan, err := src.Scan(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer scan.Close()
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE changed MODIFY n varchar(20) NOT NULL"); err != nil {
		t.Fatal(err)
	}
	for i, r := range scan.Unread() {
		for b, err := range scan.Read(t.Context(), r) {
			if err == nil {
				b.Record.Release()
				t.Fatalf("range %d of a table that is another now was read", i)
			}
		}
	}
}

func FuzzToken(f *testing.F) {
	k := &key{sign: "0123456789abcdef", columns: []keyColumn{{quote: "`a`", form: formInteger}, {quote: "`b`", form: formText, charset: "latin1", collation: "latin1_bin"}, {quote: "`c`", form: formMoment}, {quote: "`d`", form: formUUID}}}
	f.Add(k.token(interval{bound{"-5", "616263", "2024-01-02 03:04:05", "00112233-4455-6677-8899-aabbccddeeff"}, bound{"7"}}))
	f.Add(k.token(interval{nil, nil}))
	f.Add(`{"key":"0123456789abcdef","lo":["1 OR 1=1"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, ok := k.parse(text)
		if !ok {
			return
		}
		if again, ok := k.parse(k.token(v)); !ok || fmt.Sprint(again) != fmt.Sprint(v) {
			t.Fatalf("%q became %v, then %v", text, v, again)
		}
		// Values reach a statement as constants only.
		where := k.where(v)
		for _, word := range []string{"--", "/*", ";", "#", "\\", "\n", "OR 1"} {
			if strings.Contains(where, word) {
				t.Fatalf("%q became %s", text, where)
			}
		}
	})
}
