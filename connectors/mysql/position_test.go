package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

const historyTables = `
CREATE TABLE prices (id int PRIMARY KEY, v varchar(10)); INSERT INTO prices VALUES (1, 'old'), (2, 'old'), (3, 'old');
CREATE TABLE log (id int PRIMARY KEY AUTO_INCREMENT, v varchar(10), updated_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)); INSERT INTO log (v, updated_at) SELECT seq, '2024-01-01' FROM seq_1_to_100;
CREATE TABLE queue (id int PRIMARY KEY AUTO_INCREMENT, v varchar(10)); INSERT INTO queue (v) SELECT seq FROM seq_1_to_100;
CREATE TABLE bare (at datetime NOT NULL, v int); INSERT INTO bare VALUES ('2024-01-01', 1), ('2024-01-02', 2);
CREATE TABLE empty (id int PRIMARY KEY, v int); INSERT INTO empty VALUES (3, 1);
CREATE TABLE high (id int PRIMARY KEY AUTO_INCREMENT, v int); INSERT INTO high VALUES (51, 1), (52, 1), (53, 1);
CREATE VIEW recent AS SELECT at, v FROM bare WHERE v < 10;
CREATE TABLE maybe (id int PRIMARY KEY, at timestamp(6) NULL); INSERT INTO maybe VALUES (1, '2024-01-01'), (2, NULL), (3, '2024-01-02');
CREATE USER plain IDENTIFIED BY 'plain-pass-2291'; GRANT SELECT ON headwater.* TO plain;`

// history is a table that is read again and again by a cursor.
type history struct {
	t     *testing.T
	src   *source
	table string
	at    driver.Cursor
	fresh bool
}

