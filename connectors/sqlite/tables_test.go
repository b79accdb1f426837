package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
)

func discovered(t *testing.T, files func() driver.Source) (map[string]driver.Table, []driver.UnreadTable) {
	t.Helper()
	tables, err := files().Discover(t.Context())
	var unread *driver.UnreadTables
	if err != nil && !errors.As(err, &unread) {
		t.Fatal(err)
	}
	found := map[string]driver.Table{}
	for _, table := range tables {
		found[table.Name] = table
	}
	if unread != nil {
		return found, unread.Tables
	}
	return found, nil
}

func TestOneBadTableLeavesTheOthers(t *testing.T) {
	files, dir := create(t, "a.db", `CREATE TABLE fine (id INTEGER PRIMARY KEY)`, `INSERT INTO fine VALUES (1)`,
		`CREATE TABLE computed (id INTEGER PRIMARY KEY, a TEXT, b TEXT GENERATED ALWAYS AS (upper(a)) VIRTUAL)`, `INSERT INTO computed (id, a) VALUES (1, 'q')`,
		`CREATE VIEW failing AS SELECT app_function(id) AS x FROM fine`, `CREATE VIEW gone AS SELECT * FROM absent`,
		`CREATE VIRTUAL TABLE docs USING fts5(body)`, `CREATE TABLE docs_of_mine (n INT)`,
		`CREATE TABLE torn (id INTEGER PRIMARY KEY, v TEXT)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO torn SELECT i, printf('%.100c', 'x') FROM n`,
		// As a program writes it that has a function and a module of its own.
		`PRAGMA writable_schema=1`, `UPDATE sqlite_schema SET sql = replace(sql, 'upper', 'myfun') WHERE name = 'computed'`,
		`CREATE TABLE older_segdir (level INTEGER)`, `INSERT INTO sqlite_schema VALUES ('table', 'older', 'older', 0, 'CREATE VIRTUAL TABLE older USING fts4(a)')`,
	)
	name := filepath.Join(dir, "a.db")
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// The last rows of torn are in one of its pages.
	page := strings.LastIndex(string(content), strings.Repeat("x", 100)) / 4096 * 4096
	copy(content[page:], strings.Repeat("\xff", 4096))
	os.WriteFile(name, content, 0o600)
	found, unread := discovered(t, func() driver.Source {
		src, err := open(t, files, `{"path":"a.db"}`, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return src
	})
	if len(unread) != 1 || unread[0].Name != "torn" || !errors.Is(unread[0].Err, driver.ErrBadData) {
		t.Errorf("unread %v", unread)
	}
	for name, reason := range map[string]string{"failing": "app_function", "gone": "absent", "docs": "fts5", "older": "fts4"} {
		if table, ok := found[name]; !ok || !strings.Contains(table.LeftOut, reason) {
			t.Errorf("%s: left out because %q, want %q", name, table.LeftOut, reason)
		}
	}
	for _, name := range []string{"docs_content", "older_segdir"} {
		if table, ok := found[name]; ok {
			t.Errorf("what holds the content of a virtual table is shown: %+v", table)
		}
	}
	for _, name := range []string{"fine", "computed", "docs_of_mine"} {
		if table, ok := found[name]; !ok || table.LeftOut != "" {
			t.Errorf("%s: %+v", name, table)
		}
	}
	if c := found["computed"]; len(c.Columns) != 2 || len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "myfun") {
		t.Errorf("computed: %+v", c)
	}
}

