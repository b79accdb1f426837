package capture_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

// What applications do to rows, as one table's changes.
func TestChangesOfRows(t *testing.T) {
	server, db := logServer(t, "--log-bin-trust-function-creators=1")
	execute(t, db, `CREATE TABLE t (id int PRIMARY KEY, v varchar(50), n int); CREATE TABLE keyless (a int, b varchar(9)); CREATE TABLE pair (a int, b varchar(9), v int, PRIMARY KEY (b, a));
CREATE TABLE mem (id int PRIMARY KEY) ENGINE=MEMORY; CREATE TABLE my (id int PRIMARY KEY, v int) ENGINE=MyISAM; CREATE TABLE aria (id int PRIMARY KEY) ENGINE=Aria;
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (100));
CREATE TABLE audit (id int AUTO_INCREMENT PRIMARY KEY, what varchar(50)); CREATE TRIGGER seen AFTER INSERT ON t FOR EACH ROW INSERT INTO audit (what) VALUES (CONCAT('t', NEW.id));
CREATE DATABASE other; CREATE TABLE other.t (id int PRIMARY KEY, v varchar(50), n int); CREATE TABLE ignored (id int PRIMARY KEY);
INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3); INSERT INTO keyless VALUES (1, 'a'), (2, 'b'); INSERT INTO pair VALUES (1, 'a', 1), (2, 'a', 2); INSERT INTO part VALUES (1), (11)`)
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("t", "keyless", "pair", "mem", "my", "aria", "part", "audit")
	f.catchUp()
	for _, step := range []struct{ name, statements string }{
		{"nothing", "DO 1"},
		{"insert, update, delete", "INSERT INTO t VALUES (4, 'four', 4); UPDATE t SET v = 'ONE' WHERE id = 1; DELETE FROM t WHERE id = 2"},
		{"key", "UPDATE t SET id = 20 WHERE id = 3; UPDATE pair SET b = 'A' WHERE a = 1; UPDATE pair SET a = a + 10"},
		{"keys that swap", "UPDATE t SET id = id + 1 ORDER BY id DESC"},
		{"replace", "REPLACE t VALUES (2, 'replaced', NULL); INSERT INTO t VALUES (2, 'x', 1) ON DUPLICATE KEY UPDATE v = 'dup', n = 9"},
		{"no key", "UPDATE keyless SET b = 'c' WHERE a = 1; DELETE FROM keyless WHERE a = 2; INSERT INTO keyless VALUES (3, NULL)"},
		{"several tables", "UPDATE t JOIN pair ON pair.v = 1 SET t.v = 'joined', pair.v = 7; DELETE t, keyless FROM t JOIN keyless WHERE t.id = 2"},
		{"one transaction", "BEGIN; INSERT INTO t VALUES (50, 'a', 1); UPDATE t SET v = 'b' WHERE id = 50; DELETE FROM t WHERE id = 50; INSERT INTO t VALUES (50, 'c', 1); UPDATE t SET id = 51 WHERE id = 50; COMMIT"},
		{"rolled back", "BEGIN; INSERT INTO t VALUES (60, 'a', 1); ROLLBACK"},
		{"truncate", "INSERT INTO my VALUES (1, 1); INSERT INTO keyless VALUES (8, 'x'); TRUNCATE my; TRUNCATE TABLE keyless; INSERT INTO my VALUES (2, 2)"},
		{"engines", "INSERT INTO mem VALUES (1), (2); INSERT INTO my VALUES (5, 5); INSERT INTO aria VALUES (1); DELETE FROM mem WHERE id = 1; UPDATE my SET v = 6"},
		{"engines mixed", "BEGIN; INSERT INTO t VALUES (70, 'a', 1); INSERT INTO my VALUES (70, 1); ROLLBACK"},
		{"savepoint", "BEGIN; INSERT INTO t VALUES (80, 'a', 1); SAVEPOINT s; INSERT INTO t VALUES (81, 'a', 1); INSERT INTO my VALUES (81, 1); ROLLBACK TO s; INSERT INTO t VALUES (82, 'a', 1); SAVEPOINT s2; INSERT INTO t VALUES (83, 'a', 1); COMMIT"},
		{"XA", "XA START 'a', 'b'; INSERT INTO t VALUES (90, 'xa', 1); XA END 'a', 'b'; XA PREPARE 'a', 'b'; XA COMMIT 'a', 'b'; XA START 'c'; INSERT INTO t VALUES (91, 'one phase', 1); XA END 'c'; XA COMMIT 'c' ONE PHASE; XA START 'd'; INSERT INTO t VALUES (92, 'gone', 1); XA END 'd'; XA PREPARE 'd'; XA ROLLBACK 'd'"},
		{"loaded", "SELECT 300, 'loaded', 1 INTO OUTFILE 'loaded.txt'; LOAD DATA INFILE 'loaded.txt' INTO TABLE t"},
		{"by the server's own programs", "CREATE PROCEDURE fill(n int) INSERT INTO t VALUES (n, UUID(), RAND() * 1000); CALL fill(310); CREATE FUNCTION one() RETURNS int BEGIN INSERT INTO t VALUES (311, 'f', 1); RETURN 1; END; DO one(); CREATE SEQUENCE seqs; DO NEXTVAL(seqs); DROP SEQUENCE seqs"},
		{"without a look at keys", "SET SESSION foreign_key_checks = 0; INSERT INTO t VALUES (320, 'x', 1); SET SESSION foreign_key_checks = 1, unique_checks = 0; INSERT INTO t VALUES (321, 'x', 1); SET SESSION foreign_key_checks = 0; INSERT INTO my VALUES (321, 1); UPDATE t SET v = 'y' WHERE id = 320; DELETE FROM t WHERE id = 321; SET SESSION foreign_key_checks = 1, unique_checks = 1"},
		{"partitions", "INSERT INTO part SELECT seq FROM seq_20_to_40; UPDATE part SET id = 5 WHERE id = 20; DELETE FROM part WHERE id = 1"},
		{"of others", "INSERT INTO other.t VALUES (1, 'x', 1); TRUNCATE other.t; USE other; ALTER TABLE t ADD z int; USE headwater; INSERT INTO ignored VALUES (1); ALTER TABLE ignored ADD z int"},
		{"harmless", "CREATE INDEX i ON t (n); DROP INDEX i ON t; ALTER TABLE t COMMENT 'x'; ANALYZE TABLE t; OPTIMIZE TABLE t; ALTER TABLE t ALTER n SET DEFAULT 5; CREATE TABLE IF NOT EXISTS t (a int); FLUSH TABLES; CREATE VIEW w AS SELECT 1; DROP VIEW w; GRANT SELECT ON t TO headwater; ALTER TABLE part ADD PARTITION (PARTITION p2 VALUES LESS THAN (1000))"},
		{"a table made of another", "CREATE TABLE made AS SELECT * FROM t; DROP TABLE made; CREATE TEMPORARY TABLE tt (a int); INSERT INTO tt VALUES (1); DROP TABLE tt"},
		{"rotation", "FLUSH BINARY LOGS; INSERT INTO t VALUES (100, 'after', 1); FLUSH BINARY LOGS; INSERT INTO t VALUES (101, 'after', 1)"},
		{"two domains", "SET SESSION gtid_domain_id = 5; INSERT INTO t VALUES (110, 'x', 1); SET SESSION gtid_domain_id = 0; INSERT INTO t VALUES (111, 'x', 1)"},
		{"one domain of two", "SET SESSION gtid_domain_id = 5; INSERT INTO t VALUES (112, 'x', 1); UPDATE t SET v = 'y' WHERE id = 112; SET SESSION gtid_domain_id = 0"},
	} {
		t.Run(step.name, func(t *testing.T) {
			f.t = t
			execute(t, db, step.statements)
			f.catchUp()
		})
	}
	f.t = t
	// The log read once more from where a table had landed gives nothing twice, and
	// each table begins at its own place.
	for name, table := range f.tables {
		table.ops = nil
		f.tables[name].after = f.landed
	}
	execute(t, db, "INSERT INTO t VALUES (200, 'x', 1); INSERT INTO my VALUES (200, 1)")
	landed := f.landed
	f.catchUp()
	f.landed, f.tables["t"].after, f.tables["t"].ops, f.tables["my"].ops = landed, f.landed, nil, nil
	execute(t, db, "INSERT INTO t VALUES (201, 'x', 1)")
	delete(f.tables["my"].rows, "200|")
	f.catchUp()
	if got := len(f.tables["t"].ops); got != 1 {
		t.Errorf("%d changes of the table that was further", got)
	}
	if got := len(f.tables["my"].ops); got != 1 {
		t.Errorf("%d changes of the table that was not", got)
	}
	rows := 0
	for _, end := range f.ends {
		if rows += end.Rows; end.Position == "" || end.Committed.IsZero() || time.Since(end.Committed) > time.Hour {
			t.Fatalf("an end is %+v", end)
		}
	}
	ops := 0
	for _, table := range f.tables {
		ops += len(table.ops)
	}
	if rows < ops {
		t.Errorf("%d rows have ends, of at least %d", rows, ops)
	}
}

