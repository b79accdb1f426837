package capture_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// crash ends the server at once, and starts it anew. meanwhile may be nil.
func (f *follower) crash(server *servers.Server, meanwhile func()) {
	f.t.Helper()
	err := server.Kill()
	if meanwhile != nil {
		meanwhile()
	}
	if err := errors.Join(err, server.Restart(f.t.Context())); err != nil {
		f.t.Fatal(err)
	}
}

// cut takes away what a file of the log has behind a place.
func cut(t *testing.T, server *servers.Server, place binlog.Place) {
	t.Helper()
	if err := os.Truncate(filepath.Join(server.Dir, "data", place.File), int64(place.At)); err != nil {
		t.Fatal(err)
	}
}

// parted holds that these tables are refused with these words, and no others, when the
// reading comes to a crash or has come there, and that all is well once they are read whole.
func (f *follower) parted(words string, names ...string) {
	f.t.Helper()
	landed := f.landed
	refused, err := f.changesTo()
	if err != nil && !errors.Is(err, driver.ErrRetyped) {
		f.t.Fatal(err)
	}
	if err != nil {
		refused, err = f.changesTo()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	var got []string
	for i, name := range f.names() {
		if refused[i] == nil {
			continue
		}
		if got = append(got, name); !errors.Is(refused[i], driver.ErrReplaced) || !strings.Contains(refused[i].Error(), words) {
			f.t.Errorf("%s is refused with %v, want %q", name, refused[i], words)
		}
		f.tables[name].after = ""
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		f.t.Errorf("refused are %q, want %q", got, names)
	}
	f.taken().Close() // they are read whole, and no place of the log lands with that
	f.landed = landed
	f.catchUp()
	f.catchUp() // and stays well while nothing happens
}

// A crash of a server that does not write each transaction to its disk parts the log from
// the tables: InnoDB keeps what the log lost, or the other way round.
func TestACrashPartsTheLog(t *testing.T) {
	partedByCrash(t, func(t *testing.T, options ...string) (*servers.Server, *sql.DB) { return logServer(t, options...) })
	t.Run("a log that lost what was not read", func(t *testing.T) {
		server, db := logServer(t, "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=1")
		f := following(t, server, db, crashTables, "t", "mem")
		place, err := binlog.Parse(f.landed)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, db, "INSERT INTO t VALUES (2, 'the log lost it'); FLUSH ENGINE LOGS")
		f.crash(server, func() { cut(t, server, place.Place) })
		execute(t, db, "DO (SELECT COUNT(*) FROM mem); REPLACE t VALUES (3, 'c')")
		f.parted("sync_binlog is 0", "t")
		steps, err := f.src.CheckSteps(t.Context())
		if err != nil || !strings.Contains(steps[len(steps)-1].Message, "ready for mode cdc; after a crash of the server every table is read whole again: sync_binlog is 0") {
			t.Errorf("CheckSteps = %+v, %v", steps, err)
		}
	})
}

func TestMySQLACrashPartsTheLog(t *testing.T) {
	partedByCrash(t, func(t *testing.T, options ...string) (*servers.Server, *sql.DB) { return mysqlServer(t, options...) })
	t.Run("a log of which the tables know", func(t *testing.T) {
		server, db := mysqlServer(t, "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=1")
		f := following(t, server, db, crashTables, "t")
		execute(t, db, "REPLACE t VALUES (2, 'b')")
		f.crash(server, nil)
		f.parted("")
	})
}

const crashTables = "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); CREATE TABLE my (id int PRIMARY KEY) ENGINE=MyISAM; CREATE TABLE mem (id int PRIMARY KEY) ENGINE=MEMORY; INSERT INTO t VALUES (1, 'a'); INSERT INTO my VALUES (1); INSERT INTO mem VALUES (1)"

