package sqlite_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite"
)

// scanned opens the file and divides its table t, with the ranges landed.
func scanned(t *testing.T, dir string, landed []driver.Range) (driver.Table, driver.Scan) {
	t.Helper()
	src, err := sqlite.Dividing(4096).Open(t.Context(), driver.Config{Settings: json.RawMessage(`{"path":"a.db"}`), Files: rooted(t, dir), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scan, err := src.(driver.Scanner).Scan(t.Context(), tables[0], landed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { scan.Close() })
	return tables[0], scan
}

func TestRangesOfAChangedFileAreReadAgain(t *testing.T) {
	_, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, 'row ' || i FROM n`)
	_, scan := scanned(t, dir, nil)
	var landed []driver.Range
	for _, r := range scan.Unread() {
		for batch, err := range scan.Read(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
			r.Rows = max(r.Rows, 0) + batch.Record.NumRows()
			batch.Record.Release()
		}
		landed = append(landed, r)
	}
	scan.Close()
	_, scan = scanned(t, dir, landed)
	if len(scan.Kept()) != len(landed) || len(landed) < 4 {
		t.Fatalf("%d of %d ranges were kept of an unchanged file", len(scan.Kept()), len(landed))
	}
	scan.Close() // writers were kept out
	name := filepath.Join(dir, "a.db")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE t SET a = 'ROW 7' WHERE id = 7`); err != nil { // the same length
		t.Fatal(err)
	}
	db.Close()
	os.Chtimes(name, time.Time{}, info.ModTime()) // as if nothing had been
	if _, scan := scanned(t, dir, landed); len(scan.Kept()) != 0 {
		t.Errorf("%d ranges were kept of a file that was written to", len(scan.Kept()))
	}
}

func TestErrorInARangeNamesTheRow(t *testing.T) {
	_, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i * 3, i FROM n`, `UPDATE t SET a = 'x' WHERE id = 6000`)
	src, err := sqlite.Dividing(4096).Open(t.Context(), driver.Config{Settings: json.RawMessage(`{"path":"a.db"}`), Files: rooted(t, dir), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	column := func(name string, nullable bool) driver.Column {
		return driver.Column{Name: name, Type: driver.Of(driver.Int64), Nullable: nullable}
	}
	table := driver.Table{Name: "t", Columns: []driver.Column{column("id", false), column("a", true)}} // as a sample would have it
	scan, err := src.(driver.Scanner).Scan(t.Context(), table, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer scan.Close()
	failed := 0
	for _, r := range scan.Unread() {
		for batch, err := range scan.Read(t.Context(), r) {
			if err == nil {
				batch.Record.Release()
				continue
			}
			failed++
			if want := fmt.Sprintf("table t, row %d: column %q holds text", 2000, "a"); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d ranges failed", failed)
	}
}
