package sqlite_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

func TestTableThatWasFilledAnewIsReplaced(t *testing.T) {
	const rows = `INSERT INTO t VALUES (1, '2024-01-01 00:00:00', 1), (2, '2024-01-02 00:00:00', 2), (3, '2024-01-03 00:00:00', 3)`
	for _, c := range []struct {
		name, table, cursor string
		then                []string
		replaced            bool
		rows                int
	}{
		{"new rows", `id INTEGER PRIMARY KEY`, "id", []string{`INSERT INTO t VALUES (4, NULL, 4)`}, false, 1},
		{"changed rows", `id INTEGER PRIMARY KEY`, "updated_at", []string{`UPDATE t SET updated_at = '2024-02-01 00:00:00' WHERE id < 3`}, false, 2},
		{"numbers given out again", `id INTEGER PRIMARY KEY`, "id", []string{`DELETE FROM t WHERE id > 1`, `INSERT INTO t (n) VALUES (12), (13), (14)`}, true, 0},
		{"numbers that are not", `id INTEGER PRIMARY KEY AUTOINCREMENT`, "id", []string{`UPDATE t SET n = 7`, `INSERT INTO t (n) VALUES (14)`}, false, 1},
		{"rows deleted at the end", `id INTEGER PRIMARY KEY AUTOINCREMENT`, "id", []string{`DELETE FROM t WHERE id > 1`}, true, 0},
		{"made anew", `id INTEGER PRIMARY KEY`, "updated_at", []string{`DROP TABLE t`, `CREATE TABLE t (id INTEGER PRIMARY KEY, updated_at DATETIME, n INT)`, `INSERT INTO t VALUES (1, '2023-01-01 00:00:00', 1)`}, true, 0},
		{"made anew with newer rows beside old ones", `id INTEGER PRIMARY KEY`, "updated_at", []string{`DROP TABLE t`, `CREATE TABLE t (id INTEGER PRIMARY KEY, updated_at DATETIME, n INT)`, `INSERT INTO t VALUES (1, '2023-01-01 00:00:00', 1), (2, '2023-01-01 00:00:00', 2), (3, '2025-01-01 00:00:00', 3)`}, true, 0},
		{"filled anew with other numbers", `id INTEGER PRIMARY KEY`, "updated_at", []string{`DELETE FROM t`, `INSERT INTO t VALUES (11, '2023-01-01 00:00:00', 1), (12, '2025-01-01 00:00:00', 2)`}, true, 0},
		{"other values under the same times", `id INTEGER PRIMARY KEY`, "updated_at", []string{`UPDATE t SET n = n + 10`}, true, 0},
		{"made anew with newer rows under the same numbers", `id INTEGER PRIMARY KEY`, "updated_at", []string{`DROP TABLE t`, `CREATE TABLE t (id INTEGER PRIMARY KEY, updated_at DATETIME, n INT)`, `INSERT INTO t VALUES (0, '2023-01-01 00:00:00', 0), (1, '2025-01-01 00:00:00', 1), (2, '2025-01-01 00:00:00', 2), (3, '2025-01-01 00:00:00', 3)`}, true, 0},
		{"one row of other values", `id INTEGER PRIMARY KEY`, "updated_at", []string{`UPDATE t SET n = 7 WHERE id = 1`, `INSERT INTO t VALUES (4, '2025-01-01 00:00:00', 4)`}, false, 1},
		{"old rows deleted", `id INTEGER PRIMARY KEY`, "updated_at", []string{`DELETE FROM t WHERE id < 3`, `INSERT INTO t VALUES (4, '2025-01-01 00:00:00', 4)`}, false, 1},
		{"filled anew without a key", `id INT`, "updated_at", []string{`DELETE FROM t`, `INSERT INTO t VALUES (1, '2023-01-01 00:00:00', 1), (2, '2023-01-01 00:00:00', 2), (3, '2025-01-01 00:00:00', 3)`}, true, 0},
		{"by an index", `id INTEGER PRIMARY KEY`, "n", []string{`DELETE FROM t WHERE n = 3`}, true, 0},
		{"emptied", `id INTEGER PRIMARY KEY`, "updated_at", []string{`DELETE FROM t`}, true, 0},
		{"without row numbers, filled with older rows", `id INTEGER PRIMARY KEY`, "updated_at", []string{`DELETE FROM t`, `INSERT INTO t VALUES (1, '2023-01-01 00:00:00', 1)`}, true, 0},
		{"without row numbers, a row more", `id INTEGER PRIMARY KEY`, "updated_at", []string{`INSERT INTO t VALUES (4, '2025-01-01 00:00:00', 4)`}, false, 1},
		{"computed columns", `g INT AS (n + 1), id INTEGER PRIMARY KEY`, "id", []string{`INSERT INTO t (id, n) VALUES (9, 9)`}, false, 1},
	} {
		insert, end := rows, ""
		if strings.HasPrefix(c.name, "without row numbers") {
			end = " WITHOUT ROWID"
		}
		if c.name == "computed columns" {
			insert = `INSERT INTO t (id, updated_at, n) VALUES (1, NULL, 1), (2, NULL, 2)`
		}
		files, dir := create(t, "a.db", `CREATE TABLE t (`+c.table+`, updated_at DATETIME, n INT)`+end, insert, `CREATE INDEX t_n ON t(n)`)
		src, err := open(t, files, `{"path":"a.db"}`, driver.Limits{BatchRows: 1})
		if err != nil {
			t.Fatal(err)
		}
		tables, err := src.Discover(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, reached, err := read(t, src, tables[0], driver.Cursor{Column: c.cursor})
		if err != nil || reached == nil || len(reached.Position) == 0 {
			t.Fatalf("%s: %+v, %v", c.name, reached, err)
		}
		from := []driver.Cursor{*reached}
		if scan, err := src.(driver.Scanner).Scan(t.Context(), tables[0], nil); err == nil {
			start := scan.(driver.Moments).Start(c.cursor)
			scan.Close()
			start.Value = reached.Value
			from = append(from, start)
		} else if c.cursor != "id" { // the largest that was read is not what a place says
			start, err := src.(driver.Placer).Place(t.Context(), tables[0], c.cursor)
			if err != nil {
				t.Fatal(err)
			}
			start.Value = reached.Value
			from = append(from, start)
		}
		if rows, _, err := read(t, src, tables[0], from[0]); err != nil || len(rows) != 0 {
			t.Errorf("%s: at once: %v, %v", c.name, rows, err)
		}
		if err := replace(t.Context(), filepath.Join(dir, "a.db"), c.then...); err != nil {
			t.Fatal(err)
		}
		for _, from := range from {
			rows, _, err := read(t, src, tables[0], from)
			if errors.Is(err, driver.ErrReplaced) != c.replaced || !c.replaced && (err != nil || len(rows) != c.rows) {
				t.Errorf("%s: %v, %v", c.name, rows, err)
			}
		}
	}
}
