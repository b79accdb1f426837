package postgres

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/moment"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// sharing is a source that holds a moment, and another, as of another process,
// that reads of it.
func sharing(t *testing.T, server *servers.Server) (holder, reader *source, db *sql.DB) {
	t.Helper()
	holder, db = openSmall(t, server, driver.Limits{})
	reader, _ = openSmall(t, server, driver.Limits{})
	if _, err := holder.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	return holder, reader, db
}

func (s *source) shareOrFail(t *testing.T, readers int) string {
	t.Helper()
	at, err := s.Share(t.Context(), readers)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Tables that are read one after another over several connections and in ranges
// are of one moment, however much is written meanwhile, and so is where the next
// read of each goes on.
func TestTablesOfOneMoment(t *testing.T) {
	server := servers.Postgres(t)
	holder, reader, db := sharing(t, server)
	do := func(statements string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	do(`CREATE TABLE orders (id int PRIMARY KEY, pad text); CREATE TABLE items (id int, pad text); CREATE VIEW both_of AS SELECT o.id FROM orders o JOIN items i USING (id);
		INSERT INTO orders SELECT g, repeat('x', 900) FROM generate_series(1, 200) g; INSERT INTO items SELECT * FROM orders`)
	late, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback()
	if _, err := late.ExecContext(t.Context(), "INSERT INTO orders VALUES (1000, 'late')"); err != nil {
		t.Fatal(err)
	}
	tables := map[string]driver.Table{}
	for _, name := range []string{"orders", "items", "both_of"} {
		tables[name] = tableOfName(t, reader, name)
	}
	joined := holder.shareOrFail(t, 2)
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"orders", "items", "both_of", "orders"} {
		do(fmt.Sprintf("INSERT INTO orders VALUES (%[1]d, 'new'); INSERT INTO items VALUES (%[1]d, 'new'); DELETE FROM items WHERE id = %[2]d", 2000+i, 10+i))
		src := []*source{reader, holder}[i%2]
		src.Join(joined)
		for _, ranges := range []bool{false, name != "both_of"} {
			rows, err := rowsOf(t, src, tables[name], ranges)
			if err != nil || len(rows) != 200 || src.Apart() != "" {
				t.Errorf("%s in ranges %t: %d rows, %v, apart %q", name, ranges, len(rows), err, src.Apart())
			}
		}
	}
	sc, err := reader.Scan(t.Context(), tables["orders"], nil)
	if err != nil {
		t.Fatal(err)
	}
	at := sc.(driver.Moments).Start("id")
	sc.Close()
	reader.Join("")
	last := "200"
	at.Value, at.Inclusive = &last, true
	l := &lake{t: t, src: reader, name: "orders", by: "id", from: at, identity: tables["orders"].Identity}
	if err := l.more(tables["orders"]); err != nil || !strings.Contains(fmt.Sprint(l.rows), "late") {
		t.Errorf("behind the moment came %v, %v, not the row of a transaction that was open then", l.rows, err)
	}
	if p, _ := moment.PositionOf(at.Position); !p.Open {
		t.Error("nobody was writing at the moment")
	}
}

// What is not of the moment that its transaction shows is read at one of its own,
// and says so: never the rows of neither.
func TestTablesApart(t *testing.T) {
	server := servers.Postgres(t)
	holder, reader, db := sharing(t, server)
	abroad := fmt.Sprintf("CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA public; CREATE SERVER IF NOT EXISTS loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%d', dbname '%s'); CREATE USER MAPPING IF NOT EXISTS FOR CURRENT_USER SERVER loop OPTIONS (user '%s', password '%s');",
		server.Host, server.Port, server.Database, server.User, server.Password)
	for _, c := range []struct{ name, make, then, why string }{
		{"truncated", "CREATE TABLE x (id int); INSERT INTO x SELECT generate_series(1, 3)", "TRUNCATE x; INSERT INTO x SELECT generate_series(1, 5)", "truncated"},
		{"swapped", "CREATE TABLE x (id int); INSERT INTO x SELECT generate_series(1, 3); CREATE TABLE y (id int); INSERT INTO y SELECT generate_series(1, 5)", "ALTER TABLE x RENAME TO z; ALTER TABLE y RENAME TO x", "made anew"},
		{"made later", "SELECT 1", "CREATE TABLE x (id int); INSERT INTO x SELECT generate_series(1, 5)", "made anew"},
		{"a partition detached", "CREATE TABLE x (id int) PARTITION BY RANGE (id); CREATE TABLE x1 PARTITION OF x FOR VALUES FROM (0) TO (10); CREATE TABLE x2 PARTITION OF x FOR VALUES FROM (10) TO (20); INSERT INTO x SELECT generate_series(1, 12)",
			"ALTER TABLE x DETACH PARTITION x1; INSERT INTO x VALUES (13), (14)", "altered"},
		{"below a view", "CREATE TABLE y (id int); INSERT INTO y SELECT generate_series(1, 3); CREATE VIEW z AS SELECT * FROM y; CREATE VIEW x AS SELECT * FROM z", "TRUNCATE y; INSERT INTO y SELECT generate_series(1, 5)", "truncated"},
		{"refreshed", "CREATE TABLE y (id int); INSERT INTO y SELECT generate_series(1, 3); CREATE MATERIALIZED VIEW x AS SELECT * FROM y", "INSERT INTO y VALUES (4), (5); REFRESH MATERIALIZED VIEW x", "made anew"},
		{"a function's tables", "CREATE TABLE y (id int); INSERT INTO y SELECT generate_series(1, 5); CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'SELECT id FROM y'; CREATE VIEW x AS SELECT f.f AS id FROM f()", "SELECT 1", "functions"},
		{"far away", "CREATE TABLE y (id int); INSERT INTO y SELECT generate_series(1, 5); " + abroad + "CREATE FOREIGN TABLE x (id int) SERVER loop OPTIONS (schema_name 'public', table_name 'y')", "SELECT 1", "foreign"},
		{"nothing", "CREATE TABLE x (id int); INSERT INTO x SELECT generate_series(1, 5); ALTER TABLE x ADD COLUMN gone int; ALTER TABLE x DROP COLUMN gone", "INSERT INTO x VALUES (6); VACUUM; ANALYZE x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			do := func(statements string) {
				t.Helper()
				for _, statement := range strings.Split(statements, "; ") {
					if _, err := db.ExecContext(t.Context(), statement); err != nil {
						t.Fatalf("%s: %v", statement, err)
					}
				}
			}
			do("DROP SCHEMA public CASCADE; CREATE SCHEMA public; " + c.make)
			moment := holder.shareOrFail(t, 1)
			defer holder.holder.Release()
			do(c.then)
			table := tableOfName(t, reader, "x")
			reader.Join(moment)
			rows, err := rowsOf(t, reader, table, false)
			if err != nil || len(rows) != 5 || (reader.Apart() == "") != (c.why == "") || !strings.Contains(reader.Apart(), c.why) {
				t.Errorf("%d rows, %v, apart %q", len(rows), err, reader.Apart())
			}
		})
	}
	t.Run("lost", func(t *testing.T) {
		moment := holder.shareOrFail(t, 1)
		table := tableOfName(t, reader, "x")
		holder.holder.Release()
		servers.Await(t, db, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'headwater' AND state = 'idle in transaction'") // a server under load lets go later
		reader.Join(moment)
		if rows, err := rowsOf(t, reader, table, false); err != nil || len(rows) != 6 || !strings.Contains(reader.Apart(), "snapshot") {
			t.Errorf("%d rows, %v, apart %q", len(rows), err, reader.Apart())
		}
	})
}

