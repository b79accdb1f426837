package capture_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// alone reads the log up to a table that cannot go on, and holds that the next capture
// refuses that table and no other, which then go on. It returns the refusal.
func (f *follower) alone(name string) (refused error) {
	f.t.Helper()
	f.fails(driver.ErrRetyped, "")
	log := f.taken()
	defer log.Close()
	for i, why := range log.Refused() {
		if f.names()[i] != name {
			f.t.Errorf("%s is refused as well: %v", f.names()[i], why)
		}
		refused = why
	}
	if err := f.changes(log); err != nil {
		f.t.Errorf("the others do not go on: %v", err)
	}
	table := f.tables[name]
	delete(f.tables, name)
	f.same()
	f.tables[name] = table
	return refused
}

// A change that is longer than may be read sets its own table aside, however it comes;
// that of a table which nobody follows is left out.
func TestALongChangeStopsItsOwnTable(t *testing.T) {
	server, db := logServer(t, "--max-allowed-packet=67108864", "--log-bin-compress-min-len=256")
	execute(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); CREATE TABLE others (id int PRIMARY KEY, body longtext); CREATE TABLE long_of (id int PRIMARY KEY, body longtext); INSERT INTO long_of VALUES (1, 'short')")
	for name, statements := range map[string]string{
		"one packet":      "INSERT INTO long_of VALUES (2, REPEAT('x', 5000000))",
		"several packets": "INSERT INTO long_of VALUES (2, REPEAT('x', 40000000))",
		"compressed":      "SET GLOBAL log_bin_compress = 1; INSERT INTO long_of VALUES (2, REPEAT('x', 5000000)); SET GLOBAL log_bin_compress = 0",
		"update":          "UPDATE long_of SET body = REPEAT('y', 5000000) WHERE id = 1",
		"savepoint":       "BEGIN; INSERT INTO t VALUES (5, 'in it'); SAVEPOINT s; INSERT INTO long_of VALUES (2, REPEAT('x', 5000000)); COMMIT",
	} {
		t.Run(name, func(t *testing.T) {
			execute(t, db, "DELETE FROM t; DELETE FROM others; DELETE FROM long_of WHERE id > 1; UPDATE long_of SET body = 'short'")
			f := newFollower(t, server, db, func(s *session.Settings) { s.MaxRowMiB = 1 })
			f.discover("t", "long_of")
			f.catchUp()
			execute(t, db, "INSERT INTO t VALUES (1, 'before'); INSERT INTO others VALUES (1, REPEAT('z', 20000000)); INSERT INTO t VALUES (2, 'between'); "+statements+"; INSERT INTO t VALUES (3, 'behind')")
			if err := f.alone("long_of"); !errors.Is(err, driver.ErrLimit) || !strings.Contains(err.Error(), "table headwater.long_of: a change (transaction ") || !strings.Contains(err.Error(), "connection_config.max_row_mib (1)") {
				t.Errorf("refused: %v", err)
			}
			// Read whole, it is followed again.
			execute(t, db, "DELETE FROM long_of WHERE id > 1; UPDATE long_of SET body = 'short'")
			f.wholly("long_of")
		})
	}
}

// A prepared transaction with more changes than can be held sets its own tables aside.
func TestALongXATransactionStopsItsOwnTables(t *testing.T) {
	server, db := logServer(t)
	f := following(t, server, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); CREATE TABLE xa (id int PRIMARY KEY, body longtext)", "t", "xa")
	execute(t, db, "XA START 'a'; INSERT INTO xa SELECT seq, REPEAT('x', 1000000) FROM seq_1_to_40; XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a'; INSERT INTO t VALUES (1, 'behind')")
	if err := f.alone("xa"); !errors.Is(err, driver.ErrLimit) || !strings.Contains(err.Error(), "XA transaction 0-7-") {
		t.Errorf("refused: %v", err)
	}
}

// A table that is read whole while a transaction is prepared has nothing of it, and what
// the log says of it lies before the table's place: it is read whole again once that
// transaction is committed.
func TestATableReadWholeBesideAPreparedTransaction(t *testing.T) {
	server, db := logServer(t)
	f := following(t, server, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); CREATE TABLE late (id int PRIMARY KEY)", "t")
	execute(t, db, "XA START 'a'; INSERT INTO t VALUES (1, 'xa'); INSERT INTO late VALUES (1); XA END 'a'; XA PREPARE 'a'")
	f.discover("t", "late")
	log := f.taken() // reads late whole
	defer log.Close()
	execute(t, db, "XA COMMIT 'a'; INSERT INTO t VALUES (2, 'behind')")
	if err := f.changes(log); !errors.Is(err, driver.ErrRetyped) || !strings.Contains(err.Error(), "table headwater.late") {
		t.Errorf("Changes = %v", err)
	}
	f.fails(driver.ErrReplaced, "was prepared before the table was read whole")
	f.wholly("late")
}

