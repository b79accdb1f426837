//go:build linux

package sqlite_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite"
)

// all discovers the source and returns the rows of a table.
func all(t *testing.T, src driver.Source, name string) ([][]string, error) {
	t.Helper()
	tables, err := src.Discover(t.Context())
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(tables, func(table driver.Table) bool { return table.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("no table %s", name)
	}
	rows, _, err := read(t, src, tables[at], driver.Cursor{})
	return rows, err
}

// here opens path below dir as the registry does.
func here(t *testing.T, dir, path string) driver.Source {
	t.Helper()
	settings, err := json.Marshal(map[string]string{"path": path})
	if err != nil {
		t.Fatal(err)
	}
	src, err := sqlite.Impatient(20*time.Second, 16<<10).Open(t.Context(), driver.Config{Settings: settings, Files: rooted(t, dir), Limits: driver.Limits{BatchRows: 300}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// Every transaction adds one to n in every row and appends a row, so a moment is
// one where all have the same n, and no read is of an earlier one than the last.
func TestEveryReadIsOfOneMomentWhileAProgramWrites(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE", "TRUNCATE", "PERSIST", "MEMORY"} {
		t.Run(mode, func(t *testing.T) {
			_, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, pad TEXT)`, `CREATE VIEW v AS SELECT id, n FROM t`,
				`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, 0, printf('%.90c', 'x') FROM n`)
			do := writer(t, filepath.Join(dir, "a.db"))
			// The last one has a log's index made, without which nothing holds up a first checkpoint.
			do(`PRAGMA busy_timeout=30000`, `PRAGMA journal_mode=`+mode, `PRAGMA wal_autocheckpoint=50`, `PRAGMA cache_size=20`, `SELECT n FROM t LIMIT 1`)
			stop := make(chan struct{})
			var writing sync.WaitGroup
			writing.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
						do(`BEGIN IMMEDIATE`, `UPDATE t SET n = n + 1`, `INSERT INTO t (n, pad) SELECT max(n), '' FROM t`, `COMMIT`)
					}
				}
			})
			defer func() { close(stop); writing.Wait() }()
			src := here(t, dir, "a.db")
			last, reads := -1, 0
			until, longest := time.Now().Add(700*time.Millisecond), time.Now().Add(time.Minute)
			for ; time.Now().Before(until) || reads < 3 || last < 1 && time.Now().Before(longest); reads++ {
				for how, read := range map[string]func() ([][]string, error){
					"table": func() ([][]string, error) { return all(t, src, "t") },
					"view":  func() ([][]string, error) { return all(t, src, "v") },
					"scan":  func() ([][]string, error) { return inRanges(t, src) },
				} {
					rows, err := read()
					if err != nil {
						t.Fatalf("%s: %v", how, err)
					}
					n := 0
					fmt.Sscan(rows[0][1], &n)
					for _, row := range rows {
						if row[1] != rows[0][1] {
							t.Fatalf("%s: rows of the moments %s and %s", how, rows[0][1], row[1])
						}
					}
					if n < last || len(rows) != 3000+n {
						t.Fatalf("%s: %d rows at moment %d, after one of moment %d", how, len(rows), n, last)
					}
					last = n
				}
			}
			if last < 1 {
				t.Error("nothing was written meanwhile")
			}
		})
	}
}

func inRanges(t *testing.T, src driver.Source) (rows [][]string, err error) {
	tables, err := src.Discover(t.Context())
	if err != nil {
		return nil, err
	}
	scan, err := src.(driver.Scanner).Scan(t.Context(), tables[0], nil)
	if err != nil {
		return nil, err
	}
	defer scan.Close()
	for _, r := range scan.Unread() {
		for batch, err := range scan.Read(t.Context(), r) {
			if err != nil {
				return nil, err
			}
			for i := range int(batch.Record.NumRows()) {
				rows = append(rows, []string{batch.Record.Column(0).ValueStr(i), batch.Record.Column(1).ValueStr(i)})
			}
			batch.Record.Release()
		}
	}
	return rows, nil
}

func TestLogsAreLookedForBesideTheFileNotBesideALink(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"real/deep", "other"} {
		os.MkdirAll(filepath.Join(dir, d), 0o700)
	}
	do := writer(t, filepath.Join(dir, "real/app.db"))
	do(`PRAGMA journal_mode=WAL`, `CREATE TABLE t (id INTEGER PRIMARY KEY)`, `INSERT INTO t VALUES (1), (2), (3)`)
	os.Symlink("real/app.db", filepath.Join(dir, "link.db"))
	os.Symlink("link.db", filepath.Join(dir, "twice.db"))
	os.Symlink("../real/deep", filepath.Join(dir, "other/folder"))
	os.Symlink("../app.db", filepath.Join(dir, "real/deep/up.db"))
	os.Link(filepath.Join(dir, "real/app.db"), filepath.Join(dir, "real/hard.db"))
	for _, path := range []string{"real/app.db", "link.db", "twice.db", "other/folder/up.db", "real/hard.db"} {
		if rows, err := all(t, here(t, dir, path), "t"); err != nil || len(rows) != 3 {
			t.Errorf("%s: %d rows, %v", path, len(rows), err)
		}
	}
}

// A journal is looked at when the transaction is over, when its program has
// ended in the middle of it, and copied while it runs.
func TestJournals(t *testing.T) {
	for _, mode := range []string{"PERSIST", "TRUNCATE"} {
		_, dir := create(t, "a.db", `PRAGMA journal_mode=`+mode, `CREATE TABLE t (id INTEGER PRIMARY KEY)`, `INSERT INTO t VALUES (1)`)
		if _, err := os.Stat(filepath.Join(dir, "a.db-journal")); err != nil {
			t.Fatal(err)
		}
		if rows, err := all(t, here(t, dir, "a.db"), "t"); err != nil || len(rows) != 1 {
			t.Errorf("%s: %d rows, %v", mode, len(rows), err)
		}
	}
	for _, synchronous := range []string{"OFF", "FULL"} {
		_, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)`, oldRows)
		do := writer(t, filepath.Join(dir, "a.db"))
		do(`PRAGMA cache_size=2`, `PRAGMA synchronous=`+synchronous, `BEGIN`, newRows, `INSERT INTO t SELECT id + 20000, a FROM t`)
		crashed := snapshot(t, dir)
		do(`ROLLBACK`)
		content, err := os.ReadFile(filepath.Join(crashed, "a.db"))
		if err != nil || !bytes.Contains(content, []byte("NEW 7")) {
			t.Fatalf("the transaction never reached the file: %v", err)
		}
		rows, err := all(t, here(t, crashed, "a.db"), "t")
		if err != nil || len(rows) != 20000 {
			t.Fatalf("synchronous %s: %d rows, %v", synchronous, len(rows), err)
		}
		for i, row := range rows {
			if row[1] != fmt.Sprintf("old %d", i+1) {
				t.Fatalf("synchronous %s: row %q was never committed", synchronous, row)
			}
		}
	}
}

// snapshot copies a database and what lies beside it, as a crash would leave it.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"a.db", "a.db-wal", "a.db-journal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// What a crash leaves at any point of a history reads as SQLite itself reads it.
func TestCrashedDatabasesReadAsSQLiteRecoversThem(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	for _, mode := range []string{"WAL", "DELETE", "PERSIST"} {
		_, dir := create(t, "a.db", `PRAGMA page_size=1024`, `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)`)
		do := writer(t, filepath.Join(dir, "a.db"))
		do(`PRAGMA cache_size=2`, `PRAGMA wal_autocheckpoint=0`, `PRAGMA journal_mode=`+mode)
		inside := false
		for step := range 40 {
			choice := random.IntN(10)
			switch {
			case !inside && choice < 6:
				do(`BEGIN`)
				inside = true
			case inside && choice < 2:
				do(`COMMIT`)
				inside = false
			case inside && choice < 3:
				do(`ROLLBACK`)
				inside = false
			case !inside && choice < 8:
				do([]string{`PRAGMA wal_checkpoint(PASSIVE)`, `PRAGMA wal_checkpoint(TRUNCATE)`, `PRAGMA wal_checkpoint(RESTART)`, `VACUUM`}[random.IntN(4)])
			default:
				do([]string{
					fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t (a) SELECT hex(randomblob(40)) FROM n`, 1+random.IntN(200)),
					fmt.Sprintf(`UPDATE t SET a = 'step %d ' || a WHERE id %% %d = 0`, step, 1+random.IntN(9)),
					fmt.Sprintf(`DELETE FROM t WHERE id %% %d = 1`, 2+random.IntN(9)),
				}[random.IntN(3)])
			}
			crashed := snapshot(t, dir)
			rows, err := all(t, here(t, crashed, "a.db"), "t")
			if err != nil {
				t.Fatalf("seed %d, %s, step %d: %v", seed, mode, step, err)
			}
			if want := recovered(t, filepath.Join(crashed, "a.db")); !slices.EqualFunc(rows, want, slices.Equal) {
				t.Fatalf("seed %d, %s, step %d: %d rows, SQLite has %d", seed, mode, step, len(rows), len(want))
			}
		}
	}
}

func recovered(t *testing.T, name string) (rows [][]string) {
	t.Helper()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Query(`SELECT id, a FROM t ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		row := make([]string, 2)
		if err := found.Scan(&row[0], &row[1]); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}
