package capture_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
)

// changesTo reads until an error, which it returns with what was refused when the log
// was taken up.
func (f *follower) changesTo() (map[int]error, error) {
	f.t.Helper()
	log, err := f.capture()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return log.Refused(), f.changes(log)
}

// Statements that make a captured table another one: columns that come and go are
// followed, what changes rows without a word of them has the table read whole.
func TestChangesOfTables(t *testing.T) {
	server, db := logServer(t, "--log-bin-trust-function-creators=1")
	const tables = `CREATE TABLE t (id int PRIMARY KEY, v varchar(20), n int); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', NULL); CREATE TABLE u (id int PRIMARY KEY, v varchar(20)); INSERT INTO u VALUES (1, 'u');
CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (100)); INSERT INTO p VALUES (1), (11);`
	const drop = "DROP TABLE IF EXISTS t, u, p, old, x;"
	const after = "; INSERT INTO u VALUES (9, 'after')"
	for _, c := range []struct {
		name, statements string
		changed          string // the table
		lost             bool   // it has to be read whole
	}{
		{"add column", "INSERT INTO t VALUES (3, 'c', 3); ALTER TABLE t ADD COLUMN z int, ADD INDEX (n); INSERT INTO t VALUES (4, 'd', 4, 4)", "t", false},
		{"add column first", "INSERT INTO t VALUES (3, 'c', 3); ALTER TABLE t ADD z int FIRST; INSERT INTO t VALUES (4, 4, 'd', 4); ALTER TABLE t ADD zz varchar(9) AFTER z; UPDATE t SET zz = 'q'", "t", false},
		{"add column whose default goes again", "INSERT INTO t VALUES (3, 'c', 3); ALTER TABLE t ADD COLUMN z int DEFAULT 5; ALTER TABLE t ALTER z SET DEFAULT NULL; INSERT INTO t VALUES (4, 'd', 4, 4)", "t", true},
		{"foreign key that comes and goes", "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (n) REFERENCES u (id) ON DELETE CASCADE; DELETE FROM u WHERE id = 1; INSERT INTO u VALUES (1, 'before'); ALTER TABLE t DROP FOREIGN KEY f; INSERT INTO t VALUES (4, 'd', 4)", "t", true},
		{"in a character set with backslashes in characters", "ALTER TABLE t ADD m int; UPDATE t SET m = 7; SET NAMES sjis; ALTER TABLE t COMMENT '\x95\x5c', CHANGE n m int, CHANGE m n int; SET NAMES utf8mb4", "t", true},
		{"add column in two parts", "SET SESSION binlog_alter_two_phase = 1; INSERT INTO t VALUES (3, 'c', 3); ALTER TABLE t ADD COLUMN z int; INSERT INTO t VALUES (4, 'd', 4, 4); SET SESSION binlog_alter_two_phase = 0", "t", false},
		{"drop column", "INSERT INTO t VALUES (3, 'c', 3); ALTER TABLE t DROP COLUMN n; INSERT INTO t VALUES (4, 'd')", "t", true},
		{"drop column and make it again", "ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN n int; INSERT INTO t VALUES (4, 'd', 5)", "t", true},
		{"type", "ALTER TABLE t MODIFY n smallint; INSERT INTO t VALUES (4, 'd', 5)", "t", true},
		{"not null", "UPDATE t SET n = NULL; SET sql_mode = ''; ALTER TABLE t MODIFY n int NOT NULL", "t", true},
		{"character set", "ALTER TABLE t CONVERT TO CHARACTER SET latin1", "t", true},
		{"rename column", "ALTER TABLE t RENAME COLUMN v TO w", "t", true},
		{"columns that swap", "ALTER TABLE t ADD m int; UPDATE t SET m = 7; ALTER TABLE t CHANGE n m int, CHANGE m n int", "t", true},
		{"other key", "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, v)", "t", true},
		{"made anew", "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v varchar(20), n int); INSERT INTO t VALUES (7, 'new', 7)", "t", true},
		{"swapped", "CREATE TABLE x LIKE t; INSERT INTO x VALUES (8, 'swapped', 8); RENAME TABLE t TO old, x TO t", "t", true},
		{"replaced", "CREATE OR REPLACE TABLE t (id int PRIMARY KEY, v varchar(20), n int) SELECT 5 AS id, 'r' AS v, 5 AS n", "t", true},
		{"drop partition", "ALTER TABLE p DROP PARTITION p0", "p", true},
		{"truncate partition", "ALTER TABLE p TRUNCATE PARTITION p1", "p", true},
		{"exchange partition", "CREATE TABLE x (id int PRIMARY KEY); INSERT INTO x VALUES (5); ALTER TABLE p EXCHANGE PARTITION p0 WITH TABLE x", "p", true},
		{"ignored duplicates", "ALTER IGNORE TABLE t ADD m int DEFAULT 1", "t", true},
		{"emptied by a procedure with temporary tables", "CREATE OR REPLACE PROCEDURE empty() BEGIN CREATE TEMPORARY TABLE tmp (a int); INSERT INTO tmp VALUES (1); TRUNCATE TABLE t; DROP TEMPORARY TABLE tmp; END; CALL empty(); INSERT INTO t VALUES (4, 'd', 4)", "t", true},
		{"a temporary table that hides it is emptied", "SET SESSION binlog_format = 'MIXED'; CREATE TEMPORARY TABLE t (id int PRIMARY KEY); TRUNCATE TABLE t; DROP TEMPORARY TABLE t; SET SESSION binlog_format = 'ROW'", "t", true},
		{"in a statement", "SET STATEMENT max_statement_time = 100 FOR ALTER TABLE p DROP PARTITION p0", "p", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := func() *follower {
				execute(t, db, drop+tables)
				f := newFollower(t, server, db, func(*session.Settings) {})
				f.discover("t", "u", "p")
				f.catchUp()
				f.pad("t")
				return f
			}
			index := map[string]int{"p": 0, "t": 1, "u": 2}[c.changed]
			t.Run("seen", func(t *testing.T) {
				f := start()
				f.t = t
				log := f.taken()
				execute(t, db, "UPDATE u SET v = 'before'; "+c.statements+after)
				if err := f.changes(log); !errors.Is(err, driver.ErrRetyped) || !strings.Contains(err.Error(), "headwater."+c.changed) {
					t.Fatalf("Changes = %v", err)
				}
				log.Close()
				if f.tables["u"].rows["1|"] != "1|before" {
					t.Error("what came before it did not land")
				}
				f.goOn(index, c.changed, c.lost)
			})
			t.Run("while nobody read", func(t *testing.T) {
				if testing.Short() && !strings.Contains("add column, drop column, made anew, drop partition", c.name) {
					t.Skip("the others are the same way")
				}
				f := start()
				f.t = t
				execute(t, db, c.statements+after)
				f.discover("t", "u", "p")
				f.pad("t")
				f.goOn(index, c.changed, c.lost)
			})
		})
	}
}