// The log has what is written through a MERGE table by that table's name, so the tables
// that it is made of are refused, also one that becomes a part while it is followed.
func TestPartsOfAMergeTable(t *testing.T) {
	server, db := logServer(t)
	f := following(t, server, db, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE part (id int PRIMARY KEY) ENGINE=MyISAM; INSERT INTO part VALUES (1); CREATE TABLE later LIKE part", "t", "part", "later")
	execute(t, db, "CREATE TABLE merged (id int PRIMARY KEY) ENGINE=MERGE UNION=(part) INSERT_METHOD=LAST; INSERT INTO merged VALUES (2); INSERT INTO t VALUES (1); DROP TABLE merged")
	f.fails(driver.ErrReplaced, "table headwater.part was altered")
	f.wholly("part")
	execute(t, db, "CREATE TABLE merged (id int PRIMARY KEY) ENGINE=MERGE UNION=(part) INSERT_METHOD=LAST; INSERT INTO merged VALUES (3)")
	f.fails(driver.ErrUnsupported, "table headwater.part is a part of merged")
	delete(f.tables, "part")
	f.catchUp()
	execute(t, db, "ALTER TABLE merged UNION=(later)")
	f.fails(driver.ErrUnsupported, "table headwater.later is a part of merged")
}

// A table whose last column the account may not see is one whose changes cannot be had,
// with the right that it lacks, and is not read whole again with every change. A MERGE table of which it may see
// a part keeps nobody up.
func TestTheLastColumnIsHidden(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, `CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE part_of (id int PRIMARY KEY, a int, b int); CREATE TABLE m (id int PRIMARY KEY, b int) ENGINE=MERGE;
CREATE USER some_columns IDENTIFIED BY 'secret'; GRANT SELECT ON headwater.t TO some_columns; GRANT SELECT (id, a) ON headwater.part_of TO some_columns; GRANT SELECT (id) ON headwater.m TO some_columns; GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO some_columns`)
	f := newFollower(t, server, db, func(s *session.Settings) { s.Username, s.Password = "some_columns", "secret" })
	f.discover("t", "part_of")
	f.fails(driver.ErrUnsupported, "GRANT SELECT on the whole table")
	delete(f.tables, "part_of")
	f.catchUp()
}

// MariaDB hides foreign keys from an account that has a right to each column, and none to
// the table; one with a right to the table, or by a role, is not refused.
func TestForeignKeysThatAreHidden(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE); CREATE TABLE t (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id)); CREATE ROLE whole_role; CREATE ROLE column_role`)
	for _, c := range []struct{ name, grants, child, t string }{
		{"columns", "GRANT SELECT (id, p) ON child TO columns_alone; GRANT SELECT (id, p) ON t TO columns_alone", "GRANT SELECT on the whole table", "GRANT SELECT on the whole table"},
		{"columns of a role", "GRANT SELECT (id, p) ON child TO column_role; GRANT SELECT ON t TO columns_alone; GRANT column_role TO columns_alone; SET DEFAULT ROLE column_role FOR columns_alone", "GRANT SELECT on the whole table", ""},
		{"table", "GRANT SELECT ON child TO columns_alone; GRANT SELECT ON t TO columns_alone", "CASCADE or SET NULL: the server", ""},
		{"database of a role", "GRANT SELECT ON headwater.* TO whole_role; GRANT whole_role TO columns_alone; SET DEFAULT ROLE whole_role FOR columns_alone", "CASCADE or SET NULL: the server", ""},
		{"pattern of databases", "GRANT SELECT ON `head%`.* TO columns_alone", "CASCADE or SET NULL: the server", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			execute(t, db, "CREATE OR REPLACE USER columns_alone IDENTIFIED BY 'secret'; GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO columns_alone;"+c.grants)
			f := newFollower(t, server, db, func(s *session.Settings) { s.Username, s.Password = "columns_alone", "secret" })
			f.discover("child", "t")
			log := f.taken()
			for i, words := range []string{c.child, c.t} {
				if err := log.Refused()[i]; (err == nil) != (words == "") || err != nil && !(errors.Is(err, driver.ErrUnsupported) && strings.Contains(err.Error(), words)) {
					t.Errorf("%s: %v, want %q", f.names()[i], err, words)
				}
			}
		})
	}
}

// A table of which the server does not tell, for now, what its foreign keys do is not
// followed as if it had none.
func TestForeignKeysThatAreNotTold(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE); CREATE TABLE t (id int PRIMARY KEY);
CREATE USER table_alone IDENTIFIED BY 'secret'; GRANT SELECT ON child TO table_alone; GRANT SELECT ON t TO table_alone; GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO table_alone`)
	f := newFollower(t, server, db, func(*session.Settings) {})
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return untold{conn}, err
	}
	f.src = openThrough(t, settingsOf(server, func(s *session.Settings) { s.Username, s.Password = "table_alone", "secret" }), driver.Config{Dial: dial})
	f.discover("child", "t")
	log := f.taken()
	if refused := log.Refused(); len(refused) != 1 || !errors.Is(refused[0], driver.ErrTimeout) || !strings.Contains(refused[0].Error(), "the definition of table headwater.child") {
		t.Errorf("refused: %v", refused)
	}
}

// untold has the server end the statement that asks for a table's definition.
type untold struct{ net.Conn }

func (c untold) Write(p []byte) (int, error) {
	const ask, killed = "SHOW CREATE TABLE `headwater`.`child`", "KILL QUERY CONNECTION_ID()"
	_, err := c.Conn.Write(bytes.ReplaceAll(p, []byte(ask), fmt.Appendf(nil, "%-*s", len(ask), killed)))
	return len(p), err
}