// Family 5: rows that are written while a table is read whole are there once.
func TestChangesJoinWholeRead(t *testing.T) {
	server, db := logServer(t)
	joined(t, server, db)
}

// joined has eight followers take up the log of a table amid its writers.
func joined(t *testing.T, server *servers.Server, db *sql.DB) {
	execute(t, db, "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, v int); INSERT INTO t (v) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n; INSERT INTO t (v) SELECT v FROM t")
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, _ = db.ExecContext(ctx, fmt.Sprintf("INSERT INTO t (v) VALUES (%[1]d); UPDATE t SET v = v + 1 WHERE id = %[2]d; DELETE FROM t WHERE id = %[3]d; UPDATE t SET id = id + 1000000 WHERE id = %[4]d", w, 1+(i*7+w)%2000, 1+(i*13+w*500)%2000, 1+(i*17+w*500)%2000))
			}
		})
	}
	var followers []*follower
	for range 8 {
		f := newFollower(t, server, db, func(*session.Settings) {})
		f.discover("t")
		log, err := f.capture()
		if err != nil {
			t.Fatal(err)
		}
		for c, err := range log.Changes(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Record != nil {
				f.tables["t"].upsert(c)
			}
			if c.Resume != "" {
				f.landed = c.Resume
			}
		}
		followers = append(followers, f)
	}
	stop()
	writers.Wait()
	for _, f := range followers {
		log, err := f.capture()
		if err != nil {
			t.Fatal(err)
		}
		for c, err := range log.Changes(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Record != nil {
				f.tables["t"].upsert(c)
			}
		}
		f.same()
	}
}