// read returns the rows at the cursor and behind it, and goes on there.
func (h *history) read() (rows, notes []string, err error) {
	h.t.Helper()
	found, err := h.src.Discover(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, table := range found {
		if table.Name != h.table {
			continue
		}
		h.at.Inclusive = true
		rows = nil
		for b, err := range h.src.Read(h.t.Context(), table, h.at) {
			if err != nil {
				return nil, nil, err
			}
			rows = append(rows, keysOf(h.t, func(yield func(driver.Batch, error) bool) { yield(driver.Batch{Record: b.Record}, nil) })...)
			notes = append(notes, b.Notes...)
			if b.Resume != nil {
				h.at.Value, h.at.Position = b.Resume.Value, b.Resume.Position
				if !h.fresh { // as if the table had been there for a while
					h.at.Position = bytes.ReplaceAll(h.at.Position, []byte(`"fresh":true`), []byte(`"fresh":false`))
				}
			}
		}
		return rows, notes, nil
	}
	h.t.Fatalf("no table %s", h.table)
	return nil, nil, nil
}

func run(t *testing.T, db *sql.DB, statements string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

// A table that is another one is not gone on from; one that only looks so is.
func TestReplaced(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	later := "DO SLEEP(1.1);" // times of creation have whole seconds
	for _, c := range []struct {
		name, table, column, change string
		replaced                    bool
		note                        string
		rows                        int
	}{
		{name: "nothing", table: "log", column: "id", rows: 1},
		{name: "a row more", table: "prices", column: "id", change: "INSERT INTO prices VALUES (4, 'new')", rows: 2},
		{name: "swapped", table: "prices", column: "id", change: later + "CREATE TABLE n LIKE prices; INSERT INTO n VALUES (1, 'new'), (2, 'new'), (3, 'new'), (4, 'new'); RENAME TABLE prices TO o, n TO prices", replaced: true},
		{name: "swapped by one that differs in a row", table: "prices", column: "id", change: later + "CREATE TABLE n LIKE prices; INSERT INTO n VALUES (1, 'old'), (2, 'new'), (3, 'old'), (4, 'x'); RENAME TABLE prices TO o, n TO prices", replaced: true},
		{name: "swapped for an empty one", table: "prices", column: "id", change: later + "CREATE TABLE n LIKE prices; RENAME TABLE prices TO o, n TO prices", replaced: true},
		{name: "truncated and loaded", table: "log", column: "updated_at", change: "TRUNCATE log; INSERT INTO log (v, updated_at) SELECT seq + 1, '2024-01-01' FROM seq_1_to_100", replaced: true},
		{name: "truncated and loaded longer", table: "log", column: "id", change: "TRUNCATE log; INSERT INTO log (v, updated_at) SELECT seq + 1, '2024-01-01' FROM seq_1_to_200", replaced: true},
		{name: "loaded again, some rows with older times", table: "maybe", column: "at", change: "TRUNCATE maybe; INSERT INTO maybe VALUES (1, '2023-01-01'), (2, '2023-01-01'), (3, '2023-01-01'), (4, '2025-01-01')", replaced: true},
		{name: "rows that moved on", table: "maybe", column: "at", change: "UPDATE maybe SET at = '2025-01-01'", rows: 3},
		{name: "truncated", table: "queue", column: "id", change: "TRUNCATE queue", replaced: true},
		{name: "emptied and filled on", table: "queue", column: "id", change: "DELETE FROM queue; INSERT INTO queue (v) VALUES ('x')", rows: 1},
		{name: "truncated and loaded past its numbers", table: "high", column: "id", change: "TRUNCATE high; INSERT INTO high VALUES (1, 1), (2, 1), (90, 1)", replaced: true},
		{name: "altered", table: "log", column: "id", change: later + "ALTER TABLE log ADD note int", note: "altered", rows: 1},
		{name: "an index", table: "log", column: "updated_at", change: later + "ALTER TABLE log ADD INDEX (updated_at)", note: "altered", rows: 100},
		{name: "all rows updated", table: "log", column: "updated_at", change: "UPDATE log SET v = 'y'", rows: 100},
		{name: "no key, loaded with older", table: "bare", column: "at", change: "TRUNCATE bare; INSERT INTO bare VALUES ('2023-01-01', 1)", replaced: true},
		{name: "no key, loaded with older and newer", table: "bare", column: "at", change: "TRUNCATE bare; INSERT INTO bare VALUES ('2023-01-01', 1), ('2025-01-01', 1)", replaced: true},
		{name: "no key, made anew within the second", table: "bare", column: "at", change: "DROP TABLE bare; CREATE TABLE bare (at datetime NOT NULL, v int); INSERT INTO bare VALUES ('2023-01-01', 1), ('2025-01-01', 1)", replaced: true},
		{name: "no key, deleted and loaded with older", table: "bare", column: "at", change: "DELETE FROM bare; INSERT INTO bare VALUES ('2023-01-01', 1)", replaced: true},
		{name: "no key, its last rows deleted", table: "bare", column: "at", change: "DELETE FROM bare WHERE v = 2", replaced: true},
		{name: "no key, emptied", table: "bare", column: "at", change: "DELETE FROM bare", note: "no row now"},
		{name: "emptied", table: "empty", column: "id", change: "DELETE FROM empty", note: "no row now"},
		{name: "a view", table: "recent", column: "at", change: "INSERT INTO bare VALUES ('2024-01-02', 3)", rows: 2},
		{name: "a view of other rows", table: "recent", column: "at", change: "CREATE OR REPLACE VIEW recent AS SELECT at - INTERVAL 1 YEAR AS at, v FROM bare", replaced: true},
		{name: "no key, a row more", table: "bare", column: "at", change: "INSERT INTO bare VALUES ('2024-01-02', 3)", rows: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, db, "DROP DATABASE headwater; CREATE DATABASE headwater; USE headwater; DROP USER IF EXISTS plain;"+historyTables)
			h := &history{t: t, src: openSource(t, settingsOf(server, func(*session.Settings) {})), table: c.table, at: driver.Cursor{Column: c.column}}
			if _, _, err := h.read(); err != nil {
				t.Fatal(err)
			}
			if c.change != "" {
				run(t, db, "USE headwater;"+c.change)
			}
			rows, notes, err := h.read()
			if got := errors.Is(err, driver.ErrReplaced); got != c.replaced || err != nil && !got {
				t.Fatalf("Read = %v, want replaced: %t", err, c.replaced)
			}
			if len(rows) != c.rows {
				t.Errorf("%d rows, want %d", len(rows), c.rows)
			}
			if told := strings.Join(notes, " "); (c.note != "") != (told != "") || !strings.Contains(told, c.note) {
				t.Errorf("notes: %q, want %q", told, c.note)
			}
		})
	}
}

