package mysql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

const oddTables = `SET sql_mode = '';
CREATE TABLE latin (t varchar(20) CHARACTER SET latin1); INSERT INTO latin VALUES (_binary x'8190ffe43f'), (_binary x'00410000');
CREATE TABLE japanese (t varchar(20) CHARACTER SET sjis, e enum('あ') CHARACTER SET sjis); INSERT INTO japanese VALUES (_binary x'8140815c3f', 'あ'), (NULL, NULL);
CREATE TABLE three (t varchar(20) CHARACTER SET utf8mb3); INSERT INTO three VALUES ('Grüße€'), ('?'), ('');
CREATE TABLE nul (t text CHARACTER SET utf8mb4, b varbinary(9), c char(9)); INSERT INTO nul VALUES (_utf8mb4 x'61006200', x'0000', _utf8mb4 x'00');
CREATE TABLE digits (d decimal(65,30), w decimal(65,0)); INSERT INTO digits VALUES (REPEAT('9', 35), REPEAT('9', 65)), (CONCAT('-0.', REPEAT('7', 30)), CONCAT('-', REPEAT('9', 65)));
CREATE TABLE filled (z int(9) zerofill, b bigint zerofill, d decimal(12,3) zerofill); INSERT INTO filled VALUES (42, 18446744073709551615, 1.5);
CREATE TABLE Cased (a int); CREATE TABLE cased (b int); CREATE TABLE CASED (c int); INSERT INTO Cased VALUES (1); INSERT INTO cased VALUES (2); INSERT INTO CASED VALUES (3);
CREATE TABLE bad_mb4 (id int, t varchar(20) CHARACTER SET utf8mb4); INSERT INTO bad_mb4 VALUES (1, 'good'), (2, _utf8mb4 x'eda080');
CREATE TABLE bad_mb3 (id int, t varchar(20) CHARACTER SET utf8mb3); INSERT INTO bad_mb3 VALUES (1, 'good'), (2, _utf8mb3 x'eda080');
CREATE TABLE bad_ascii (id int, t varchar(20) CHARACTER SET ascii); INSERT INTO bad_ascii VALUES (1, 'good'), (2, _ascii x'41e442');
CREATE TABLE bad_sjis (id int, t varchar(20) CHARACTER SET sjis); INSERT INTO bad_sjis VALUES (1, 'good'), (2, _binary x'f0408540');
CREATE TABLE bad_json (id int, t longtext CHARACTER SET utf8mb4 CHECK (json_valid(t))); INSERT INTO bad_json VALUES (1, '{}'), (2, CONCAT('"', _utf8mb4 x'eda080', '"'));
CREATE TABLE bad_date (id int, t date); INSERT INTO bad_date VALUES (1, '2024-02-29'), (2, '0000-00-00');
CREATE TABLE bad_day (id int, t date); INSERT INTO bad_day VALUES (1, '2024-02-29'), (2, '2024-02-00');
CREATE TABLE bad_stamp (id int, t timestamp NULL); INSERT INTO bad_stamp VALUES (1, '2024-02-29'), (2, 0);
CREATE TABLE bad_datetime (id int, t datetime(6)); INSERT INTO bad_datetime VALUES (1, '2024-02-29'), (2, '0000-00-00');
CREATE TABLE events (id bigint PRIMARY KEY, t timestamp(6) NOT NULL); INSERT INTO events SELECT seq, '2024-01-01' + INTERVAL seq SECOND FROM seq_1_to_100;
CREATE TABLE long_row (id int, t longtext); INSERT INTO long_row VALUES (1, 'short'), (2, REPEAT('x', 17 * 1024 * 1024)), (3, REPEAT('y', 16777215 - 6)), (4, 'short');
`

