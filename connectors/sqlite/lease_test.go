//go:build linux

package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"headwater/connectors/driver"
)

// A consumer that takes nothing keeps no writer out for good, and has its lock
// again where nobody wrote meanwhile.
func TestLocksOfASlowConsumerEnd(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			db, err := sql.Open("sqlite", filepath.Join(dir, "a.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			for _, s := range []string{`PRAGMA journal_mode=` + mode, `CREATE TABLE t (n)`, `INSERT INTO t VALUES (1)`} {
				if _, err := db.Exec(s); err != nil {
					t.Fatal(err)
				}
			}
			f, err := openFile(t.Context(), os.DirFS(dir), "a.db", 0, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			blocked := func() bool {
				if mode == "WAL" { // the log is not emptied
					busy, moved, all := 0, 0, 0
					if err := db.QueryRow(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &moved, &all); err != nil {
						t.Fatal(err)
					}
					return busy == 1
				}
				_, err := db.Exec(`UPDATE t SET n = n + 1`)
				return err != nil
			}
			if !blocked() {
				t.Error("a writer changed what is read")
			}
			f.letGo()
			if err := f.unchanged(); err != nil {
				t.Fatalf("nobody wrote: %v", err)
			}
			if !blocked() {
				t.Error("the lock was not taken again")
			}
			f.letGo()
			if blocked() {
				t.Error("a consumer that takes nothing keeps writers out")
			}
			if err := f.unchanged(); !errors.Is(err, driver.ErrUnreachable) {
				t.Errorf("somebody wrote: %v", err)
			}
		})
	}
}

// A program that opens the database while it is read copies nothing into it either.
func TestALogThatComesIntoUse(t *testing.T) {
	dir := t.TempDir()
	use := func() *sql.DB {
		db, err := sql.Open("sqlite", filepath.Join(dir, "a.db"))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { db.Close() })
		return db
	}
	db := use()
	for _, s := range []string{`PRAGMA journal_mode=WAL`, `CREATE TABLE t (n)`, `INSERT INTO t VALUES (1)`} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	if _, err := os.Stat(filepath.Join(dir, "a.db-shm")); err == nil {
		t.Fatal("the log is in use")
	}
	f, err := openFile(t.Context(), os.DirFS(dir), "a.db", 0, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	db = use()
	if _, err := db.Exec(`INSERT INTO t VALUES (2)`); err != nil {
		t.Fatal(err)
	}
	if err := f.unchanged(); err != nil {
		t.Fatal(err)
	}
	busy, moved, all := 0, 0, 0
	if err := db.QueryRow(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &moved, &all); err != nil || busy != 1 {
		t.Errorf("busy %d, %v: the log was emptied into what is read", busy, err)
	}
	if err := f.unchanged(); err != nil {
		t.Error(err)
	}
}
