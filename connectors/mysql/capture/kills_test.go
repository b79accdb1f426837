package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// A reader that dies anywhere, and a server that is killed, under writers that do all
// that applications do: what has landed in the end is what the tables have.
func TestKills(t *testing.T) {
	server, db := logServer(t, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--max-binlog-size=65536")
	execute(t, db, "CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY, v varchar(40), n int); CREATE TABLE b (id int PRIMARY KEY, v varchar(40)); CREATE TABLE c (k varchar(20), n int, PRIMARY KEY (k, n))")
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() { write(ctx, db, uint64(w)) })
	}
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("a", "b", "c")
	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		if round%8 == 7 {
			if err := errors.Join(server.Kill(), server.Restart(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		log, err := f.captureOver()
		if errors.Is(err, driver.ErrUnreachable) || errors.Is(err, driver.ErrTimeout) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		f.untilKilled(log, random.IntN(30))
		log.Close()
	}
	stop()
	writers.Wait()
	log, err := f.captureOver()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	f.untilKilled(log, -1)
	f.same()
	for name, table := range f.tables {
		t.Logf("%s: %d rows", name, len(table.rows))
	}
}

// write writes what applications do, over and over, whatever becomes of it.
func write(ctx context.Context, db *sql.DB, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	for ctx.Err() == nil {
		n := r.IntN(500)
		statements := []string{
			fmt.Sprintf("INSERT INTO a (v, n) VALUES ('w%d', %d), ('x', %d)", seed, n, n), fmt.Sprintf("UPDATE a SET v = CONCAT('u', n), n = n + 1 WHERE id %% 50 = %d", n%50),
			fmt.Sprintf("DELETE FROM a WHERE id = %d", n), fmt.Sprintf("UPDATE a SET id = id + 100000 WHERE id = %d", n), fmt.Sprintf("REPLACE b VALUES (%d, 'r%d')", n, seed),
			fmt.Sprintf("INSERT INTO b VALUES (%d, 'i') ON DUPLICATE KEY UPDATE v = 'dup'", n), fmt.Sprintf("INSERT IGNORE INTO c VALUES ('k%d', %d)", n%20, n), fmt.Sprintf("UPDATE IGNORE c SET n = n + 1 WHERE k = 'k%d'", n%20),
			fmt.Sprintf("BEGIN; INSERT INTO a (v) VALUES ('t'); SAVEPOINT s; UPDATE b SET v = 't' WHERE id < %d; ROLLBACK TO s; DELETE FROM c WHERE n = %d; COMMIT", n, n), "BEGIN; DELETE FROM a WHERE id % 7 = 0; ROLLBACK",
			fmt.Sprintf("SET SESSION gtid_domain_id = %d; INSERT INTO a (v) VALUES ('d'); SET SESSION gtid_domain_id = 0", 1+seed),
		}
		if n < 3 {
			statements = append(statements, "TRUNCATE b")
		}
		if _, err := db.ExecContext(ctx, statements[r.IntN(len(statements))]); err != nil {
			time.Sleep(20 * time.Millisecond) // a deadlock, or a server that is starting
		}
	}
}

// captureOver is capture with a server that may be starting.
func (f *follower) captureOver() (log driver.Log, err error) {
	for range 50 {
		log, err = f.capture()
		switch {
		case err == nil && f.refusedWhole(log):
			continue
		case !errors.Is(err, driver.ErrUnreachable):
			return log, err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return log, err
}

// refusedWhole closes a log that goes on without some of the tables, which are then read
// whole. A server that is killed right between two files of its log looks like one that
// went on without one.
func (f *follower) refusedWhole(log driver.Log) (some bool) {
	for i, why := range log.Refused() {
		if why != nil {
			f.t.Logf("%s is read whole: %v", f.names()[i], why)
			f.tables[f.names()[i]].after, some = "", true
		}
	}
	if some {
		log.Close()
	}
	return some
}

// untilKilled reads some messages of a log, or all for less than none, and lands what
// has a place to resume behind it. What was read twice since tables were read whole
// is applied over.
func (f *follower) untilKilled(log driver.Log, messages int) {
	f.t.Helper()
	var waiting []driver.Changes
	defer func() {
		for _, c := range waiting {
			c.Record.Release()
		}
	}()
	for c, err := range log.Changes(f.t.Context()) {
		if err != nil {
			if messages < 0 {
				f.t.Fatal(err)
			}
			return
		}
		if c.Record != nil {
			waiting = append(waiting, c)
		}
		if c.Resume != "" {
			for _, w := range waiting {
				f.tables[f.names()[w.Table]].upsert(w)
			}
			waiting, f.landed = nil, c.Resume
		}
		if messages--; messages == 0 {
			return
		}
	}
}
