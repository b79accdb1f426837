package capture_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// The log of a server that is killed and comes again goes on; one that was purged,
// begun anew, or is another server's, does not.
func TestLogThatDoesNotGoOn(t *testing.T) {
	server, db := logServer(t, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); INSERT INTO t VALUES (1, 'a'); CREATE TABLE mem (id int PRIMARY KEY) ENGINE=MEMORY; INSERT INTO mem VALUES (1)")
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("t", "mem")
	f.catchUp()
	execute(t, db, "INSERT INTO t VALUES (2, 'b')")
	if err := errors.Join(server.Kill(), server.Restart(t.Context())); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "DO (SELECT COUNT(*) FROM mem); INSERT INTO t VALUES (3, 'c')")
	f.catchUp()
	if n := len(f.tables["mem"].rows); n != 0 {
		t.Errorf("a table in memory has %d rows after a restart", n)
	}
	t.Run("killed while it is read", func(t *testing.T) {
		f.t = t
		f.config.Continuous, f.config.Delay = true, time.Second
		log, err := f.capture()
		if err != nil {
			t.Fatal(err)
		}
		killed := make(chan error, 1)
		time.AfterFunc(500*time.Millisecond, func() { killed <- server.Kill() })
		if err := f.changes(log); !errors.Is(err, driver.ErrUnreachable) {
			t.Errorf("Changes = %v", err)
		}
		f.config.Continuous = false
		if err := errors.Join(<-killed, server.Restart(t.Context())); err != nil {
			t.Fatal(err)
		}
		execute(t, db, "INSERT INTO t VALUES (4, 'd')")
		f.catchUp()
	})
	f.t = t
	t.Run("purged but not needed", func(t *testing.T) {
		f.t = t
		execute(t, db, "FLUSH BINARY LOGS")
		purge(t, db)
		f.catchUp()
	})
	t.Run("purged", func(t *testing.T) {
		f.t = t
		execute(t, db, "INSERT INTO t VALUES (5, 'e'); FLUSH BINARY LOGS; INSERT INTO t VALUES (6, 'f'); FLUSH BINARY LOGS")
		purge(t, db)
		f.fails(driver.ErrReplaced, "deleted the binary logs")
		f.fails(driver.ErrReplaced, `sync_options.reset ["*"]`)
		f.reset()
		f.catchUp()
	})
	t.Run("begun anew", func(t *testing.T) {
		f.t = t
		execute(t, db, "DO SLEEP(1.1); RESET MASTER; INSERT INTO t VALUES (7, 'g')") // files have the time of a second
		f.fails(driver.ErrReplaced, "RESET MASTER")
		// As far as it was, with the same numbers: it is another log all the same.
		f.reset()
		f.catchUp()
		execute(t, db, "INSERT INTO t VALUES (8, 'h'); INSERT INTO t VALUES (9, 'h')")
		f.catchUp()
		execute(t, db, "DO SLEEP(1.1); RESET MASTER; INSERT INTO t VALUES (10, 'i'); INSERT INTO t VALUES (11, 'i'); INSERT INTO t VALUES (12, 'i'); INSERT INTO t VALUES (13, 'i'); INSERT INTO t VALUES (14, 'i')")
		f.fails(driver.ErrReplaced, "begun anew")
		f.reset()
		f.catchUp()
	})
	t.Run("crashed without sync_binlog", func(t *testing.T) {
		f.t = t
		execute(t, db, "FLUSH BINARY LOGS; INSERT INTO t VALUES (15, 'j')")
		f.catchUp()
		before := f.landed
		execute(t, db, "INSERT INTO t VALUES (16, 'lost')")
		f.catchUp()
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		place, err := binlog.Parse(before)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(server.Dir, "data", place.Place.File), int64(place.Place.At)); err != nil {
			t.Fatal(err)
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.fails(driver.ErrReplaced, "crashed without sync_binlog")
		execute(t, db, "INSERT INTO t VALUES (17, 'k'); INSERT INTO t VALUES (18, 'k')") // under the numbers of what is lost
		f.fails(driver.ErrReplaced, "crashed without sync_binlog")
		f.tables["t"].after, f.landed = f.landed, before // what was confirmed is there, what a table has beyond it is not
		f.fails(driver.ErrReplaced, "crashed without sync_binlog")
		f.reset()
		f.catchUp()
	})
	t.Run("another server", func(t *testing.T) {
		f.t = t
		position := strings.Fields(f.landed)
		f.landed = "0-99-1000 " + position[1] + " 99.1.1"
		for _, table := range f.tables {
			table.after = f.landed
		}
		f.fails(driver.ErrReplaced, "another server")
		f.landed = "LSN 0/12345"
		f.fails(driver.ErrReplaced, "none of a binary log")
		f.reset()
		f.catchUp()
	})
	t.Run("a failover that has all", func(t *testing.T) { // the files of another server have other names and times
		f.t = t
		position := strings.Fields(f.landed)
		file, _, _ := strings.Cut(position[1], ":")
		for i, at := range []string{file, "other.000099"} { // the first may have the same name
			f.landed = position[0] + " " + at + ":1 98.1.1"
			for _, table := range f.tables {
				table.after = f.landed
			}
			if i == 1 {
				execute(t, db, "INSERT INTO t VALUES (20, 'x')")
			}
			f.catchUp()
			if place, err := binlog.Parse(f.landed); err != nil || place.Place.Server != 7 || place.Place.File == "other.000099" {
				t.Errorf("the position is not one of the server that took over: %s", f.landed)
			}
		}
	})
}

