package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite/btree"
)

// write runs statements on a new database file and returns its content.
func write(t testing.TB, statements ...string) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.db")
	db, err := sql.Open("sqlite", name)
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
	db.Close()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// opened opens a database file that is in memory.
func opened(content []byte) (*source, error) {
	s, err := Driver{}.Open(context.Background(), driver.Config{
		Settings: json.RawMessage(`{"path":"a.db"}`), Files: oneDatabase(content), Log: slog.New(slog.DiscardHandler), Limits: driver.Limits{MaxRowBytes: 1 << 20}})
	if err != nil {
		return nil, err
	}
	return s.(*source), nil
}

type oneDatabase []byte

func (d oneDatabase) Open(name string) (fs.File, error) {
	return fstest.MapFS{"a.db": {Data: d}}.Open(name)
}

// dump returns a table's values, by SQLite's engine or out of the pages.
func dump(s *source, table dbTable, engine bool) (rows []string, direct bool, err error) {
	s.engineOnly = engine
	var names []string
	for _, c := range table.columns {
		names = append(names, c.name)
	}
	ctx := context.Background()
	d, err := s.stored(ctx, table, names)
	if err != nil {
		return nil, false, err
	}
	err = s.each(ctx, plan{table: table.name, query: selectFrom(table.name, names), stored: d, span: btree.Everything}, func(row []btree.Value, _ *watchdog) error {
		var b strings.Builder
		for _, v := range row {
			switch v.Class {
			case btree.Null:
				b.WriteString("NULL|")
			case btree.Integer:
				fmt.Fprintf(&b, "%d|", v.Int)
			case btree.Real:
				fmt.Fprintf(&b, "real %v|", v.Float)
			default:
				fmt.Fprintf(&b, "%d %q|", v.Class, v.Bytes)
			}
		}
		rows = append(rows, b.String())
		if len(rows) > 100_000 {
			return errEnough
		}
		return nil
	})
	if err == io.EOF {
		err = nil
	}
	return rows, d != nil, err
}

// schema returns the tables with their columns.
func schema(s *source) ([]dbTable, error) {
	tables, err := s.tables(context.Background())
	for i := range tables {
		if err == nil {
			err = s.describe(context.Background(), &tables[i])
		}
	}
	return tables, err
}