// What the log cannot tell is said, with the way out, and nothing lands.
func TestChangesRefused(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE); CREATE TABLE nulled (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id) ON UPDATE SET NULL);
CREATE TABLE strict (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id)); CREATE TABLE versioned (id int PRIMARY KEY) WITH SYSTEM VERSIONING; CREATE VIEW seen AS SELECT * FROM parent; CREATE TABLE hole (id int PRIMARY KEY) ENGINE=MRG_MyISAM;
CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'); CREATE TABLE dated (id int PRIMARY KEY, d date);
CREATE USER only_reads IDENTIFIED BY 'secret'; GRANT SELECT ON headwater.* TO only_reads; GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO only_reads`)
	for _, reader := range []string{"", "only_reads"} { // who may only read is not shown what foreign keys do
		t.Run("tables"+reader, func(t *testing.T) {
			f := newFollower(t, server, db, func(s *session.Settings) {
				if reader != "" {
					s.Username, s.Password = reader, "secret"
				}
			})
			f.discover("child", "nulled", "parent", "strict", "versioned", "seen", "t")
			log, err := f.capture()
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			refused := log.Refused()
			for i, name := range f.names() {
				words := map[string]string{"child": "CASCADE", "nulled": "CASCADE or SET NULL", "versioned": "system versioned", "seen": "is a view"}[name]
				if err := refused[i]; (err == nil) != (words == "") || err != nil && (!errors.Is(err, driver.ErrUnsupported) || !strings.Contains(err.Error(), words)) {
					t.Errorf("%s: %v, want %q", name, err, words)
				}
				if err != nil && !strings.Contains(err.Error(), `sync_options.exclude ["headwater.`+name+`"]`) {
					t.Errorf("%s: %v has no way out", name, err)
				}
			}
			execute(t, db, "REPLACE INTO t VALUES (2, 'b')")
			if err := f.changes(log); err != nil {
				t.Errorf("the others do not go on: %v", err)
			}
		})
	}
	t.Run("bad value", func(t *testing.T) {
		f := newFollower(t, server, db, func(*session.Settings) {})
		f.discover("t", "dated")
		f.catchUp()
		execute(t, db, "SET sql_mode = ''; INSERT INTO dated VALUES (1, '2024-01-01'), (2, '0000-00-00')")
		f.fails(driver.ErrRetyped, "table headwater.dated, column d, transaction 0-7-")
		f.fails(driver.ErrBadData, "(id = 2): this is no date")
		f = newFollower(t, server, db, func(s *session.Settings) { s.OnBadValue = "null" })
		f.discover("dated")
		execute(t, db, "DELETE FROM dated")
		log, err := f.capture()
		if err != nil {
			t.Fatal(err)
		}
		execute(t, db, "SET sql_mode = ''; INSERT INTO dated VALUES (1, '2024-01-01'), (2, '0000-00-00')")
		if err := f.changes(log); err != nil || len(f.notes) != 1 || !strings.Contains(f.notes[0], "1 value of headwater.dated.d") {
			t.Errorf("%v, notes %q", err, f.notes)
		}
		f.same()
	})
	for _, c := range []struct {
		name, statements string
		kind             error
		words            string
	}{
		{"statement", "SET SESSION binlog_format = 'STATEMENT'; INSERT INTO t VALUES (FLOOR(RAND() * 1000000) + 1000, 'x'); SET SESSION binlog_format = 'ROW'", driver.ErrReplaced, "binlog_format has to be ROW"},
		{"statement of another database", "CREATE DATABASE IF NOT EXISTS other; CREATE TABLE IF NOT EXISTS other.t (a int); USE other; SET SESSION binlog_format = 'STATEMENT'; UPDATE headwater.t SET v = 'y' WHERE id = 1; SET SESSION binlog_format = 'ROW'; USE headwater", driver.ErrReplaced, "binlog_format has to be ROW"},
		{"trigger of another database", "CREATE DATABASE IF NOT EXISTS other; CREATE OR REPLACE TABLE other.o (a int); CREATE TRIGGER other.tr AFTER INSERT ON other.o FOR EACH ROW UPDATE headwater.t SET v = 'z'; USE other; SET SESSION binlog_format = 'STATEMENT'; INSERT INTO o VALUES (1); SET SESSION binlog_format = 'ROW'; USE headwater", driver.ErrReplaced, "a statement of the database other in place of the rows"},
		{"part of a new row", "SET SESSION binlog_row_image = 'MINIMAL'; INSERT INTO t (id) VALUES (FLOOR(RAND() * 1000000) + 1000); SET SESSION binlog_row_image = 'FULL'", driver.ErrRetyped, "binlog_row_image to FULL"},
		{"rows that came twice, in bulk", "TRUNCATE t; SET SESSION foreign_key_checks = 0, unique_checks = 0; INSERT IGNORE INTO t VALUES (5, 'a'), (5, 'b'); SET SESSION foreign_key_checks = 1, unique_checks = 1", driver.ErrRetyped, "unique_checks off"},
		{"part of a row that takes another's place", "REPLACE t VALUES (1, 'a'); SET SESSION binlog_row_image = 'MINIMAL'; REPLACE t (id) VALUES (1); SET SESSION binlog_row_image = 'FULL'", driver.ErrRetyped, "binlog_row_image to FULL"},
		{"the same without long values", "REPLACE t VALUES (1, 'a'); SET SESSION binlog_row_image = 'NOBLOB'; REPLACE t (id) VALUES (1); SET SESSION binlog_row_image = 'FULL'", driver.ErrRetyped, "binlog_row_image to FULL"},
		{"backwards", "SET SESSION gtid_seq_no = 100; INSERT INTO t VALUES (FLOOR(RAND() * 1000000) + 1000, 'x'); SET SESSION gtid_seq_no = 50; INSERT INTO t VALUES (FLOOR(RAND() * 1000000) + 1000, 'x')", driver.ErrUnsupported, "gtid_domain_id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "backwards" {
				execute(t, db, "RESET MASTER")
			}
			f := newFollower(t, server, db, func(*session.Settings) {})
			f.discover("t")
			f.catchUp()
			landed := f.landed
			execute(t, db, c.statements)
			f.fails(c.kind, c.words)
			if f.landed != landed && c.name != "backwards" {
				t.Error("something landed")
			}
			if c.kind == driver.ErrRetyped { // then this table alone is refused
				f.fails(driver.ErrReplaced, c.words)
			}
		})
	}
}

// What a server has to be told, or an account to be given, is named all at once.
func TestChangesNeed(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY); CREATE USER plain IDENTIFIED BY 'plain-pass-7391'; GRANT SELECT ON headwater.* TO plain")
	as := func(s *session.Settings) { s.Settings.Username, s.Settings.Password = "plain", "plain-pass-7391" }
	f := newFollower(t, server, db, as)
	f.discover("t")
	f.fails(driver.ErrPermission, "GRANT BINLOG MONITOR ON *.* TO this account; GRANT REPLICATION SLAVE ON *.* TO this account")
	execute(t, db, "GRANT BINLOG MONITOR ON *.* TO plain")
	f = newFollower(t, server, db, as)
	f.discover("t")
	f.fails(driver.ErrPermission, "read: GRANT REPLICATION SLAVE")
	execute(t, db, "GRANT REPLICATION SLAVE ON *.* TO plain; SET GLOBAL binlog_format = 'MIXED', GLOBAL binlog_row_image = 'MINIMAL'")
	f = newFollower(t, server, db, as)
	f.discover("t")
	f.fails(driver.ErrUnsupported, "binlog_format is MIXED: set it to ROW; binlog_row_image is MINIMAL: set it to FULL")
	execute(t, db, "SET GLOBAL binlog_format = 'ROW', GLOBAL binlog_row_image = 'FULL'; SET GLOBAL gtid_slave_pos = '9-99-5'")
	f = newFollower(t, server, db, as)
	f.discover("t")
	f.fails(driver.ErrUnsupported, "log_slave_updates is OFF")
	execute(t, db, "SET GLOBAL gtid_slave_pos = ''")
	f = newFollower(t, server, db, as)
	f.discover("t")
	f.catchUp()
	steps, err := f.src.CheckSteps(t.Context())
	if err != nil || steps[len(steps)-1].Name != "changes" || !strings.HasPrefix(steps[len(steps)-1].Message, "ready for mode cdc") {
		t.Errorf("CheckSteps = %+v, %v", steps, err)
	}
	execute(t, db, "REVOKE REPLICATION SLAVE ON *.* FROM plain")
	steps, err = openSource(t, settingsOf(server, as)).CheckSteps(t.Context())
	if err != nil || !strings.Contains(steps[len(steps)-1].Message, "GRANT REPLICATION SLAVE") {
		t.Errorf("CheckSteps = %+v, %v", steps, err)
	}
}

// What sits between and takes us for a replica of old has the server leave GTIDs out:
// nothing can be gone on from.
func TestChangesWithoutGTIDs(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("t")
	f.catchUp()
	execute(t, db, "INSERT INTO t VALUES (2)")
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return oldReplica{conn}, err
	}
	f.src = openThrough(t, settingsOf(server, func(*session.Settings) {}), driver.Config{Dial: dial})
	f.fails(driver.ErrUnsupported, "without a GTID")
}

// oldReplica writes that we know less than we do.
type oldReplica struct{ net.Conn }

func (c oldReplica) Write(p []byte) (int, error) {
	_, err := c.Conn.Write(bytes.ReplaceAll(p, []byte("capability = 4"), []byte("capability = 1")))
	return len(p), err
}

// An XA transaction that is prepared keeps what follows from being landed, and is
// waited for; one of before the log was taken up is not known.
func TestChangesOfPreparedTransactions(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY, v int)")
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("t")
	f.catchUp()
	one, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.ExecContext(t.Context(), "XA START 'w'; INSERT INTO t VALUES (1, 1); XA END 'w'; XA PREPARE 'w'"); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "INSERT INTO t VALUES (2, 2)")
	committed, began := make(chan struct{}), time.Now()
	time.AfterFunc(time.Second, func() {
		defer close(committed)
		_, _ = one.ExecContext(context.WithoutCancel(t.Context()), "XA COMMIT 'w'")
	})
	if waits, err := f.capture(); err != nil {
		t.Fatal(err)
	} else if err := errors.Join(f.changes(waits), waits.Close()); err != nil {
		t.Fatal(err)
	}
	<-committed // a commit is in the log before others see its rows
	f.same()
	if len(f.tables["t"].rows) != 2 || time.Since(began) < time.Second {
		t.Errorf("after %s the rows are %v", time.Since(began), f.tables["t"].rows)
	}
	// However much comes meanwhile: a reader that dies goes on before it.
	if _, err := one.ExecContext(t.Context(), "XA START 'v'; INSERT INTO t VALUES (10, 1); XA END 'v'; XA PREPARE 'v'"); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "INSERT INTO t VALUES (11, 2); INSERT INTO t VALUES (12, 2)")
	f.config.Bytes = 1
	log, err := f.capture()
	if err != nil {
		t.Fatal(err)
	}
	for c, err := range log.Changes(within(t, 2*time.Second)) {
		if err == nil && c.Record != nil {
			c.Record.Release()
		}
		if c.Resume != "" {
			t.Errorf("a place to resume lies behind what is prepared: %s", c.Resume)
		}
	}
	log.Close()
	f.config.Bytes = 0
	if _, err := one.ExecContext(t.Context(), "XA COMMIT 'v'"); err != nil {
		t.Fatal(err)
	}
	f.catchUp()
	if _, err := one.ExecContext(t.Context(), "XA START 'x'; INSERT INTO t VALUES (3, 1); XA END 'x'; XA PREPARE 'x'"); err != nil {
		t.Fatal(err)
	}
	f.reset()
	if log, err = f.capture(); err != nil {
		t.Fatal(err)
	}
	if _, err := one.ExecContext(t.Context(), "XA COMMIT 'x'"); err != nil {
		t.Fatal(err)
	}
	if err := f.changes(log); !errors.Is(err, driver.ErrReplaced) || !strings.Contains(err.Error(), "prepared before") {
		t.Errorf("Changes = %v", err)
	}
}

// A database that the server keeps out of its log has no changes, and says so.
func TestChangesThatAreFiltered(t *testing.T) {
	for option, words := range map[string]string{"--binlog-ignore-db=headwater": "binlog_ignore_db names", "--binlog-do-db=other": "binlog_do_db does not name"} {
		server, db := logServer(t, option)
		execute(t, db, "CREATE TABLE t (id int PRIMARY KEY)")
		f := newFollower(t, server, db, func(*session.Settings) {})
		f.discover("t")
		f.fails(driver.ErrUnsupported, words)
	}
}
