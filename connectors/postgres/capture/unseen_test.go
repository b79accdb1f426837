package capture_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
)

// unseenOf are statements that no message of the log tells of. @ stands for a table. read
// says that the table has to be read whole.
type unseenOf struct {
	name, setup, do string
	read            bool
}

var unseen = []unseenOf{
	{"a partition is detached, changed and attached again", "CREATE TABLE @ (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1, 'a')",
		"ALTER TABLE @ DETACH PARTITION @_1; INSERT INTO @_1 VALUES (2, 'b'); UPDATE @_1 SET v = 'c' WHERE id = 1; ALTER TABLE @ ATTACH PARTITION @_1 FOR VALUES FROM (0) TO (10)", true},
	{"a part with partitions is detached, changed and attached again", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id); CREATE TABLE @_11 PARTITION OF @_1 DEFAULT; INSERT INTO @ VALUES (1)",
		"ALTER TABLE @ DETACH PARTITION @_1; INSERT INTO @_1 VALUES (2); ALTER TABLE @ ATTACH PARTITION @_1 FOR VALUES FROM (0) TO (10)", true},
	{"a partition has rows of a subtransaction", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10)",
		"BEGIN; CREATE TABLE @_2 (LIKE @ INCLUDING ALL); SAVEPOINT a; INSERT INTO @_2 VALUES (12); RELEASE a; ALTER TABLE @ ATTACH PARTITION @_2 FOR VALUES FROM (10) TO (20); COMMIT", true},
	{"a partition has rows of its transaction that were updated since", "CREATE TABLE @ (id int PRIMARY KEY, n int, v text) PARTITION BY RANGE (id); ALTER TABLE @ ALTER v SET STORAGE EXTERNAL; CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10)",
		"BEGIN; CREATE TABLE @_2 (LIKE @ INCLUDING ALL); INSERT INTO @_2 VALUES (12, 1, repeat('x', 9000)); ALTER TABLE @ ATTACH PARTITION @_2 FOR VALUES FROM (10) TO (20); COMMIT; UPDATE @ SET n = 5 WHERE id = 12", true},
	{"a partition has rows of its transaction that somebody tried to delete", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10)",
		"BEGIN; CREATE TABLE @_2 (LIKE @ INCLUDING ALL); INSERT INTO @_2 VALUES (12); ALTER TABLE @ ATTACH PARTITION @_2 FOR VALUES FROM (10) TO (20); COMMIT; DO $$BEGIN DELETE FROM @;RAISE division_by_zero;EXCEPTION WHEN division_by_zero THEN NULL;END$$", true},
	{"a partition came with rows and was dropped", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1)",
		"CREATE TABLE @_2 PARTITION OF @ FOR VALUES FROM (10) TO (20); INSERT INTO @ VALUES (11); DROP TABLE @_2", true},
	{"a partition came with partitions and rows and was detached", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1)",
		"CREATE TABLE @_2 PARTITION OF @ FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id); CREATE TABLE @_21 PARTITION OF @_2 DEFAULT; INSERT INTO @ VALUES (2), (11); ALTER TABLE @ DETACH PARTITION @_2", true},
	{"a table was a partition for a time", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1); CREATE TABLE @_2 (id int PRIMARY KEY)",
		"ALTER TABLE @ ATTACH PARTITION @_2 FOR VALUES FROM (10) TO (20); INSERT INTO @_2 VALUES (12); ALTER TABLE @ DETACH PARTITION @_2", true},
	{"a partition came with rows and was truncated", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1)",
		"CREATE TABLE @_2 PARTITION OF @ FOR VALUES FROM (10) TO (20); INSERT INTO @ VALUES (11); TRUNCATE @_2; INSERT INTO @ VALUES (12)", true},
	{"a partition came with rows and was truncated with the table", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1)",
		"CREATE TABLE @_2 PARTITION OF @ FOR VALUES FROM (10) TO (20); INSERT INTO @ VALUES (11); TRUNCATE @; INSERT INTO @ VALUES (12)", false},
	{"a partition came without rows and was dropped", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1)",
		"CREATE TABLE @_2 PARTITION OF @ FOR VALUES FROM (10) TO (20); DROP TABLE @_2; INSERT INTO @ VALUES (2)", false},
	{"a partition is emptied with its table, and unlogged for a time", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1)",
		"DO $$BEGIN TRUNCATE @;ALTER TABLE @_1 SET UNLOGGED;INSERT INTO @ VALUES (2);ALTER TABLE @_1 SET LOGGED;END$$", true},
	{"partitions are made and filled", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10)",
		"BEGIN; CREATE TABLE @_2 PARTITION OF @ FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id); CREATE TABLE @_21 PARTITION OF @_2 FOR VALUES FROM (10) TO (15); INSERT INTO @_21 VALUES (11); SAVEPOINT a; INSERT INTO @ VALUES (12); COMMIT; CREATE TABLE @_22 PARTITION OF @_2 DEFAULT; INSERT INTO @ VALUES (16)", false},
	{"a column has other values of its type", "CREATE TABLE @ (id int PRIMARY KEY, v int); INSERT INTO @ VALUES (1, 1)", "ALTER TABLE @ ALTER v TYPE int USING v + 100; INSERT INTO @ VALUES (2, 2)", true},
	{"a column has other values after a TRUNCATE", "CREATE TABLE @ (id int PRIMARY KEY, v int); INSERT INTO @ VALUES (1, 1)", "TRUNCATE @; INSERT INTO @ VALUES (2, 2); ALTER TABLE @ ALTER v TYPE int USING v + 1", true},
	{"a column has other values before a TRUNCATE", "CREATE TABLE @ (id int PRIMARY KEY, v int); INSERT INTO @ VALUES (1, 1)", "ALTER TABLE @ ALTER v TYPE int USING v + 1; TRUNCATE @; INSERT INTO @ VALUES (2, 2)", false},
	{"a table is written anew as it was", "CREATE TABLE @ (id int PRIMARY KEY, v int); INSERT INTO @ VALUES (1, 1)", "UPDATE @ SET v = 2; VACUUM FULL @; INSERT INTO @ VALUES (2, 2)", false},
	{"a table is emptied and altered", "CREATE TABLE @ (id int PRIMARY KEY, v int); INSERT INTO @ VALUES (1, 1)", "TRUNCATE @; INSERT INTO @ VALUES (2, 2); CREATE INDEX ON @ (v); ALTER TABLE @ ALTER v SET STATISTICS 10", false},
	{"two columns swap their names and swap them back", "CREATE TABLE @ (id int PRIMARY KEY, a int, b int)",
		"ALTER TABLE @ RENAME a TO c; ALTER TABLE @ RENAME b TO a; ALTER TABLE @ RENAME c TO b; INSERT INTO @ (id, a, b) VALUES (1, 1, 2); ALTER TABLE @ RENAME a TO c; ALTER TABLE @ RENAME b TO a; ALTER TABLE @ RENAME c TO b", true},
	{"a column is added, filled, dropped and added again", "CREATE TABLE @ (id int PRIMARY KEY); INSERT INTO @ VALUES (1), (2)", "ALTER TABLE @ ADD c int; UPDATE @ SET c = 5 WHERE id = 2; ALTER TABLE @ DROP c; ALTER TABLE @ ADD c int", true},
	{"a column is dropped and another one added", "CREATE TABLE @ (id int PRIMARY KEY, a int); INSERT INTO @ VALUES (1)", "ALTER TABLE @ DROP a; ALTER TABLE @ ADD b int; INSERT INTO @ VALUES (2, 2)", false},
	{"a column is added and dropped", "CREATE TABLE @ (id int PRIMARY KEY); INSERT INTO @ VALUES (1)", "ALTER TABLE @ ADD c int; INSERT INTO @ VALUES (2, 2); ALTER TABLE @ DROP c; INSERT INTO @ VALUES (3)", false},
	{"a column has other values in the transaction of a TRUNCATE", "CREATE TABLE @ (id int PRIMARY KEY, v int); INSERT INTO @ VALUES (1, 1)", "BEGIN; TRUNCATE @; INSERT INTO @ VALUES (2, 2); ALTER TABLE @ ALTER v TYPE int USING v + 1; COMMIT", true},
	{"a partition is truncated in the transaction of a TRUNCATE", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1)", "BEGIN; TRUNCATE @; INSERT INTO @ VALUES (2); TRUNCATE @_1; COMMIT", true},
	{"a column takes the name of one that came before it", "CREATE TABLE @ (id int PRIMARY KEY); INSERT INTO @ VALUES (1), (2)", "ALTER TABLE @ ADD c int; UPDATE @ SET c = 5 WHERE id = 2; ALTER TABLE @ RENAME c TO d; ALTER TABLE @ ADD c int", true},
	{"a column lends its name to one that comes and goes", "CREATE TABLE @ (id int PRIMARY KEY, a int); INSERT INTO @ VALUES (1, 1), (2, 2)", "ALTER TABLE @ RENAME a TO x; ALTER TABLE @ ADD a int; UPDATE @ SET a = 5 WHERE id = 2; ALTER TABLE @ DROP a; ALTER TABLE @ RENAME x TO a", true},
	{"a column before another one lends its name", "CREATE TABLE @ (id int PRIMARY KEY, a int, b int); INSERT INTO @ VALUES (1, 1), (2, 2)", "ALTER TABLE @ RENAME a TO x; ALTER TABLE @ ADD a int; UPDATE @ SET a = 5 WHERE id = 2; ALTER TABLE @ DROP a; ALTER TABLE @ RENAME x TO a", true},
	{"a column lends its name behind one that was dropped", "CREATE TABLE @ (id int PRIMARY KEY, o int, a int); ALTER TABLE @ DROP o; INSERT INTO @ VALUES (1, 1), (2, 2)", "ALTER TABLE @ RENAME a TO x; ALTER TABLE @ ADD a int; UPDATE @ SET a = 5 WHERE id = 2; ALTER TABLE @ DROP a; ALTER TABLE @ RENAME x TO a", true},
	{"a column of a partitioned table is filled", "CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1)",
		"ALTER TABLE @ ADD c int DEFAULT 7; ALTER TABLE @ ALTER c DROP DEFAULT; INSERT INTO @ VALUES (3, 3)", false},
	{"a column of a partitioned table is filled by its domain", "CREATE DOMAIN @_d AS int DEFAULT 3; CREATE TABLE @ (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE @_1 PARTITION OF @ FOR VALUES FROM (0) TO (10); INSERT INTO @ VALUES (1)",
		"ALTER TABLE @ ADD c @_d; INSERT INTO @ VALUES (3, 4)", false},
	{"a label in a composite is renamed", "CREATE TYPE @_e AS ENUM ('a', 'b'); CREATE DOMAIN @_d AS @_e; CREATE TYPE @_i AS (e @_d); CREATE TYPE @_c AS (x int, i @_i); CREATE DOMAIN @_o AS @_c; CREATE TABLE @ (id int PRIMARY KEY, v @_o); INSERT INTO @ VALUES (1, ROW(1, ROW('a'))::@_c)",
		"ALTER TYPE @_e RENAME VALUE 'a' TO 'z'", false},
	{"a label in an array of a domain is renamed", "CREATE TYPE @_e AS ENUM ('a', 'b'); CREATE DOMAIN @_d AS @_e; CREATE TABLE @ (id int PRIMARY KEY, v @_d[]); INSERT INTO @ VALUES (1, '{a}')", "ALTER TYPE @_e RENAME VALUE 'a' TO 'z'", false},
	{"a label in a range is renamed", "CREATE TYPE @_e AS ENUM ('a', 'b'); CREATE TYPE @_r AS RANGE (subtype = @_e); CREATE TABLE @ (id int PRIMARY KEY, v @_r); INSERT INTO @ VALUES (1, '[a,b)')", "ALTER TYPE @_e RENAME VALUE 'a' TO 'z'", false},
	{"a label in a multirange is renamed", "CREATE TYPE @_e AS ENUM ('a', 'b'); CREATE TYPE @_r AS RANGE (subtype = @_e, multirange_type_name = @_m); CREATE TABLE @ (id int PRIMARY KEY, v @_m); INSERT INTO @ VALUES (1, '{[a,b)}')", "ALTER TYPE @_e RENAME VALUE 'a' TO 'z'", false},
	{"a composite has another field", "CREATE TYPE @_c AS (x int, y text); CREATE TABLE @ (id int PRIMARY KEY, v @_c); INSERT INTO @ VALUES (1, ROW(1, 'a')::@_c)", "ALTER TYPE @_c ADD ATTRIBUTE z int", false},
	{"a label has another name for a time", "CREATE TYPE @_e AS ENUM ('a', 'b'); CREATE TABLE @ (id int PRIMARY KEY, v @_e[]); INSERT INTO @ VALUES (1, '{a}')", "ALTER TYPE @_e RENAME VALUE 'a' TO 'z'; INSERT INTO @ VALUES (2, '{z}'); ALTER TYPE @_e RENAME VALUE 'z' TO 'a'", true},
	{"a composite has another field for a time", "CREATE TYPE @_c AS (x int, y text); CREATE DOMAIN @_d AS @_c; CREATE TABLE @ (id int PRIMARY KEY, v @_d); INSERT INTO @ VALUES (1, ROW(1, 'a')::@_c)", "ALTER TYPE @_c ADD ATTRIBUTE z int; INSERT INTO @ VALUES (2, ROW(1, 'a', 2)::@_c); ALTER TYPE @_c DROP ATTRIBUTE z", true},
	{"two labels swap their names", "CREATE TYPE @_e AS ENUM ('a', 'b'); CREATE TABLE @ (id int PRIMARY KEY, v @_e); INSERT INTO @ VALUES (1, 'a')", "ALTER TYPE @_e RENAME VALUE 'a' TO 'z'; ALTER TYPE @_e RENAME VALUE 'b' TO 'a'; ALTER TYPE @_e RENAME VALUE 'z' TO 'b'", false},
	{"a column of a type comes beside another one", "CREATE TYPE @_e AS ENUM ('a', 'b'); CREATE TABLE @ (id int PRIMARY KEY, v @_e); INSERT INTO @ VALUES (1, 'a')", "CREATE TYPE @_f AS ENUM ('c'); ALTER TABLE @ ADD w @_f; INSERT INTO @ VALUES (2, 'b', 'c')", false},
}

