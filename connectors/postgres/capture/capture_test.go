package capture_test

import (
	"testing"

	"headwater/connectors/drivertest/servers"
)

func TestCapture(t *testing.T) { eachVersion(t, testCapture) }

func testCapture(t *testing.T, server *servers.Server) {
	db := handle(t, server)
	run(t, db, `CREATE TABLE a (id int PRIMARY KEY, v text, n numeric(9,2)); INSERT INTO a SELECT g, 'v' || g, g FROM generate_series(1, 1000) g`,
		`CREATE TABLE b (k text PRIMARY KEY, at timestamptz DEFAULT now()); INSERT INTO b VALUES ('x'), ('y')`)
	m := newMirror(t, server, "a", "b")
	m.between = func() {
		run(t, db, "INSERT INTO a VALUES (2000, 'between', 1)", "DELETE FROM a WHERE id = 1", "UPDATE b SET k = 'z' WHERE k = 'x'")
	}
	m.synced()
	m.between = nil
	run(t, db, "UPDATE a SET v = 'new' WHERE id < 10", "INSERT INTO a VALUES (3000, NULL, NULL)", "BEGIN; DELETE FROM a WHERE id = 20; INSERT INTO a VALUES (20, 'again', 2); COMMIT")
	m.synced()
	run(t, db, "TRUNCATE a, b", "INSERT INTO a VALUES (1, 'after', 1)")
	m.synced()
	run(t, db, "UPDATE a SET id = 7")
	m.synced()
	m.synced()
}