// purge deletes all files of the log but the last, once the server can.
func purge(t testing.TB, db *sql.DB) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		execute(t, db, "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
		rows, err := db.QueryContext(t.Context(), "SHOW BINARY LOGS")
		if err != nil {
			t.Fatal(err)
		}
		files := 0
		for rows.Next() {
			files++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if files == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d files of the log are left", files)
		}
	}
}

// reset has all tables read whole.
func (f *follower) reset() {
	f.landed = ""
	for _, table := range f.tables {
		table.after = ""
	}
}

// What is complete is told by our clock, and never for too long: the server tells whole
// seconds.
func TestCompleteByOurClock(t *testing.T) {
	server, db := logServer(t)
	f := following(t, server, db, "CREATE TABLE t (id int PRIMARY KEY)", "t")
	execute(t, db, "INSERT INTO t VALUES (1)")
	f.catchUp()
	if early := f.place.Committed.Sub(f.place.Fresh); early < 0 || early > time.Minute {
		t.Errorf("committed %s, complete until %s", f.place.Committed, f.place.Fresh)
	}
}

// Places to resume come in time while the log goes on, none without need, and what is
// behind is told.
func TestContinuousChanges(t *testing.T) {
	server, db := logServer(t, "--binlog-expire-logs-seconds=86400")
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(20))")
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("t")
	f.config.Continuous, f.config.Delay = true, time.Second
	log, err := f.capture()
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	written := make(chan time.Time, 1)
	time.AfterFunc(1500*time.Millisecond, func() {
		written <- time.Now()
		_, _ = db.ExecContext(ctx, "INSERT INTO t SELECT seq, 'x' FROM seq_1_to_100; SET timestamp = UNIX_TIMESTAMP() + 3600; INSERT INTO t VALUES (1000, 'y'); SET timestamp = DEFAULT")
	})
	rows := 0
	for c, err := range log.Changes(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Record != nil {
			rows += len(c.Ops)
			c.Record.Release()
		}
		if c.Resume == "" {
			continue
		}
		began := <-written
		// The session says that it is an hour later: that tells nothing of what is complete.
		if !c.Fresh.IsZero() || time.Until(c.Committed) < 59*time.Minute {
			t.Errorf("committed %s, complete until %s", c.Committed, c.Fresh)
		}
		if took := time.Since(began); took > 9*time.Second || rows != 101 { // without a delay of its own it would be 10 s
			t.Errorf("a place to resume came with %d rows after %s", rows, took)
		}
		s, err := log.Standing(ctx)
		if err != nil || s.Behind <= 0 || s.Delay <= 0 || !strings.Contains(s.Message, "24h0m0s") {
			t.Errorf("Standing = %+v, %v", s, err)
		}
		if err := log.Confirm(ctx, c.Resume); err != nil {
			t.Fatal(err)
		}
		s, err = log.Standing(ctx)
		if err != nil || s.Behind != 0 || s.Delay != 0 || s.Position != c.Resume {
			t.Errorf("Standing = %+v, %v", s, err)
		}
		break
	}
	ended := make(chan error, 1)
	execute(t, db, "INSERT INTO t VALUES (2000, 'z')")
	soon := within(t, 3*time.Second)
	go func() {
		for c, err := range log.Changes(soon) {
			if err != nil {
				ended <- err
				return
			}
			if c.Record != nil {
				c.Record.Release()
			}
		}
		ended <- fmt.Errorf("it ended by itself")
	}()
	if err := <-ended; !errors.Is(err, driver.ErrTimeout) {
		t.Errorf("Changes whose context ended = %v", err)
	}
	execute(t, db, "RESET MASTER; INSERT INTO t VALUES (3000, 'unseen')")
	if s, err := log.Standing(ctx); !errors.Is(err, driver.ErrReplaced) {
		t.Errorf("Standing of a log that was begun anew = %+v, %v", s, err)
	}
	if err := errors.Join(log.Close(), log.Close(), f.src.Release(t.Context(), "headwater_test", "")); err != nil {
		t.Error(err)
	}
	deadline := time.Now().Add(time.Minute)
	for n := 1; n > 0; time.Sleep(50 * time.Millisecond) {
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog%'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d readers are left at the server", n)
		}
	}
}

// Two services that follow a source of the same name read the log beside each other.
func TestReadersOfTwoServices(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	ours, theirs := newFollower(t, server, db, func(*session.Settings) {}), newFollower(t, server, db, func(*session.Settings) {})
	ours.config.Owner, theirs.config.Owner = "we", "they"
	ours.discover("t")
	theirs.discover("t")
	ours.config.Continuous, ours.config.Delay = true, time.Second
	log, err := ours.capture()
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, "INSERT INTO t VALUES (1)")
	places := 0
	for c, err := range log.Changes(within(t, time.Minute)) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Record != nil {
			ours.apply(c)
		}
		if c.Resume == "" {
			continue
		}
		if places++; places == 2 {
			break
		}
		theirs.catchUp() // beside it
		execute(t, db, "INSERT INTO t VALUES (2)")
	}
	ours.same()
}

// Family 15: of two readers of one source the server ends the older one.
func TestTwoReaders(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("t")
	f.catchUp()
	f.config.Continuous, f.config.Delay = true, time.Second
	older, err := f.capture()
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	ended := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		for c, err := range older.Changes(ctx) {
			if err != nil {
				ended <- err
				return
			}
			if c.Record != nil {
				c.Record.Release()
			}
			if c.Resume != "" {
				close(began)
			}
		}
	}()
	execute(t, db, "INSERT INTO t VALUES (1)")
	<-began
	f.config.Continuous = false
	f.catchUp()
	if err := <-ended; !errors.Is(err, driver.ErrUnreachable) || !strings.Contains(err.Error(), "copy of this one's data") {
		t.Errorf("the older reader ended with %v", err)
	}
}