// wholeTable discovers the one table t of a file made by the statements.
func wholeTable(t *testing.T, statements ...string) (driver.Source, driver.Table) {
	t.Helper()
	files, _ := create(t, "a.db", statements...)
	src, err := open(t, files, `{"path":"a.db"}`, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return src, tables[slices.IndexFunc(tables, func(table driver.Table) bool { return table.Name == "t" })]
}

func TestKeysAreComparedAsSQLiteDoes(t *testing.T) {
	const other = driver.NotComparable
	for _, c := range []struct {
		table, values, key string
		equality           driver.Equality
	}{
		{`t (k PRIMARY KEY)`, `(1), (2.5)`, "k", ""},
		{`t (k PRIMARY KEY)`, `(1), ('1')`, "k", other + "it holds values of several kinds"},
		{`t (k PRIMARY KEY)`, `('1'), (x'31')`, "k", other + "it holds values of several kinds"},
		{`t (k TEXT PRIMARY KEY)`, `('a'), ('A')`, "k", ""},
		{`t (k TEXT PRIMARY KEY)`, `('a'), (NULL), (NULL)`, "k", other + "it holds NULLs"},
		{`t (k TEXT COLLATE NOCASE PRIMARY KEY)`, `('a')`, "k", driver.EqualFolded},
		{`t (k TEXT COLLATE NOCASE PRIMARY KEY) WITHOUT ROWID`, `('a')`, "k", driver.EqualFolded},
		{`t (k TEXT COLLATE NOCASE PRIMARY KEY)`, `('ä'), ('Ä')`, "k", other + "its collation NOCASE"},
		{`t (k TEXT COLLATE RTRIM PRIMARY KEY)`, `('a ')`, "k", driver.EqualPadded},
		{`t (a INT, k TEXT NOT NULL UNIQUE)`, `(1, 'a')`, "k", ""},
		{`t (a INT, k TEXT UNIQUE)`, `(1, 'a')`, "", ""},
		{`t (a INT NOT NULL, k INT NOT NULL, UNIQUE (a, k))`, `(1, 2)`, "a k", ""},
		{`t (a INT, k INT, PRIMARY KEY (k, a))`, `(1, 2)`, "k a", ""},
	} {
		_, table := wholeTable(t, "CREATE TABLE "+c.table, "INSERT INTO t VALUES "+c.values, "CREATE UNIQUE INDEX partly ON t(k) WHERE k = 'z'")
		if got := strings.Join(table.PrimaryKey, " "); got != c.key {
			t.Errorf("%s: the key is %q, want %q", c.table, got, c.key)
		}
		k, _ := table.Column("k")
		if c.equality == "" && k.Equality != "" || !strings.HasPrefix(string(k.Equality), string(c.equality)) {
			t.Errorf("%s, %s: compared by %q, want %q", c.table, c.values, k.Equality, c.equality)
		}
	}
}

func TestDefaultCursorIsWhatIsDeclared(t *testing.T) {
	for _, c := range []struct {
		table, values, cursor string
		grain                 time.Duration
		note                  string
	}{
		{`t (id INTEGER PRIMARY KEY, updated_at DATETIME)`, `(1, '2024-01-01 00:00:00'), (2, '2024-01-03')`, "updated_at", time.Second, ""},
		{`t (id INTEGER PRIMARY KEY, updated_at DATETIME)`, `(1, '2024-01-01 00:00:00.5'), (2, NULL)`, "updated_at", 0, ""},
		{`t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INT)`, `(1, 1)`, "id", 0, ""},
		{`t (id INTEGER PRIMARY KEY, a INT)`, `(1, 1)`, "", 0, ""},
		{`t (id INTEGER PRIMARY KEY, updated_at DATETIME)`, `(1, '2024-01-01 00:00:00'), (2, 'soon')`, "", 0, "updated_at is declared as a time"},
	} {
		src, table := wholeTable(t, "CREATE TABLE "+c.table, "INSERT INTO t VALUES "+c.values)
		if table.Cursor != c.cursor || c.note != "" && !strings.Contains(fmt.Sprint(table.Notes), c.note) {
			t.Errorf("%s, %s: cursor %q, notes %q", c.table, c.values, table.Cursor, table.Notes)
		}
		if column, ok := table.Column(c.cursor); ok && column.Grain != c.grain {
			t.Errorf("%s, %s: grain %v", c.table, c.values, column.Grain)
		}
		if _, _, err := read(t, src, table, driver.Cursor{}); err != nil {
			t.Errorf("%s, %s: %v", c.table, c.values, err)
		}
	}
}

func TestValuesThatFitNoOtherType(t *testing.T) {
	src, table := wholeTable(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, m NUMERIC)`, `INSERT INTO t VALUES (1, 'x'), (2, 9e999), (3, -9e999)`)
	rows, _, err := read(t, src, table, driver.Cursor{})
	if want := "[[1 x] [2 Inf] [3 -Inf]]"; err != nil || fmt.Sprint(rows) != want {
		t.Errorf("%v, %v", rows, err)
	}
	src, table = wholeTable(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, raw TEXT)`, `INSERT INTO t VALUES (10, 'ok'), (20, CAST(x'ff41' AS TEXT))`)
	_, _, err = read(t, src, table, driver.Cursor{})
	if err == nil || !strings.Contains(err.Error(), `row 2 (id = 20): column "raw" holds text that is not UTF-8`) || !strings.Contains(err.Error(), `column_types.raw to "bytes"`) {
		t.Errorf("got %v", err)
	}
}

// INTEGER PRIMARY KEY DESC is not the row number, so it may be NULL.
func TestKeysThatMayBeNull(t *testing.T) {
	files, _ := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY DESC, v)`, `INSERT INTO t VALUES (7, 1), (NULL, 2)`, `CREATE TABLE u (id INTEGER, v, PRIMARY KEY (id DESC))`)
	var src driver.Source
	found, _ := discovered(t, func() driver.Source { src, _ = open(t, files, `{"path":"a.db"}`, driver.Limits{}); return src })
	for name, null := range map[string]bool{"t": true, "u": false} {
		if id, _ := found[name].Column("id"); id.Nullable != null {
			t.Errorf("%s: the key may be NULL: %v, want %v", name, id.Nullable, null)
		}
	}
	if rows, _, err := read(t, src, found["t"], driver.Cursor{}); err != nil || len(rows) != 2 {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestColumnIdentity(t *testing.T) {
	files, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a INT DEFAULT 5, b INT, c INT AS (a + 1))`)
	before, _ := discovered(t, func() driver.Source { s, _ := open(t, files, `{"path":"a.db"}`, driver.Limits{}); return s })
	db, err := sql.Open("sqlite", filepath.Join(dir, "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{`ALTER TABLE t DROP COLUMN c`, `ALTER TABLE t DROP COLUMN a`, `ALTER TABLE t ADD COLUMN a INT DEFAULT 6`, `ALTER TABLE t ADD COLUMN c INT AS (b + 2)`} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	after, _ := discovered(t, func() driver.Source { s, _ := open(t, files, `{"path":"a.db"}`, driver.Limits{}); return s })
	for name, same := range map[string]bool{"id": true, "a": false, "b": true, "c": false} {
		x, _ := before["t"].Column(name)
		y, _ := after["t"].Column(name)
		if x.Identity == "" || (x.Identity == y.Identity) != same {
			t.Errorf("%s: %q, then %q", name, x.Identity, y.Identity)
		}
	}
}
