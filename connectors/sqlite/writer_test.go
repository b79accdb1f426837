//go:build linux

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

func TestTransactionThatReachedTheFileIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		begun   []string
		end     string
		refused bool
	}{
		{name: "rows in the file", begun: []string{`BEGIN`, newRows}, end: `ROLLBACK`, refused: true},
		{name: "rows in the file, without a journal", begun: []string{`PRAGMA journal_mode=OFF`, `BEGIN`, newRows}, end: `COMMIT`, refused: true},
		{name: "about to write", begun: []string{`BEGIN IMMEDIATE`}, end: `ROLLBACK`},
		{name: "exclusive", begun: []string{`BEGIN EXCLUSIVE`}, end: `ROLLBACK`, refused: true},
		{name: "rows that are still in memory", begun: []string{`BEGIN`, `UPDATE t SET a = 'NEW' WHERE id = 7`}, end: `COMMIT`},
		{name: "reading", begun: []string{`BEGIN`, `SELECT count(*) FROM t`}, end: `COMMIT`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files, dir := create(t, "a.db", `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)`, oldRows)
			do := writer(t, filepath.Join(dir, "a.db"))
			do(unseen...)
			do(c.begun...)
			src, err := sqlite.Impatient(50*time.Millisecond, 0).Open(t.Context(), driver.Config{Settings: json.RawMessage(`{"path":"a.db"}`), Files: files, Log: slog.New(slog.DiscardHandler)})
			if busy(err) != c.refused || !c.refused && err != nil {
				t.Errorf("got %v", err)
			}
			if err == nil {
				defer src.Close()
				if rows, _ := all(t, src, "t"); len(rows) != 20000 || rows[6][1] != "old 7" {
					t.Errorf("%d rows, the seventh is %q", len(rows), rows[6])
				}
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
	do(`BEGIN EXCLUSIVE`)
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