// goOn captures the tables as they are now, until nothing is new. A table that was
// lost is refused once, and read whole.
func (f *follower) goOn(index int, name string, lost bool) {
	f.t.Helper()
	wasLost := false
	for range 6 {
		f.discover("t", "u", "p")
		f.pad("t")
		refused, err := f.changesTo()
		if err != nil && !errors.Is(err, driver.ErrRetyped) {
			f.t.Fatal(err)
		}
		for i, why := range refused {
			if i != index || !errors.Is(why, driver.ErrReplaced) {
				f.t.Errorf("table %d is refused: %v", i, why)
			}
		}
		if refused[index] != nil {
			wasLost = true
			f.tables[name].after = ""
			continue
		}
		if err == nil {
			break
		}
	}
	if wasLost != lost {
		f.t.Errorf("the table has to be read whole: %v, want %v", wasLost, lost)
	}
	f.same()
	if !strings.Contains(f.tables["u"].rows["9|"], "after") {
		f.t.Error("what came after it did not land")
	}
}

// pad brings rows that landed to the columns that a table has now, as landing does:
// columns that are new are NULL, others are found by their name.
func (f *follower) pad(name string) {
	table := f.tables[name]
	var columns []string
	for _, c := range table.table.Columns {
		columns = append(columns, c.Name)
	}
	if table.columns != nil {
		rows := maps.Clone(table.rows)
		clear(table.rows)
		for key, text := range rows {
			values := map[string]string{}
			for i, value := range strings.Split(text, "|") {
				if i < len(table.columns) {
					values[table.columns[i]] = value
				}
			}
			var parts []string
			for _, c := range columns {
				value, ok := values[c]
				if !ok {
					value = driverNull
				}
				parts = append(parts, value)
			}
			if text = strings.Join(parts, "|"); len(table.table.PrimaryKey) == 0 {
				key = text
			}
			table.put(key, text)
		}
	}
	table.columns = columns
}