// Values that few schemas have and readers get wrong: what is read is what is
// stored, or an error that names the row.
func TestFidelity(t *testing.T) {
	server := servers.MariaDBWith(t, "--max-allowed-packet=64M", "--character-set-server=latin1")
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	names := make([]string, 4096)
	for i := range names {
		names[i] = fmt.Sprintf("seq + %d AS c%d", i, i)
	}
	// MariaDB's tables have no room for that many definitions, its views do.
	most := "CREATE VIEW most AS SELECT " + strings.Join(names, ", ") + " FROM seq_0_to_1"
	if _, err := db.ExecContext(t.Context(), oddTables+most); err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	settings := settingsOf(server, func(*session.Settings) {})
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return counting{conn, &sent}, err
	}
	src := openSource(t, settings)
	found, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]driver.Table{}
	for _, table := range found {
		tables[table.Name] = table
	}
	const null = "\x00NULL"
	for name, want := range map[string][]string{
		"latin":    {"\u0081\u0090ÿä?", "\x00A\x00\x00"},
		"japanese": {"\u3000―?|あ", null + "|" + null},
		"three":    {"Grüße€", "?", ""},
		"nul":      {"a\x00b\x00|0000|\x00"},
		"digits":   {strings.Repeat("9", 35) + "." + strings.Repeat("0", 30) + "|" + strings.Repeat("9", 65), "-0." + strings.Repeat("7", 30) + "|-" + strings.Repeat("9", 65)},
		"filled":   {"42|18446744073709551615|1.500"},
		"Cased":    {"1"}, "cased": {"2"}, "CASED": {"3"},
		"most": {series(0, 4096), series(1, 4097)},
	} {
		t.Run(name, func(t *testing.T) { same(t, want, keysOf(t, src.Read(t.Context(), tables[name], driver.Cursor{}))) })
	}
	for name, table := range tables {
		if !strings.HasPrefix(name, "bad_") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			err := failure(t, src, table)
			want := fmt.Sprintf("table headwater.%s, column t, row 2: ", name)
			if !errors.Is(err, driver.ErrBadData) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("Read = %v, want bad data in %s", err, want)
			}
		})
	}
	t.Run("LongRows", func(t *testing.T) {
		rows := keysOf(t, src.Read(t.Context(), tables["long_row"], driver.Cursor{}))
		want := []string{"1|short", "2|" + strings.Repeat("x", 17<<20), "3|" + strings.Repeat("y", 16777215-6), "4|short"}
		same(t, want, rows)
		limited := openThrough(t, settings, driver.Config{Dial: dial, Limits: driver.Limits{MaxRowBytes: 1 << 20}})
		if err := failure(t, limited, tables["long_row"]); !errors.Is(err, driver.ErrLimit) || !strings.Contains(err.Error(), "row 2 has more bytes") {
			t.Errorf("Read = %v, want the limit in row 2", err)
		}
	})
	t.Run("RoundTrips", func(t *testing.T) {
		testRoundTrips(t, openThrough(t, settings, driver.Config{Dial: dial}), tables["events"], &sent)
	})
}

// testRoundTrips counts what a read sends that finds nothing new. The last
// statement, which ends the transaction, is not waited for.
func testRoundTrips(t *testing.T, src *source, table driver.Table, sent *atomic.Int64) {
	last := "100"
	from := driver.Cursor{Column: "id", Value: &last}
	cold := int64(1 + 2 + 6)                   // login, settings and reading them back, and as below
	for _, want := range []int64{cold, 6, 6} { // open transactions, begin, catalog, both ends, rows, rollback
		before := sent.Load()
		if rows := keysOf(t, src.Read(t.Context(), table, from)); len(rows) > 0 {
			t.Errorf("%d rows are new", len(rows))
		}
		if got := sent.Load() - before; got != want {
			t.Errorf("%d statements were sent, want %d", got, want)
		}
	}
}

// series returns the numbers from first to before end.
func series(first, end int) string {
	var text []string
	for ; first < end; first++ {
		text = append(text, fmt.Sprint(first))
	}
	return strings.Join(text, "|")
}

// keysOf returns the rows of a read as text, values parted by bars.
func keysOf(t *testing.T, batches iter.Seq2[driver.Batch, error]) []string {
	t.Helper()
	rows, err := drivertest.Rows(batches)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, row := range rows {
		keys = append(keys, strings.Join(row, "|"))
	}
	return keys
}

// same compares rows in any order.
func same(t *testing.T, want, got []string) {
	t.Helper()
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if !slices.Equal(want, got) {
		t.Errorf("%d rows, want these %d once each", len(got), len(want))
	}
}

// counting counts what is written.
type counting struct {
	net.Conn
	sent *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	c.sent.Add(1)
	return c.Conn.Write(p)
}

// failure returns the error that a read ends with.
func failure(t *testing.T, src driver.Source, table driver.Table) error {
	t.Helper()
	for b, err := range src.Read(t.Context(), table, driver.Cursor{}) {
		if err != nil {
			return err
		}
		b.Record.Release()
	}
	return nil
}
