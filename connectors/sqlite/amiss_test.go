package sqlite_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/sqlite"
)

// landedOf returns the rows and the notes of a read, or of all ranges of a Scan.
func landedOf(t *testing.T, batches func(yield func(driver.Batch, error) bool)) (rows, notes []string, err error) {
	t.Helper()
	for b, err := range batches {
		if err != nil {
			return rows, notes, err
		}
		for i := range int(b.Record.NumRows()) {
			var row []string
			for c := range int(b.Record.NumCols()) {
				row = append(row, drivertest.Text(b.Record.Column(c), i))
			}
			rows = append(rows, strings.ReplaceAll(strings.Join(row, "|"), null, "NULL"))
		}
		notes = append(notes, b.Notes...)
		b.Record.Release()
	}
	return rows, notes, nil
}

// What a column's type cannot hold ends the table by default, and lands as NULL
// where that is asked for: counted, and told once.
func TestBadValues(t *testing.T) {
	t.Parallel()
	files, _ := create(t, "a.db",
		`CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, d DATE, at DATETIME, price DECIMAL, s TEXT, ok BOOLEAN, raw BLOB)`,
		`INSERT INTO t VALUES (5, 1, '2024-02-29', '2024-02-29 10:00:00', 1.5, 'a', 1, x'00')`,
		`INSERT INTO t VALUES (7, 'one', '2024-02-30', '24:00', 9e999, CAST(x'ff' AS TEXT), 2, 'text')`,
		`INSERT INTO t VALUES (9, 2.5, '10000-01-01', '2024-03-01 00:00:00', -9e999, x'61', 'yes', NULL)`,
		`CREATE TABLE keyed (word TEXT NOT NULL, part INTEGER NOT NULL, n INTEGER, PRIMARY KEY (word, part)) WITHOUT ROWID`,
		`INSERT INTO keyed VALUES ('a', 1, 1), ('b', 2, 'x'), ('c', 'y', 3)`)
	const typed = `{"path":"a.db","sample_rows":1,"column_types":{"price":"decimal(9,2)"}%s}`
	table := func(settings, name string) (driver.Source, driver.Table) {
		src, err := open(t, files, settings, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		tables, err := src.Discover(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range tables {
			if found.Name == name {
				return src, found
			}
		}
		t.Fatalf("no table %s", name)
		return nil, driver.Table{}
	}
	for _, setting := range []string{"", `,"on_bad_value":"fail"`} {
		src, fails := table(fmt.Sprintf(typed, setting), "t")
		if fails.Columns[1].Nullable {
			t.Error("n may be NULL where nothing lands as NULL")
		}
		_, _, err := landedOf(t, src.Read(t.Context(), fails, driver.Cursor{}))
		if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "row 2 (id = 7)") || !strings.Contains(err.Error(), "on_bad_value") {
			t.Errorf("fail: %v", err)
		}
	}
	settings := fmt.Sprintf(typed, `,"on_bad_value":"null"`)
	src, nulls := table(settings, "t")
	if nulls.Columns[0].Nullable || !nulls.Columns[1].Nullable {
		t.Errorf("the columns are %+v", nulls.Columns)
	}
	rows, notes, err := landedOf(t, src.Read(t.Context(), nulls, driver.Cursor{}))
	want := []string{"5|1|2024-02-29|2024-02-29T10:00:00.000000|1.50|a|true|00",
		"7|NULL|NULL|NULL|NULL|NULL|NULL|74657874", "9|NULL|NULL|2024-03-01T00:00:00.000000|NULL|NULL|NULL|NULL"}
	if err != nil || fmt.Sprintf("%q", rows) != fmt.Sprintf("%q", want) {
		t.Errorf("null: %q, want %q, %v", rows, want, err)
	}
	told := strings.Join(notes, "\n")
	for _, part := range []string{"2 values of t.n that its type cannot hold landed as NULL; the first is in row 2 (id = 7).", "1 value of t.at that its type cannot hold landed as NULL; it is in", "2 values of t.price", "2 values of t.s", "2 values of t.ok"} {
		if strings.Count(told, part) != 1 {
			t.Errorf("%q does not say %q once", told, part)
		}
	}
	if len(notes) != 6 {
		t.Errorf("%d notes: %q", len(notes), notes)
	}
	src, keyed := table(settings, "keyed")
	_, notes, err = landedOf(t, src.Read(t.Context(), keyed, driver.Cursor{}))
	if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), `column "part"`) || strings.Contains(err.Error(), "on_bad_value") {
		t.Errorf("a key: %v, notes %q", err, notes)
	}
}

// The notes come with the last batch, also where all batches before it were full
// and the read follows a cursor; and what lands as NULL is no cursor.
func TestBadValuesAreToldAtTheEnd(t *testing.T) {
	t.Parallel()
	files, _ := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)`, `CREATE INDEX t_n ON t (n)`,
		`INSERT INTO t VALUES (1, 10), (2, 20), (3, 'x'), (4, 5)`)
	src, err := open(t, files, `{"path":"a.db","sample_rows":2,"on_bad_value":"null"}`, driver.Limits{BatchRows: 2})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	five := "5"
	for _, c := range []struct {
		from driver.Cursor
		rows string
	}{
		{driver.Cursor{}, "[1|10 2|20 3|NULL 4|5]"},
		{driver.Cursor{Column: "id"}, "[1|10 2|20 3|NULL 4|5]"},
		{driver.Cursor{Column: "n", Value: &five}, "[1|10 2|20]"},
	} {
		rows, notes, err := landedOf(t, src.Read(t.Context(), tables[0], c.from))
		if err != nil || fmt.Sprint(rows) != c.rows {
			t.Errorf("by %q: %v, %v", c.from.Column, rows, err)
		}
		if len(notes) != 1 || !strings.HasPrefix(notes[0], "1 value of t.n ") || !strings.Contains(notes[0], "row 3 (id = 3)") {
			t.Errorf("by %q: notes %q", c.from.Column, notes)
		}
	}
}

// A range tells of its own rows.
func TestBadValuesOfRanges(t *testing.T) {
	t.Parallel()
	files, _ := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i * 3, i FROM n`, `UPDATE t SET a = 'x' WHERE id = 6000`)
	src, err := sqlite.Dividing(4096).Open(t.Context(), driver.Config{Settings: json.RawMessage(`{"path":"a.db","sample_rows":9,"on_bad_value":"null"}`), Files: files, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scan, err := src.(driver.Scanner).Scan(t.Context(), tables[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer scan.Close()
	var rows, notes []string
	for _, r := range scan.Unread() {
		some, told, err := landedOf(t, scan.Read(t.Context(), r))
		if err != nil {
			t.Fatal(err)
		}
		rows, notes = append(rows, some...), append(notes, told...)
	}
	if len(rows) != 3000 || len(notes) != 1 || !strings.Contains(notes[0], "row 2000 (id = 6000)") {
		t.Errorf("%d rows, notes %q", len(rows), notes)
	}
}