// An ALTER that drops columns if they are there, and finds none, leaves the table as it is.
func TestColumnsThatWereNotThere(t *testing.T) {
	server, db := logServer(t)
	f := following(t, server, db, "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)", "t")
	log := f.taken()
	execute(t, db, "ALTER TABLE t DROP COLUMN IF EXISTS gone, DROP IF EXISTS `other`; INSERT INTO t VALUES (2, 2)")
	if err := f.changes(log); err != nil {
		t.Fatalf("Changes = %v", err)
	}
	log.Close()
	f.same()
	log = f.taken()
	execute(t, db, "ALTER TABLE t DROP COLUMN IF EXISTS gone, DROP COLUMN IF EXISTS N")
	if err := f.changes(log); !errors.Is(err, driver.ErrRetyped) || !strings.Contains(err.Error(), "without a word of the rows") {
		t.Errorf("Changes = %v", err)
	}
	log.Close()
	f.discover("t")
	f.fails(driver.ErrReplaced, "without a word of the rows")
	f.wholly("t")
	// A name in another character set may be that of a column.
	execute(t, db, "ALTER TABLE t ADD COLUMN `größe` int")
	f.discover("t")
	f.wholly("t")
	log = f.taken()
	execute(t, db, "SET NAMES latin1; ALTER TABLE t DROP COLUMN IF EXISTS `gr\xf6\xdfe`; SET NAMES utf8mb4")
	if err := f.changes(log); !errors.Is(err, driver.ErrRetyped) {
		t.Errorf("Changes = %v", err)
	}
}

// A column that goes, and comes again for another process, has none of its old values.
func TestAColumnThatComesAgain(t *testing.T) {
	server, db := logServer(t)
	f := following(t, server, db, "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1), (2, 2); CREATE TABLE u (id int PRIMARY KEY, v varchar(20)); CREATE TABLE p (id int PRIMARY KEY)", "t", "u", "p")
	f.pad("t")
	log := f.taken()
	execute(t, db, "ALTER TABLE t DROP COLUMN n")
	if err := f.changes(log); !errors.Is(err, driver.ErrRetyped) {
		t.Fatalf("Changes = %v", err)
	}
	log.Close()
	f.src = openSource(t, settingsOf(server, func(*session.Settings) {}))
	execute(t, db, "ALTER TABLE t ADD COLUMN n int; INSERT INTO u VALUES (9, 'after')")
	f.goOn(1, "t", true)
}

// A foreign key that comes and cascades has its table refused from there on.
func TestForeignKeyThatComes(t *testing.T) {
	server, db := logServer(t)
	f := following(t, server, db, "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, p int)", "parent", "t")
	execute(t, db, "INSERT INTO parent VALUES (1); INSERT INTO t VALUES (1, 1); ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE; DELETE FROM parent")
	f.fails(driver.ErrUnsupported, "CASCADE")
	delete(f.tables, "t")
	f.catchUp()
}

// Columns are told apart by whether rows of before they came may hold more than NULL in
// them.
func TestFilledColumns(t *testing.T) {
	server, db := logServer(t)
	execute(t, db, "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, plain int, text varchar(9) DEFAULT NULL, d int DEFAULT 5, e varchar(9) DEFAULT '', n int NOT NULL, v int AS (id + 1) VIRTUAL, s timestamp NULL, c datetime DEFAULT current_timestamp)")
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover("t")
	var filled []string
	for _, c := range f.tables["t"].table.Columns {
		if c.Filled {
			filled = append(filled, c.Name)
		}
	}
	if got := strings.Join(filled, " "); got != "id d e n v c" {
		t.Errorf("filled are %s", got)
	}
}

// A table whose name comes in the session's own character set is not overlooked.
func TestNamesInOtherCharacterSets(t *testing.T) {
	server, db := logServer(t)
	f := following(t, server, db, "CREATE TABLE `größe` (id int PRIMARY KEY); INSERT INTO `größe` VALUES (1); CREATE TABLE t (id int PRIMARY KEY)", "größe", "t")
	execute(t, db, "SET NAMES latin1; TRUNCATE TABLE `gr\xf6\xdfe`; SET NAMES utf8mb4; INSERT INTO `größe` VALUES (2); INSERT INTO t VALUES (1)")
	f.fails(driver.ErrRetyped, "größe")
	f.fails(driver.ErrReplaced, "größe")
	f.wholly("größe")
}
