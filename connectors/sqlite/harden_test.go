package sqlite

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite/btree"
)

func TestNothingButReadingIsAllowed(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE t (n)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	opened, err := Driver{}.Open(t.Context(), driver.Config{Settings: json.RawMessage(`{"path":"a.db"}`), Files: os.DirFS(dir), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	s := opened.(*source)
	run := func(query string) error {
		return s.rows(t.Context(), query, nil, func([]sqldriver.Value) error { return nil })
	}
	if err := run(`SELECT n FROM t`); err != io.EOF {
		t.Fatalf("reading: %v", err)
	}
	for _, query := range []string{
		`ATTACH '/etc/passwd' AS x`, `ATTACH ':memory:' AS x`, `INSERT INTO t VALUES (1)`, `DELETE FROM t`, `CREATE TABLE u (n)`,
		`CREATE TEMP TABLE u (n)`, `DROP TABLE t`, `SELECT load_extension('x')`, `PRAGMA query_only=0`, `PRAGMA trusted_schema=1`,
		`PRAGMA writable_schema=1`, `VACUUM INTO '` + dir + `/b.db'`, `BEGIN`, `SELECT * FROM pragma_database_list`,
	} {
		if err := run(query); err == nil || err == io.EOF {
			t.Errorf("%s was allowed", query)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "b.db")); err == nil {
		t.Error("a file was written")
	}
}

func TestDeclaredTypes(t *testing.T) {
	for name, want := range map[string]declaration{
		"INTEGER": isInteger, "bigint(20)": isInteger, "VARCHAR(20)": isText, "": asIs, "BLOB": isBlob, "DOUBLE PRECISION": isReal,
		"NUMERIC(10,2)": isReal, "BOOLEAN": isBoolean, "DATE": isDate, "TIMESTAMP": isTimestamp, "datetime": isTimestamp, "JSON": isJSON, "STRING": asIs,
	} {
		if got := declaredAs(name); got != want {
			t.Errorf("%q is %d, want %d", name, got, want)
		}
	}
}

func TestTypesFollowTheValues(t *testing.T) {
	wide := int64(1<<53 + 1)
	for _, c := range []struct {
		name     string
		declared declaration
		values   []sqldriver.Value
		want     driver.Type
	}{
		{"flags", isBoolean, []sqldriver.Value{int64(0), int64(1), nil}, driver.Of(driver.Boolean)},
		{"no flags", isBoolean, []sqldriver.Value{int64(2)}, driver.Of(driver.Int64)},
		{"whole decimals", isReal, []sqldriver.Value{int64(3)}, driver.Of(driver.Float64)},
		{"wide integers in a decimal", isReal, []sqldriver.Value{wide}, driver.Of(driver.Int64)},
		{"wide integers beside fractions", isReal, []sqldriver.Value{wide, 0.5}, driver.Of(driver.String)},
		{"unix times", isTimestamp, []sqldriver.Value{int64(1700000000)}, driver.Of(driver.Int64)},
		{"times", isTimestamp, []sqldriver.Value{"2024-01-01 10:00:00"}, driver.Of(driver.Timestamp)},
		{"zoned times", isTimestamp, []sqldriver.Value{"2024-01-01T10:00:00Z"}, driver.Of(driver.TimestampTZ)},
		{"no times", isTimestamp, []sqldriver.Value{"2024-01-01 10:00:00", "soon"}, driver.Of(driver.String)},
		{"nanoseconds", isTimestamp, []sqldriver.Value{"2024-01-01 10:00:00.123456789"}, driver.Of(driver.String)},
		{"no day", isDate, []sqldriver.Value{"2024-02-30"}, driver.Of(driver.String)},
		{"broken JSON", isJSON, []sqldriver.Value{"{}", "{"}, driver.Of(driver.String)},
		{"text that looks like a date", isText, []sqldriver.Value{"2024-02-01"}, driver.Of(driver.String)},
		{"blobs and text", asIs, []sqldriver.Value{[]byte{1}, "x"}, driver.Of(driver.Bytes)},
		{"numbers and text", isInteger, []sqldriver.Value{int64(1), "x"}, driver.Of(driver.String)},
	} {
		g := guess{declared: c.declared}
		for _, v := range c.values {
			v := btree.ValueOf(v)
			g.value(&v)
		}
		if got := g.columnType(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
