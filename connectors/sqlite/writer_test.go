//go:build unix

package sqlite_test

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite"
)

// writerFile names the database that this program writes to instead of running
// tests: locks of one process say nothing to itself.
const writerFile = "TEST_SQLITE_WRITER"

func TestMain(m *testing.M) {
	if name := os.Getenv(writerFile); name != "" {
		if err := write(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// write runs the statements that come in, each a line, and answers each.
func write(name string) error {
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if _, err := db.Exec(lines.Text()); err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		fmt.Println("done")
	}
	return lines.Err()
}

// writer returns what runs statements on a database in another process.
func writer(t *testing.T, name string) func(statements ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), writerFile+"="+name)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.Wait()
	})
	answers := bufio.NewReader(out)
	return func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			fmt.Fprintln(in, s)
			if _, err := answers.ReadString('\n'); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
}

const (
	oldRows = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, 'old ' || i FROM n`
	newRows = `UPDATE t SET a = 'NEW ' || id` // longer than the cache: pages reach the file before the end
)

// The tests of a writer keep its rollback journal where nobody sees it.
var unseen = []string{`PRAGMA journal_mode=MEMORY`, `PRAGMA cache_size=2`}

func busy(err error) bool {
	return errors.Is(err, driver.ErrUnreachable) && strings.Contains(err.Error(), "a.db is being written") && strings.Contains(err.Error(), "try again")
}

func TestFileInATransactionIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		begun   []string
		end     string
		refused bool
	}{
		{name: "rows in the file", begun: []string{`BEGIN`, newRows}, end: `ROLLBACK`, refused: true},
		{name: "rows in the file, without a journal", begun: []string{`PRAGMA journal_mode=OFF`, `BEGIN`, newRows}, end: `COMMIT`, refused: true},
		{name: "about to write", begun: []string{`BEGIN IMMEDIATE`}, end: `ROLLBACK`, refused: true},
		{name: "exclusive", begun: []string{`BEGIN EXCLUSIVE`}, end: `ROLLBACK`, refused: true},
		{name: "reading", begun: []string{`BEGIN`, `SELECT count(*) FROM t`}, end: `COMMIT`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)`, oldRows)
			do := writer(t, filepath.Join(dir, "a.db"))
			do(unseen...)
			do(c.begun...)
			_, err := open(t, files, `{"path":"a.db"}`, driver.Limits{})
			if busy(err) != c.refused || !c.refused && err != nil {
				t.Errorf("got %v", err)
			}
			do(c.end)
			if _, err := open(t, files, `{"path":"a.db"}`, driver.Limits{}); err != nil {
				t.Errorf("after the transaction: %v", err)
			}
		})
	}
}

func TestShortTransactionIsWaitedFor(t *testing.T) {
	files, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)`)
	do := writer(t, filepath.Join(dir, "a.db"))
	do(`BEGIN IMMEDIATE`)
	ended := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() {
		defer close(ended)
		do(`COMMIT`)
	})
	if _, err := open(t, files, `{"path":"a.db"}`, driver.Limits{}); err != nil {
		t.Error(err)
	}
	<-ended
}

// No batch that a writer may have had a part in gets out, for what it says may
// be kept at once.
func TestTransactionDuringAReadEndsIt(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprintf("ranges %t", whole), func(t *testing.T) {
			files, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)`, oldRows)
			src, err := sqlite.Dividing(64<<10).Open(t.Context(), driver.Config{Settings: json.RawMessage(`{"path":"a.db"}`), Files: files,
				Limits: driver.Limits{BatchRows: 100}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			tables, err := src.Discover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			batches := src.Read(t.Context(), tables[0], driver.Cursor{Column: "id"})
			if whole {
				scan, err := src.(driver.Scanner).Scan(t.Context(), tables[0], nil)
				if err != nil {
					t.Fatal(err)
				}
				defer scan.Close()
				batches = scan.Read(t.Context(), scan.Unread()[1])
			}
			do := writer(t, filepath.Join(dir, "a.db"))
			do(unseen...)
			begun := false
			for batch, err := range batches {
				if err != nil {
					if !busy(err) && !strings.Contains(err.Error(), "changed while it was read") {
						t.Errorf("got %v", err)
					}
					do(`ROLLBACK`)
					return
				}
				for i := range int(batch.Record.NumRows()) {
					if a := batch.Record.Column(1).ValueStr(i); !strings.HasPrefix(a, "old ") {
						t.Fatalf("row %q, which was never committed", a)
					}
				}
				batch.Record.Release()
				if !begun {
					do(`BEGIN`, newRows)
					begun = true
				}
			}
			t.Error("the read ended as if nothing had been written")
		})
	}
}

// A commit that leaves size and time as they were is told by the change counter.
func TestCommitDuringAReadEndsIt(t *testing.T) {
	files, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)`, oldRows)
	src, err := open(t, files, `{"path":"a.db"}`, driver.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "a.db")
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	writer(t, name)(`UPDATE t SET a = 'NEW 1' WHERE id = 1`)
	os.Chtimes(name, time.Time{}, before.ModTime())
	if _, _, err := read(t, src, tables[0], driver.Cursor{}); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("got %v", err)
	}
}