// An account without enough connections has no moment to share, soon, and keeps
// none of them; one that is let go leaves no transaction open.
func TestMomentThatCannotBeHad(t *testing.T) {
	server := servers.Postgres(t)
	holder, _, db := sharing(t, server)
	if _, err := db.ExecContext(t.Context(), "CREATE ROLE few LOGIN PASSWORD 'few-pass-1188' CONNECTION LIMIT 2"); err != nil {
		t.Fatal(err)
	}
	settings := session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: "few", Password: "few-pass-1188"}, Port: server.Port, Database: server.Database}
	few := openSource(t, settings).(*source)
	began := time.Now()
	if _, err := few.Share(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "connection") || time.Since(began) > 8*shareLimit { // others wait for a connection 50 s
		t.Errorf("Share = %v after %v", err, time.Since(began))
	}
	settings.MaxConnections = 1
	if _, err := openSource(t, settings).(*source).Share(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "max_connections") {
		t.Errorf("Share = %v", err)
	}
	sessions := "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND application_name = 'headwater'"
	servers.Await(t, db, fmt.Sprintf("SELECT ("+sessions+") <= 2 AND ("+sessions+" AND xact_start IS NOT NULL) = 0", "few", "few"))
	holder.shareOrFail(t, 2)
	servers.Await(t, db, fmt.Sprintf("SELECT ("+sessions+" AND xact_start IS NOT NULL) = 1", server.User))
	holder.holder.Release()
	servers.Await(t, db, fmt.Sprintf("SELECT ("+sessions+" AND xact_start IS NOT NULL) = 0", server.User))
}

// A table that another is swapped for while a read waits for its lock is not taken
// for it: its rows are not those of the snapshot.
func TestSwappedWhileTheLockIsAwaited(t *testing.T) {
	server := servers.Postgres(t)
	src, db := openSmall(t, server, driver.Limits{})
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE x (id int); INSERT INTO x SELECT generate_series(1, 5)"); err != nil {
		t.Fatal(err)
	}
	table := tableOfName(t, src, "x")
	for old, ranges := range map[string]bool{"before": false, "before_that": true} {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "CREATE TABLE y (id int); INSERT INTO y SELECT generate_series(1, 7); ALTER TABLE x RENAME TO "+old+"; ALTER TABLE y RENAME TO x"); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if !ranges {
				if rows, err := collect(t, src.Read(t.Context(), table, driver.Cursor{})); err == nil && rows != 7 {
					t.Errorf("read %d rows", rows)
				}
				return
			}
			sc, err := src.Scan(t.Context(), table, nil)
			if err != nil {
				return
			}
			defer sc.Close()
			total := 0
			for _, r := range sc.Unread() {
				rows, err := collect(t, sc.Read(t.Context(), r))
				if err != nil {
					t.Error(err)
				}
				total += rows
			}
			if total != 7 {
				t.Errorf("read %d rows in ranges", total)
			}
		}()
		servers.Await(t, db, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		<-done
	}
}

func collect(t *testing.T, read func(func(driver.Batch, error) bool)) (rows int, failed error) {
	t.Helper()
	for b, err := range read {
		if err != nil {
			return rows, err
		}
		rows += int(b.Record.NumRows())
		b.Record.Release()
	}
	return rows, nil
}