// TestPagesHoldWhatTheEngineReads compares both ways to read on tables of every
// kind that SQLite stores differently.
func TestPagesHoldWhatTheEngineReads(t *testing.T) {
	numbers := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) `
	var wide, widest []string
	for i := range 1500 {
		wide = append(wide, fmt.Sprintf("c%d", i))
		widest = append(widest, fmt.Sprintf("%d", i*i))
	}
	all := []string{
		`CREATE TABLE integers (a INTEGER, b INT, c)`,
		`INSERT INTO integers VALUES (0, 1, NULL), (-1, 127, -128), (128, -129, 32767), (-32768, 32768, -32769), (8388607, -8388608, 8388608), (-8388609, 2147483647, -2147483648),
			(2147483648, -2147483649, 140737488355327), (-140737488355328, 140737488355328, -140737488355329), (9223372036854775807, -9223372036854775807 - 1, 65536)`,
		`CREATE TABLE reals (a REAL, b DOUBLE PRECISION, c NUMERIC, d, e FLOATING POINT)`,
		`INSERT INTO reals VALUES (1, 2, 3.0, 4.0, 5), (0.5, -0.0, 1e300, 9e999, 7), (NULL, 'text', x'00', 1.0, 9007199254740993), (-0.0, 0, 12345678901234567890, -1.5, 0)`,
		`CREATE TABLE strict (a ANY, b REAL, c BLOB) STRICT`, `INSERT INTO strict VALUES (1, 2, x'ff'), ('1', 2.5, NULL), (1.0, 3, x'')`,
		`CREATE TABLE alias (x TEXT, id INTEGER PRIMARY KEY, y)`, `INSERT INTO alias VALUES ('a', -5, 1), ('b', 0, 2), ('c', 9223372036854775807, 3), ('d', -9223372036854775807 - 1, 4)`,
		`CREATE TABLE noalias (id INTEGER PRIMARY KEY DESC, x)`, `INSERT INTO noalias VALUES (7, 1), (NULL, 2)`,
		`CREATE TABLE bigkey (id BIGINT PRIMARY KEY, x)`, `INSERT INTO bigkey VALUES (7, 1), (NULL, 2)`,
		`CREATE TABLE uniquealias (id INTEGER PRIMARY KEY, x UNIQUE)`, `INSERT INTO uniquealias VALUES (7, 1), (NULL, 2)`,
		`CREATE TABLE rowids (rowid TEXT, _rowid_ INTEGER, oid)`, `INSERT INTO rowids VALUES ('a', 1, 2)`, `ALTER TABLE rowids ADD COLUMN d DEFAULT 5`,
		`CREATE TABLE old (a)`, `INSERT INTO old VALUES (1), (2)`, `ALTER TABLE old ADD COLUMN b`, `ALTER TABLE old ADD COLUMN c REAL DEFAULT 5`,
		`ALTER TABLE old ADD COLUMN d TEXT DEFAULT 'x''y'`, `INSERT INTO old VALUES (3, 4, 6, NULL)`, `ALTER TABLE old ADD COLUMN e NOT NULL DEFAULT (-7)`, `ALTER TABLE old ADD COLUMN f DEFAULT x'0102'`,
		`CREATE TABLE dropped (a, b, c)`, `INSERT INTO dropped VALUES (1, 2, 3)`, `ALTER TABLE dropped DROP COLUMN b`,
		`CREATE TABLE computed (a, b AS (a + 1), c AS (a + 2) STORED, d)`, `INSERT INTO computed (a, d) VALUES (1, 2)`,
		`CREATE TABLE keyed (a TEXT PRIMARY KEY, b) WITHOUT ROWID`, `INSERT INTO keyed VALUES ('x', 1)`,
		`CREATE TABLE many (id INTEGER PRIMARY KEY, t TEXT)`, numbers + `INSERT INTO many SELECT i * 7, 'row ' || i FROM n`, `DELETE FROM many WHERE id % 5 = 0`,
		`CREATE TABLE long (t, b)`, numbers + `INSERT INTO long SELECT replace(hex(zeroblob(i * 3)), '00', 'é'), zeroblob(i * 2) FROM n WHERE i % 37 = 1`,
		`CREATE TABLE edges (b)`, numbers + `INSERT INTO edges SELECT zeroblob(i + 300) FROM n WHERE i < 900`,
		`CREATE TABLE wide (` + strings.Join(wide, ",") + `)`, `INSERT INTO wide VALUES (` + strings.Join(widest, ",") + `)`,
		`CREATE TABLE texts (a TEXT)`, `INSERT INTO texts VALUES (''), ('nul' || char(0) || 'l'), (CAST(x'ff' AS TEXT)), ('é😀')`,
		`CREATE TABLE empty (a, b DEFAULT 3)`,
		`CREATE VIEW v AS SELECT a FROM integers`,
	}
	for name, first := range map[string][]string{
		"plain": nil, "small pages": {"PRAGMA page_size = 512"}, "large pages": {"PRAGMA page_size = 65536"},
		"auto vacuum": {"PRAGMA page_size = 1024", "PRAGMA auto_vacuum = FULL"}, "UTF-16": {"PRAGMA encoding = 'UTF-16le'"},
		"closed log": {"PRAGMA journal_mode = WAL"},
	} {
		s, err := opened(write(t, slices.Concat(first, all)...))
		if err != nil {
			t.Fatal(err)
		}
		tables, err := schema(s)
		if err != nil || len(tables) < 19 {
			t.Fatalf("%d tables, %v", len(tables), err)
		}
		for _, table := range tables {
			want, _, err := dump(s, table, true)
			if err != nil {
				t.Fatalf("%s, %s by the engine: %v", name, table.name, err)
			}
			got, direct, err := dump(s, table, false)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, table.name, err)
			}
			engine := name == "UTF-16" || slices.Contains([]string{"computed", "keyed", "v", "rowids"}, table.name)
			if direct == engine {
				t.Errorf("%s, %s: read out of the pages: %v", name, table.name, direct)
			}
			for i := range min(len(want), len(got)) {
				if got[i] != want[i] {
					t.Errorf("%s, %s, row %d: %.300s, the engine reads %.300s", name, table.name, i+1, got[i], want[i])
					break
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s, %s: %d rows, the engine reads %d", name, table.name, len(got), len(want))
			}
		}
		s.Close()
	}
}

// FuzzPages reads damaged files: no panic, no endless walk, and no rows other
// than the engine's when neither sees the damage.
func FuzzPages(f *testing.F) {
	numbers := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) `
	for _, statements := range [][]string{
		{`PRAGMA page_size = 512`, `CREATE TABLE t (id INTEGER PRIMARY KEY, a, b REAL)`, numbers + `INSERT INTO t SELECT i, 'row ' || i, i FROM n`},
		{`PRAGMA page_size = 512`, `CREATE TABLE t (a)`, `INSERT INTO t VALUES (hex(zeroblob(2000))), (1)`, `ALTER TABLE t ADD COLUMN c DEFAULT 7`},
	} {
		content := write(f, statements...)
		f.Add(content, uint32(0), byte(0))
		for at := range uint32(len(content)) {
			if at%251 == 0 || at > 512 && at%512 < 12 {
				f.Add(content, at, byte(1+at%255))
			}
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, at uint32, change byte) {
		if len(content) == 0 || len(content) > 1<<20 {
			return
		}
		content = slices.Clone(content)
		content[at%uint32(len(content))] ^= change
		s, err := opened(content)
		if err != nil {
			return
		}
		defer s.Close()
		tables, err := schema(s)
		if err != nil {
			return
		}
		for _, table := range tables {
			got, direct, err := dump(s, table, false)
			if !direct {
				continue
			}
			if err != nil && !errors.Is(err, driver.ErrBadData) && !errors.Is(err, driver.ErrLimit) && !isEngine(err) && err != errEnough {
				t.Fatalf("an error of no kind: %v", err)
			}
			want, _, engineErr := dump(s, table, true)
			if err == nil && engineErr == nil && !slices.Equal(got, want) {
				t.Fatalf("table %s: %d rows differ from the engine's %d", table.name, len(got), len(want))
			}
		}
	})
}