// A table that is altered in the second in which it was made shows no sign of it.
func TestAlteredWithinItsSecond(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run(t, db, historyTables+"ALTER TABLE bare ADD more int DEFAULT 1")
	h := &history{t: t, src: openSource(t, settingsOf(server, func(*session.Settings) {})), table: "bare", at: driver.Cursor{Column: "at"}, fresh: true}
	if _, _, err := h.read(); err != nil {
		t.Fatal(err)
	}
	run(t, db, "ALTER TABLE bare DROP more, ALGORITHM=INSTANT; ALTER TABLE bare ADD more int DEFAULT 2, ALGORITHM=INSTANT")
	if _, _, err := h.read(); !errors.Is(err, driver.ErrReplaced) {
		t.Errorf("Read = %v, want that it was replaced", err)
	}
	run(t, db, "DO SLEEP(2.1)")
	h.at = driver.Cursor{Column: "at"}
	for range 2 { // an older one is gone on with
		if _, _, err := h.read(); err != nil {
			t.Errorf("Read = %v", err)
		}
	}
}

// A table that was seen empty holds new rows alone, wherever their cursors lie.
func TestFilledAfterEmpty(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run(t, db, historyTables)
	for _, c := range []struct{ table, column, empty, fill string }{
		{"bare", "at", "DELETE FROM bare", "INSERT INTO bare VALUES ('2023-01-01', 1), ('2025-01-01', 2)"},
		{"empty", "id", "DELETE FROM empty", "INSERT INTO empty VALUES (1, 1), (9, 1)"},
	} {
		h := &history{t: t, src: openSource(t, settingsOf(server, func(*session.Settings) {})), table: c.table, at: driver.Cursor{Column: c.column}}
		for _, change := range []string{"DO 0", c.empty, "DO 0"} {
			run(t, db, change)
			if _, _, err := h.read(); err != nil {
				t.Fatal(err)
			}
		}
		run(t, db, c.fill)
		if _, _, err := h.read(); !errors.Is(err, driver.ErrReplaced) {
			t.Errorf("%s: Read = %v, want that it was replaced", c.table, err)
		}
	}
}

// Rows of a transaction that was open during a read come with the next one.
func TestLateCommits(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run(t, db, historyTables)
	for _, column := range []string{"id", "updated_at"} {
		for _, first := range []bool{true, false} { // open before anything was read, or since
			h := &history{t: t, src: openSource(t, settingsOf(server, func(*session.Settings) {})), table: "log", at: driver.Cursor{Column: column}}
			if !first {
				if _, _, err := h.read(); err != nil {
					t.Fatal(err)
				}
				run(t, db, "DO SLEEP(2.1)") // the catalog of transactions has whole seconds
			}
			late, err := db.BeginTx(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := late.ExecContext(t.Context(), "INSERT INTO log (v) VALUES ('late')"); err != nil {
				t.Fatal(err)
			}
			run(t, db, "DO SLEEP(1.1); INSERT INTO log (v) VALUES ('early')")
			rows, _, err := h.read()
			if err != nil || !strings.Contains(strings.Join(rows, " "), "early") || strings.Contains(strings.Join(rows, " "), "late") {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			if err := late.Commit(); err != nil {
				t.Fatal(err)
			}
			rows, _, err = h.read()
			if err != nil || !strings.Contains(strings.Join(rows, " "), "late") {
				t.Errorf("by %s, first %t: the late row did not come: %d rows, %v", column, first, len(rows), err)
			}
			if !first && len(rows) > 4 {
				t.Errorf("by %s: %d rows for one that was late", column, len(rows))
			}
			run(t, db, "DELETE FROM log WHERE v IN ('late', 'early')")
		}
	}
	plain := openSource(t, settingsOf(server, func(s *session.Settings) { s.Username, s.Password = "plain", "plain-pass-2291" }))
	found, err := plain.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range found {
		if told := strings.Contains(strings.Join(table.CursorNotes, " "), "GRANT PROCESS"); told != (table.Cursor != "") {
			t.Errorf("%s by %q: %q", table, table.Cursor, table.CursorNotes)
		}
	}
	// Rows without a value come when they are asked for.
	h := &history{t: t, src: plain, table: "maybe", at: driver.Cursor{Column: "at"}}
	if _, _, err := h.read(); err != nil {
		t.Fatal(err)
	}
	h.at.Nulls = true
	if rows, _, err := h.read(); err != nil || len(rows) != 2 || !strings.HasPrefix(rows[0], "2|") {
		t.Errorf("with NULL: %q, %v", rows, err)
	}
}
