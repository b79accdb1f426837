package mysql

import (
	"errors"
	"net"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

const oddDays = `SET sql_mode = '';
CREATE TABLE days (id int PRIMARY KEY, d date NOT NULL, at datetime, t varchar(9) CHARACTER SET ascii); INSERT INTO days VALUES (1, '2024-02-29', NULL, 'x'), (7, '0000-00-00', '2024-02-00 00:00:00', _ascii x'41e4'), (9, '2024-00-10', '2024-02-29 01:02:03', NULL);
CREATE TABLE keyed (d date PRIMARY KEY); INSERT INTO keyed VALUES ('0000-00-00');`

// A day that is none ends the table by default, with the row's key and the way
// out; or it lands as text, or as NULL, counted.
func TestOddDays(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run(t, db, oddDays)
	const null = "\x00NULL"
	for name, c := range map[string]struct {
		change func(*session.Settings)
		table  string
		rows   []string
		says   []string // parts of the error, or of the notes
	}{
		"fail": {func(*session.Settings) {}, "days", nil, []string{"column d, row 2 (id = 7)", "column_types", "on_bad_value"}},
		"as text": {func(s *session.Settings) {
			s.ColumnTypes = map[string]string{"days.d": "string", "at": "string", "t": "string"}
			s.OnBadValue = "null"
		}, "days", []string{"1|2024-02-29|" + null + "|x", "7|0000-00-00|2024-02-00 00:00:00|" + null, "9|2024-00-10|2024-02-29 01:02:03|" + null}, []string{"1 value of headwater.days.t", "id = 7"}},
		"as NULL":    {func(s *session.Settings) { s.OnBadValue = "null" }, "days", []string{"1|2024-02-29|" + null + "|x", "7|" + null + "|" + null + "|" + null, "9|" + null + "|2024-02-29T01:02:03.000000|" + null}, []string{"2 values of headwater.days.d", "the first is in row 2 (id = 7)", "1 value of headwater.days.at"}},
		"but no key": {func(s *session.Settings) { s.OnBadValue = "null" }, "keyed", nil, []string{"column d, row 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			src := openSource(t, settingsOf(server, c.change))
			found, err := src.Discover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			table := found[0]
			if table.Name != c.table {
				table = found[1]
			}
			var rows, notes []string
			for b, failed := range src.Read(t.Context(), table, driver.Cursor{}) {
				if err = failed; err != nil {
					break
				}
				rows = append(rows, keysOf(t, func(yield func(driver.Batch, error) bool) { yield(driver.Batch{Record: b.Record}, nil) })...)
				notes = append(notes, b.Notes...)
			}
			told := strings.Join(notes, " ")
			if c.rows == nil {
				if !errors.Is(err, driver.ErrBadData) {
					t.Fatalf("Read = %v", err)
				}
				told = err.Error()
			} else if err != nil {
				t.Fatal(err)
			}
			same(t, c.rows, rows)
			for _, want := range c.says {
				if !strings.Contains(told, want) {
					t.Errorf("%q does not say %q", told, want)
				}
			}
		})
	}
}

// Who writes to a table without versions of rows need not wait for us to take
// what we asked for.
func TestWritersOfLockedTables(t *testing.T) {
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run(t, db, "CREATE TABLE logbook (id int PRIMARY KEY, v varchar(1300)) ENGINE=MyISAM; INSERT INTO logbook SELECT seq, REPEAT('x', 1205) FROM seq_1_to_30000; CREATE TABLE inno (id int PRIMARY KEY)")
	src := openSource(t, settingsOf(server, func(*session.Settings) {}))
	found, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	src = openThrough(t, settingsOf(server, func(*session.Settings) {}), driver.Config{Dial: (&net.Dialer{}).DialContext, Limits: driver.Limits{BatchRows: 100}}) // what lies ready here is little of the table
	rows := int64(0)
	for b, err := range src.Read(t.Context(), found[1], driver.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		if rows == 0 { // most rows are still on the server's side
			run(t, db, "SET SESSION lock_wait_timeout = 5, max_statement_time = 5; UPDATE logbook SET v = 'y' WHERE id = 29999")
		}
		rows += b.Record.NumRows()
		b.Record.Release()
	}
	if rows != 30000 {
		t.Errorf("%d rows", rows)
	}
	if notes := strings.Join(found[1].Notes, " "); !strings.Contains(notes, "several moments") || len(found[0].Notes) > 0 {
		t.Errorf("the notes are %q and %q", notes, found[0].Notes)
	}
	whole := tableInfo{Table: driver.Table{Name: "t", Kind: "table"}, engine: "Aria"}
	if note := whole.locking(); !strings.Contains(note, "while it is read") {
		t.Errorf("a table without a key: %q", note)
	}
}
