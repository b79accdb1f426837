package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/sqlite"
)

// null is short for the suite's NULL.
const null = drivertest.Null

// create runs statements on a database file that it creates, and returns the
// folder's file system.
func create(t testing.TB, name string, statements ...string) (fs.FS, string) {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return rooted(t, dir), dir
}

// rooted is the file system that the registry gives to drivers.
func rooted(t testing.TB, dir string) fs.FS {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root.FS()
}

func open(t testing.TB, files fs.FS, settings string, limits driver.Limits) (driver.Source, error) {
	t.Helper()
	src, err := sqlite.Driver{}.Open(t.Context(), driver.Config{Settings: json.RawMessage(settings), Files: files, Limits: limits, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Cleanup(func() { src.Close() })
	}
	return src, err
}

func col(name string, t driver.Type, nullable bool) driver.Column {
	return driver.Column{Name: name, Type: t, Nullable: nullable}
}

func TestConformance(t *testing.T) {
	files, dir := create(t, "shop.db",
		`CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, price DECIMAL(10,2), paid BOOLEAN, day DATE, at DATETIME, doc JSON, raw BLOB, any)`,
		`INSERT INTO orders VALUES
			(1, 'Ann', 12.5, 1, '2024-02-29', '2024-02-29 10:00:00', '{"a": 1}', x'00ff', 1),
			(2, 'Bö "b"', 3, 0, '2024-03-01', '2024-03-01 11:00:00.5', NULL, x'', 'two'),
			(3, 'Cé', NULL, NULL, NULL, NULL, '[1,2]', NULL, 3.25),
			(9223372036854775807, '', -0.1, 1, '0001-01-01', '9999-12-31 23:59:59', 'null', x'01', NULL)`,
		`CREATE TABLE words (word TEXT PRIMARY KEY, n INTEGER, price INTEGER) WITHOUT ROWID`,
		`INSERT INTO words VALUES ('a', 5, 1), ('b', 5, 2), ('B', 5, 3), ('ä', 6, 4), ('aa', NULL, 'free')`,
		`CREATE INDEX words_n ON words(n)`,
		`CREATE TABLE empty (a INTEGER, b TEXT, c REAL, d DATE)`,
		`CREATE VIEW paid AS SELECT customer, price * 2 AS twice FROM orders WHERE paid = 1`,
		`CREATE VIEW broken AS SELECT * FROM gone`,
		`CREATE VIRTUAL TABLE notes USING fts5(body)`,
		`CREATE TABLE "odd ""name" ("a ""b" INTEGER, "select" TEXT)`,
		`INSERT INTO "odd ""name" VALUES (7, 'x')`,
		`CREATE TABLE big (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO big SELECT i, 'row ' || i FROM n`,
	)
	if err := os.WriteFile(filepath.Join(dir, "zero.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "text.db"), []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "half.db"), whole[:len(whole)/2], 0o600)
	os.WriteFile(filepath.Join(dir, "tiny.db"), whole[:50], 0o600)
	os.Mkdir(filepath.Join(dir, "folder.db"), 0o700)
	os.Symlink("/etc/passwd", filepath.Join(dir, "link.db"))
	var writing sync.Mutex
	writes := 0
	write := func(ctx context.Context) error {
		writing.Lock()
		defer writing.Unlock()
		writes++
		return replace(ctx, filepath.Join(dir, "shop.db"),
			fmt.Sprintf(`UPDATE big SET text = 'written %d ' || id WHERE id %% 97 = %d`, writes, writes%97),
			fmt.Sprintf(`DELETE FROM big WHERE id %% 101 = %d`, writes%101),
			fmt.Sprintf(`INSERT INTO big (text) VALUES ('new %d'), ('new %d and more')`, writes, writes))
	}
	text, integer, float := driver.Of(driver.String), driver.Of(driver.Int64), driver.Of(driver.Float64)
	drivertest.Run(t, drivertest.Harness{
		Driver: sqlite.Dividing(32 << 10), Files: files,
		Divided: &drivertest.Divided{Table: "big", Write: write, Changes: []drivertest.Change{
			{Name: "rows", Apply: write}, {Name: "nothing", Apply: func(context.Context) error { return nil }, Keep: drivertest.KeepAll},
		}},
		Settings: map[string]any{"path": "shop.db"}, Exact: true, Large: "big", LargeRows: 20000,
		Bad: []drivertest.Bad{
			{Name: "no path", Settings: map[string]any{}, Kind: driver.ErrInvalidConfig},
			{Name: "unknown key", Settings: map[string]any{"path": "shop.db", "mode": "rw"}, Kind: driver.ErrInvalidConfig},
			{Name: "two paths", Settings: map[string]any{"path": "shop.db", "database": "x.db"}, Kind: driver.ErrInvalidConfig},
			{Name: "absolute", Settings: map[string]any{"path": "/etc/passwd"}, Kind: driver.ErrInvalidConfig},
			{Name: "escape", Settings: map[string]any{"path": "a/../../x.db"}, Kind: driver.ErrInvalidConfig},
			{Name: "link outside", Settings: map[string]any{"path": "link.db"}, Kind: driver.ErrInvalidConfig},
			{Name: "parameters", Settings: map[string]any{"path": "shop.db?mode=rw"}, Kind: driver.ErrNotFound},
			{Name: "missing", Settings: map[string]any{"path": "gone.db"}, Kind: driver.ErrNotFound},
			{Name: "folder", Settings: map[string]any{"path": "folder.db"}, Kind: driver.ErrInvalidConfig},
			{Name: "0 bytes", Settings: map[string]any{"path": "zero.db"}, Kind: driver.ErrBadData},
			{Name: "no database", Settings: map[string]any{"path": "text.db"}, Kind: driver.ErrBadData},
			{Name: "truncated", Settings: map[string]any{"path": "half.db"}, Kind: driver.ErrBadData},
			{Name: "header cut", Settings: map[string]any{"path": "tiny.db"}, Kind: driver.ErrBadData},
		},
		Tables: []drivertest.Expected{
			{
				Table: driver.Table{Name: "orders", Kind: "table", RowEstimate: 4, PrimaryKey: []string{"id"}, Cursor: "id", Columns: []driver.Column{
					col("id", integer, false), col("customer", text, false), col("price", float, true), col("paid", driver.Of(driver.Boolean), true),
					col("day", driver.Of(driver.Date), true), col("at", driver.Of(driver.Timestamp), true), col("doc", driver.Of(driver.JSON), true),
					col("raw", driver.Of(driver.Bytes), true), col("any", text, true)}},
				Rows: [][]string{
					{"1", "Ann", "12.5", "true", "2024-02-29", "2024-02-29T10:00:00.000000", `{"a": 1}`, "00ff", "1"},
					{"2", `Bö "b"`, "3", "false", "2024-03-01", "2024-03-01T11:00:00.500000", null, "", "two"},
					{"3", "Cé", null, null, null, null, "[1,2]", null, "3.25"},
					{"9223372036854775807", "", "-0.1", "true", "0001-01-01", "9999-12-31T23:59:59.000000", "null", "01", null},
				},
				Cursors: []string{"id"},
			},
			{
				Table: driver.Table{Name: "words", Kind: "table", RowEstimate: 5, PrimaryKey: []string{"word"}, Columns: []driver.Column{
					col("word", text, false), col("n", integer, true), col("price", text, true)}},
				Rows:    [][]string{{"a", "5", "1"}, {"b", "5", "2"}, {"B", "5", "3"}, {"ä", "6", "4"}, {"aa", null, "free"}},
				Cursors: []string{"word", "n"},
			},
			{
				Table: driver.Table{Name: "empty", Kind: "table", Columns: []driver.Column{
					col("a", integer, true), col("b", text, true), col("c", float, true), col("d", driver.Of(driver.Date), true)}},
				Cursors: []string{"a", "b"},
			},
			{
				Table: driver.Table{Name: "paid", Kind: "view", RowEstimate: 2, Columns: []driver.Column{col("customer", text, true), col("twice", float, true)}},
				Rows:  [][]string{{"Ann", "25"}, {"", "-0.2"}},
			},
			{
				Table: driver.Table{Name: `odd "name`, Kind: "table", RowEstimate: 1, Columns: []driver.Column{col(`a "b`, integer, true), col("select", text, true)}},
				Rows:  [][]string{{"7", "x"}},
			},
			{Table: driver.Table{Name: "big", Kind: "table", RowEstimate: 20000, PrimaryKey: []string{"id"}, Cursor: "id", Columns: []driver.Column{col("id", integer, false), col("text", text, true)}}, Rows: bigRows()},
		},
	})
}

// replace changes a copy of a database and puts it in the place of the file, as
// whoever writes a file that is read should.
func replace(ctx context.Context, path string, statements ...string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", path+".new")
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func bigRows() [][]string {
	rows := make([][]string, 20000)
	for i := range rows {
		rows[i] = []string{fmt.Sprint(i + 1), fmt.Sprintf("row %d", i+1)}
	}
	return rows
}

// read returns the rows of a table, and its resume places.
func read(t *testing.T, src driver.Source, table driver.Table, from driver.Cursor) (rows [][]string, resume *driver.Cursor, err error) {
	t.Helper()
	for batch, err := range src.Read(t.Context(), table, from) {
		if err != nil {
			return rows, resume, err
		}
		for i := range int(batch.Record.NumRows()) {
			var row []string
			for c := range int(batch.Record.NumCols()) {
				row = append(row, drivertest.Text(batch.Record.Column(c), i))
			}
			rows = append(rows, row)
		}
		if batch.Resume != nil {
			resume = batch.Resume
		}
		batch.Record.Release()
	}
	return rows, resume, nil
}

func TestUnindexedCursorResumesAtTheEnd(t *testing.T) {
	files, _ := create(t, "a.db", `CREATE TABLE t (n INTEGER, at DATETIME)`,
		`INSERT INTO t VALUES (5, '2024-01-05 00:00:00'), (NULL, NULL), (9, '2024-01-09 00:00:00'), (1, '2024-01-01 00:00:00')`)
	src, err := open(t, files, `{"database":"a.db"}`, driver.Limits{BatchRows: 2})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]string{"n": "9", "at": "2024-01-09T00:00:00.000000"} {
		rows, resume, err := read(t, src, tables[0], driver.Cursor{Column: column})
		if err != nil || len(rows) != 4 || resume == nil || *resume.Value != want {
			t.Fatalf("%s: rows %v, resume %v, %v", column, rows, resume, err)
		}
		if rows[0][0] != "5" {
			t.Errorf("%s: rows %v were sorted, which takes memory without bound", column, rows)
		}
		middle := map[string]string{"n": "4", "at": "2024-01-04T00:00:00.000000"}[column]
		rows, resume, err = read(t, src, tables[0], driver.Cursor{Column: column, Value: &middle})
		if err != nil || len(rows) != 2 || *resume.Value != want {
			t.Fatalf("%s after %s: rows %v, resume %v, %v", column, middle, rows, resume, err)
		}
		if rows, _, err = read(t, src, tables[0], *resume); err != nil || len(rows) != 0 {
			t.Fatalf("%s at the end: rows %v, %v", column, rows, err)
		}
	}
}

func TestValueBeyondTheSampleIsAnError(t *testing.T) {
	files, _ := create(t, "a.db", `CREATE TABLE t (n INTEGER)`, `INSERT INTO t VALUES (1), (2), ('three')`)
	src, err := open(t, files, `{"path":"a.db","sample_rows":2}`, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil || tables[0].Columns[0].Type.Kind != driver.Int64 || tables[0].RowEstimate != 3 {
		t.Fatalf("%+v, %v", tables, err)
	}
	_, _, err = read(t, src, tables[0], driver.Cursor{})
	if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), `table t, row 3: column "n" holds text`) || strings.Contains(err.Error(), "three") {
		t.Errorf("got %v", err)
	}
}

func TestColumnTypesReplaceWhatIsFound(t *testing.T) {
	files, _ := create(t, "a.db", `CREATE TABLE t (n INTEGER, price TEXT)`, `INSERT INTO t VALUES (1, '12.50')`)
	src, err := open(t, files, `{"path":"a.db","column_types":{"n":"string","price":"decimal(10,2)"}}`, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows, _, err := read(t, src, tables[0], driver.Cursor{})
	if err != nil || fmt.Sprint(rows) != "[[1 12.50]]" || tables[0].Columns[1].Type != driver.DecimalOf(10, 2) {
		t.Errorf("%v %v %v", tables[0].Columns, rows, err)
	}
}

func TestEndlessViewTimesOut(t *testing.T) {
	files, _ := create(t, "a.db", `CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0`)
	src, err := open(t, files, `{"path":"a.db"}`, driver.Limits{Idle: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Discover(t.Context()); !errors.Is(err, driver.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	if err := src.Check(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := src.Discover(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLimits(t *testing.T) {
	files, _ := create(t, "a.db", `CREATE TABLE t (a TEXT)`, `INSERT INTO t VALUES (hex(zeroblob(5000)))`, `INSERT INTO t VALUES ('x')`)
	for name, limits := range map[string]driver.Limits{"row": {MaxRowBytes: 4096}, "read": {MaxBytes: 1000}, "file": {MaxFileSize: 1000}} {
		src, err := open(t, files, `{"path":"a.db"}`, limits)
		if err == nil {
			var tables []driver.Table
			if tables, err = src.Discover(t.Context()); err == nil {
				_, _, err = read(t, src, tables[0], driver.Cursor{})
			}
		}
		if !errors.Is(err, driver.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