func partedByCrash(t *testing.T, start func(*testing.T, ...string) (*servers.Server, *sql.DB)) {
	t.Run("settings that are not safe", func(t *testing.T) {
		server, db := start(t, "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0")
		f := following(t, server, db, crashTables, "t")
		execute(t, db, "FLUSH BINARY LOGS")
		f.catchUp() // the server ended that file itself
		purge(t, db)
		f.catchUp()
		execute(t, db, "FLUSH BINARY LOGS")
		purge(t, db)
		f.parted("nobody knows whether the server crashed", "t")
		execute(t, db, "REPLACE t VALUES (2, 'b')")
		f.catchUp()
		f.crash(server, nil) // InnoDB may have lost what the log has
		f.parted("innodb_flush_log_at_trx_commit is 0", "t")
		execute(t, db, "REPLACE t VALUES (3, 'c'); SHUTDOWN")
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.catchUp()
		execute(t, db, "REPLACE t VALUES (4, 'd')")
		f.crash(server, nil)
		f.parted("innodb_flush_log_at_trx_commit is 0", "t")
		execute(t, db, "REPLACE t VALUES (5, 'e')")
		f.catchUp()
		f.crash(server, nil)
		execute(t, db, "SET GLOBAL sync_binlog = 1, GLOBAL innodb_flush_log_at_trx_commit = 1")
		f.parted("was another one", "t")
	})
	t.Run("a table that is read whole behind the crash", func(t *testing.T) {
		server, db := start(t, "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0")
		f := following(t, server, db, crashTables, "t", "my")
		f.crash(server, nil)
		f.tables["t"].after = ""
		f.parted("a crash leaves rows of myisam", "my")
	})
	t.Run("settings that are safe", func(t *testing.T) {
		server, db := start(t, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
		f := following(t, server, db, crashTables, "t", "my", "mem")
		execute(t, db, "REPLACE t VALUES (2, 'b')")
		f.crash(server, nil)
		execute(t, db, "DO (SELECT COUNT(*) FROM mem)")
		f.parted("a crash leaves rows of myisam", "my")
		f.crash(server, nil)
		f.parted("a crash leaves rows of myisam", "my")
	})
}

// A transaction that breaks off with its file was never committed: the tables that it has
// rows of are read whole, and the others go on.
func TestATransactionThatBreaksOff(t *testing.T) {
	server, db := logServer(t, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY, v varchar(20)); CREATE TABLE ignored (id int PRIMARY KEY)")
	for _, name := range []string{"u", "ignored"} {
		t.Run(name, func(t *testing.T) {
			execute(t, db, "FLUSH BINARY LOGS")
			checkpointed(t, db)
			f := newFollower(t, server, db, func(*session.Settings) {})
			f.discover("t", "u")
			f.catchUp()
			execute(t, db, "REPLACE t VALUES (1); BEGIN; INSERT INTO "+name+" (id) VALUES (1); INSERT INTO "+name+" (id) VALUES (2); COMMIT")
			file := logFile(t, db)
			events, err := binlogEvents(t, db, file)
			if err != nil {
				t.Fatal(err)
			}
			var begin int64
			for _, e := range events {
				if e.kind == "Write_rows_v1" {
					begin = e.end
				}
			}
			if begin == 0 {
				t.Fatal("the log has no rows")
			}
			f.crash(server, func() { cut(t, server, binlog.Place{File: file, At: uint64(begin)}) })
			execute(t, db, "DELETE FROM "+name+"; REPLACE t VALUES (2)") // as InnoDB rolls it back
			if name == "u" {
				f.parted("the server crashed amid transaction 0-7-", "u")
			} else {
				f.catchUp()
			}
		})
	}
}

// checkpointed waits until MariaDB would begin its recovery in the file that it writes to. A
// recovery that begins in an earlier one may end with the GTIDs of that one (met on 10.11),
// which is another loss than that of the tests.
func checkpointed(t *testing.T, db *sql.DB) {
	t.Helper()
	file := logFile(t, db)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		events, err := binlogEvents(t, db, file)
		switch {
		case err != nil:
			t.Fatal(err)
		case slices.ContainsFunc(events, func(e binlogEvent) bool { return e.kind == "Binlog_checkpoint" && e.info == file }):
			return
		case time.Now().After(deadline):
			t.Fatalf("%s has no checkpoint of its own", file)
		}
	}
}

type binlogEvent struct {
	kind, info string
	end        int64
}

// binlogEvents returns what SHOW BINLOG EVENTS says of a file.
func binlogEvents(t *testing.T, db *sql.DB, file string) (events []binlogEvent, err error) {
	rows, err := db.QueryContext(t.Context(), "SHOW BINLOG EVENTS IN '"+file+"'")
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var name string
		var at, id int64
		var e binlogEvent
		if err := rows.Scan(&name, &at, &e.kind, &id, &e.end, &e.info); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		events = append(events, e)
	}
	return events, errors.Join(rows.Err(), rows.Close())
}

// logFile returns the file that the server writes its log to.
func logFile(t *testing.T, db *sql.DB) (file string) {
	t.Helper()
	var at, do, ignore string
	if err := db.QueryRowContext(t.Context(), "SHOW MASTER STATUS").Scan(&file, &at, &do, &ignore); err != nil {
		t.Fatal(err)
	}
	return file
}

// A server that cannot begin the next file of its log goes on without one: that is told
// while it lasts, and what was committed meanwhile is not passed over behind it.
func TestAServerThatWentOnWithoutALog(t *testing.T) {
	server, db := logServer(t, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
	f := following(t, server, db, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", "t")
	log := f.taken()
	inTheWay := filepath.Join(server.Dir, "data", "log.000002")
	if err := os.Mkdir(inTheWay, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "FLUSH BINARY LOGS"); err == nil {
		t.Fatal("the server began another file")
	}
	execute(t, db, "INSERT INTO t VALUES (2)")
	if _, err := log.Standing(t.Context()); !errors.Is(err, driver.ErrReplaced) || !strings.Contains(err.Error(), "does not write its binary log any more") {
		t.Errorf("Standing = %v", err)
	}
	log.Close()
	if _, err := f.capture(); err == nil {
		t.Error("the log is taken up that is not written")
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	_, _ = db.ExecContext(t.Context(), "SHUTDOWN")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.parted("behind the file log.000001 the server went on without a binary log", "t")
}

// While nothing happens but that the server begins another file, a reader that goes on
// gives a place in it: the file before may expire.
func TestAFileThatBeginsWhileNothingHappens(t *testing.T) {
	server, db := logServer(t)
	f := following(t, server, db, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", "t")
	f.config = driver.Capture{Continuous: true, Delay: time.Second}
	log := f.taken()
	execute(t, db, "FLUSH BINARY LOGS")
	for c, err := range log.Changes(within(t, time.Minute)) {
		if err != nil {
			t.Fatal(err)
		}
		if f.landed = c.Resume; strings.Contains(f.landed, "log.000002:") {
			break
		}
	}
	log.Close()
	purge(t, db)
	f.config = driver.Capture{}
	f.catchUp()
}

// Settings that come to be loose while a reader goes on, and are mended behind a crash,
// are not forgotten.
func TestSettingsThatComeToBeLoose(t *testing.T) {
	server, db := logServer(t, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
	f := following(t, server, db, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", "t")
	log := f.taken()
	execute(t, db, "SET GLOBAL sync_binlog = 0")
	if _, err := log.Standing(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "INSERT INTO t VALUES (2)")
	if err := f.changes(log); err != nil {
		t.Fatal(err)
	}
	log.Close()
	f.crash(server, nil) // which starts with the options above
	f.parted("was another one", "t")
}