// What the log does not tell is found in the catalog: the table is read whole, or, where
// its columns show it, is taken for an altered one. What leaves the rows as they are, or
// is in the log, does not have it read again.
func TestCaptureUnseen(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *servers.Server) {
		db := handle(t, server)
		for i, u := range unseen {
			t.Run(u.name, func(t *testing.T) {
				u.of(t, db, fmt.Sprintf("unseen_%d", i), func(table string) *mirror { return newMirror(t, server, table) })
			})
		}
	})
}

// of has the statements run between two syncs of a table.
func (u unseenOf) of(t *testing.T, db *sql.DB, table string, open func(table string) *mirror) {
	t.Helper()
	each := func(statements string) {
		rest := strings.ReplaceAll(statements, "@", table)
		if strings.HasPrefix(rest, "BEGIN; ") { // a transaction is one message
			first, after, _ := strings.Cut(rest, "COMMIT")
			run(t, db, first+"COMMIT")
			rest = strings.TrimPrefix(after, "; ")
		}
		for s := range strings.SplitSeq(rest, "; ") {
			run(t, db, s)
		}
	}
	each(u.setup)
	m := open(table)
	m.synced()
	each(u.do)
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	if why := m.refused[table]; errors.Is(why, driver.ErrReplaced) != u.read {
		t.Errorf("refused: %v", why)
	}
	if u.read {
		m.tables[table].after = ""
		m.synced()
	}
	m.same()
	each("DELETE FROM @ WHERE id = 1")
	m.synced()
	if err := m.src.Release(t.Context(), m.reader(), ""); err != nil {
		t.Error(err)
	}
}

// A partition to which another transaction wrote, after the one that attaches it had
// begun, has rows from before it was attached.
func TestCaptureUnseenBesideAnother(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE beside (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE beside_1 PARTITION OF beside FOR VALUES FROM (0) TO (10)", "CREATE TABLE beside_2 (id int PRIMARY KEY)")
	m := newMirror(t, server, "beside")
	m.synced()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, tx, "INSERT INTO beside VALUES (1)") // it has its number now
	run(t, db, "INSERT INTO beside_2 VALUES (12)")
	run(t, tx, "ALTER TABLE beside ATTACH PARTITION beside_2 FOR VALUES FROM (10) TO (20)")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	fails(t, m.refused["beside"], driver.ErrReplaced, "attached", "beside_2")
	m.tables["beside"].after = ""
	m.synced()
}