// isEngine reports an error of SQLite itself, asked for a default.
func isEngine(err error) bool { return strings.Contains(err.Error(), "(") }

func TestDamagedTreesAreRefused(t *testing.T) {
	content := write(t, `PRAGMA page_size = 512`, `CREATE TABLE t (id INTEGER PRIMARY KEY, a)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i, 'row ' || i FROM n`)
	s, err := opened(content)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	root := 0
	err = s.rows(t.Context(), "SELECT rootpage FROM sqlite_schema", nil, func(row []sqldriver.Value) error {
		root = int(row[0].(int64))
		return nil
	})
	if err != io.EOF || content[(root-1)*512] != btree.InteriorPage {
		t.Fatalf("root %d, %v", root, err)
	}
	page := content[(root-1)*512:][:512]
	for name, damage := range map[string]func(){
		"a page that is its own child":    func() { copy(page[8:], []byte{0, 0, 0, byte(root)}) },
		"a child out of the file":         func() { copy(page[8:], []byte{0xff, 0, 0, 0}) },
		"child zero":                      func() { copy(page[8:], []byte{0, 0, 0, 0}) },
		"the first child again":           func() { at := int(page[12])<<8 | int(page[13]); copy(page[8:12], page[at:at+4]) },
		"more cells than a page holds":    func() { page[3], page[4] = 0xff, 0xff },
		"a cell out of the page":          func() { page[12], page[13] = 0xff, 0xff },
		"a page of an index":              func() { page[0] = 2 },
		"a page of no kind":               func() { page[0] = 0 },
		"a cell pointer into a neighbour": func() { copy(page[12:14], page[14:16]) },
	} {
		before := slices.Clone(page)
		damage()
		tables, err := schema(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := dump(s, tables[0], false); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
		copy(page, before)
	}
	if rows, _, err := dump(s, mustSchema(t, s)[0], false); err != nil || len(rows) != 5000 {
		t.Errorf("undamaged: %d rows, %v", len(rows), err)
	}
}

func mustSchema(t *testing.T, s *source) []dbTable {
	tables, err := schema(s)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}
