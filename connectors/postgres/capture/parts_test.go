package capture_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/capture"
)

// A partition that comes during a reading is judged when it is met first: rows that it
// gets later are in the log.
func TestCapturePartitionsThatCome(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *servers.Server) {
		db := handle(t, server)
		run(t, db, "CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10)", "INSERT INTO part VALUES (1)")
		m := newMirror(t, server, "part")
		m.synced()
		m.change = func(c *driver.Capture) { c.Delay, c.Continuous = time.Hour, true }
		log, err := m.capture(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		altered := func(after string) {
			t.Helper()
			if err := capture.Altered(t.Context(), log); err != nil {
				t.Errorf("%s: %v", after, err)
			}
		}
		run(t, db, "CREATE TABLE part_2 (LIKE part INCLUDING ALL)", "ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20)", "CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (20) TO (30)")
		altered("attached empty")
		run(t, db, "INSERT INTO part VALUES (11), (21)")
		altered("filled through the root")
		ageNote(t, db, m.reader())
		altered("after an hour")
		run(t, db, "VACUUM FULL part_2", "VACUUM FULL part_3", "CLUSTER part_1 USING part_1_pkey")
		altered("written anew as they were")
		if note := value[string](t, db, "SELECT obj_description(oid, 'pg_publication') FROM pg_publication"); !strings.Contains(note, value[string](t, db, "SELECT 'part_3'::regclass::oid::text")) {
			t.Errorf("part_3 would be searched for old rows each time: %s", note)
		}
		log.Close()
		m.change = nil
		m.synced()
	})
}

// A partition whose first rows come during a reading, before a look has met it, is noted
// before they land: it may be gone the next time.
func TestCaptureAPartitionComesWithRows(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *servers.Server) {
		db := handle(t, server)
		run(t, db, "CREATE TABLE comes (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE comes_1 PARTITION OF comes FOR VALUES FROM (0) TO (10)", "INSERT INTO comes VALUES (1)")
		m := newMirror(t, server, "comes")
		m.synced()
		m.between = func() {
			run(t, db, "INSERT INTO comes VALUES (2)", "CREATE TABLE comes_2 PARTITION OF comes FOR VALUES FROM (10) TO (20)", "INSERT INTO comes VALUES (11)")
		}
		fails(t, m.try(t.Context()), driver.ErrRetyped, "another partition")
		m.between = nil
		m.synced()
		run(t, db, "DROP TABLE comes_2")
		if err := m.sync(); err != nil {
			t.Fatal(err)
		}
		fails(t, m.refused["comes"], driver.ErrReplaced, "dropped")
		m.tables["comes"].after = ""
		m.synced()
	})
}

// A partition whose DETACH CONCURRENTLY was interrupted is one for the catalog, and none for
// who reads the table.
func TestCaptureAPartitionIsHalfDetached(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *servers.Server) {
		db := handle(t, server)
		run(t, db, "CREATE TABLE half (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE half_1 PARTITION OF half FOR VALUES FROM (0) TO (10)", "CREATE TABLE half_2 PARTITION OF half FOR VALUES FROM (10) TO (20)", "INSERT INTO half VALUES (1), (11)")
		m := newMirror(t, server, "half")
		m.synced()
		reader, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		run(t, reader, "SELECT * FROM half")
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		run(t, c, "SET lock_timeout = '100ms'")
		if _, err := c.ExecContext(t.Context(), "ALTER TABLE half DETACH PARTITION half_2 CONCURRENTLY"); err == nil {
			t.Fatal("it was not interrupted")
		}
		if err := errors.Join(c.Close(), reader.Rollback()); err != nil {
			t.Fatal(err)
		}
		if err := m.sync(); err != nil {
			t.Fatal(err)
		}
		fails(t, m.refused["half"], driver.ErrReplaced, "detached")
		m.tables["half"].after = ""
		m.synced()
		run(t, db, "INSERT INTO half_2 VALUES (12)", "INSERT INTO half VALUES (2)")
		m.synced()
		run(t, db, "ALTER TABLE half DETACH PARTITION half_2 FINALIZE")
		m.synced()
	})
}

// The note does not take the heap of a partition that was emptied during a reading, if the
// transaction which did that put rows into it that the log does not have.
func TestCaptureAPartitionIsUnloggedDuringAReading(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE dark (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE dark_1 PARTITION OF dark FOR VALUES FROM (0) TO (10)", "INSERT INTO dark VALUES (1)")
	m := newMirror(t, server, "dark")
	m.synced()
	m.between = func() { run(t, db, "TRUNCATE dark", "INSERT INTO dark VALUES (3)") }
	m.synced()
	m.between = func() {
		run(t, db, "DO $$BEGIN TRUNCATE dark; ALTER TABLE dark_1 SET UNLOGGED; INSERT INTO dark VALUES (2); ALTER TABLE dark_1 SET LOGGED; END$$")
	}
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	m.between = nil
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	fails(t, m.refused["dark"], driver.ErrReplaced, "dark_1", "filled")
	m.tables["dark"].after = ""
	m.synced()
}

// ageNote has the note beside a publication be from long ago.
func ageNote(t *testing.T, db *sql.DB, publication string) {
	t.Helper()
	run(t, db, fmt.Sprintf(`DO $$ BEGIN EXECUTE format('COMMENT ON PUBLICATION %[1]s IS %%L', (SELECT regexp_replace(obj_description(oid, 'pg_publication'), '"written":\d+', '"written":1') FROM pg_publication WHERE pubname = '%[1]s')); END $$`, publication))
}

// A table that was written anew as it was is not read again because a column was added to
// it long before.
func TestCaptureWrittenAnewLongAfterAColumn(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE anew (id int PRIMARY KEY)", "INSERT INTO anew VALUES (1)")
	m := newMirror(t, server, "anew")
	m.synced()
	run(t, db, "ALTER TABLE anew ADD v int", "INSERT INTO anew VALUES (2, 2)")
	m.synced()
	ageNote(t, db, m.reader())
	m.synced()
	run(t, db, "VACUUM FULL anew", "INSERT INTO anew VALUES (3, 3)")
	m.synced()
}

// What is written down during a reading does not hide that somebody has changed the
// publication meanwhile.
func TestCaptureTruncatedWhileThePublicationIsAltered(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE first (id int PRIMARY KEY)", "CREATE TABLE second (id int PRIMARY KEY)", "INSERT INTO second VALUES (1)")
	m := newMirror(t, server, "first", "second")
	m.synced()
	m.between = func() {
		run(t, db, "TRUNCATE second", "ALTER PUBLICATION "+m.reader()+" DROP TABLE ONLY first", "INSERT INTO first VALUES (1)", "ALTER PUBLICATION "+m.reader()+" ADD TABLE ONLY first")
	}
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	m.between = nil
	err := m.sync()
	if err == nil {
		err = m.refused["first"]
	}
	fails(t, err, driver.ErrReplaced, "publication")
}
