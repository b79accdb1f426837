package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/capture"
)

// mistake is a kind of mistake that readers of a log make.
type mistake struct {
	name string
	test func(t *testing.T, server *servers.Server, db *sql.DB)
}

func TestCaptureFamilies(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *servers.Server) {
		db := handle(t, server)
		for _, f := range mistakes() {
			t.Run(f.name, func(t *testing.T) { f.test(t, server, db) })
			servers.Await(t, db, "SELECT count(*) = 0 FROM pg_replication_slots WHERE active")
			run(t, db, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
		}
	}, "max_prepared_transactions=4", "track_commit_timestamp=off")
}

func mistakes() []mistake {
	return []mistake{
		{"UnchangedToast", familyToast}, {"ConfirmedIsWhatLanded", familyConfirmed}, {"AfterACrash", familyCrash}, {"IdleSlot", familyIdle},
		{"HandOver", familyHandOver}, {"LostSnapshot", familySnapshot}, {"KeyChange", familyKey}, {"Truncate", familyTruncate}, {"Partitions", familyPartitions},
		{"GeneratedColumns", familyGenerated}, {"Altered", familyAltered}, {"AlteredAgain", familyAlteredAgain}, {"SlotLost", familySlotLost}, {"SlotTaken", familySlotTaken}, {"SlotOfAnother", familySlotOfAnother}, {"SlotElsewhere", familySlotElsewhere}, {"Released", familyReleased},
		{"PublicationByHand", familyPublication}, {"WholeIdentity", familyWhole}, {"Prepared", familyPrepared}, {"Standing", familyStanding}, {"OtherClock", familyOtherClock}, {"BadValue", familyBadValue}, {"LongChange", familyLongChange},
	}
}

// 1: a value that the log does not repeat is as it was, also when the row came in the
// same batch.
func familyToast(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE toast (id int PRIMARY KEY, n int, body text, more text); ALTER TABLE toast ALTER body SET STORAGE EXTERNAL; INSERT INTO toast VALUES (1, 1, repeat('x', 5000), 'm'), (4, 1, repeat('w', 7000), 'n')")
	m := newMirror(t, server, "toast")
	m.synced()
	run(t, db, "UPDATE toast SET n = 2", "INSERT INTO toast VALUES (2, 1, repeat('y', 9000), NULL), (3, 1, repeat('v', 6000), 'o')", "UPDATE toast SET n = n + 1", "UPDATE toast SET id = id + 10, more = 'k'", "UPDATE toast SET body = repeat('z', 6000) WHERE id = 11", "UPDATE toast SET body = NULL WHERE id = 12")
	m.synced()
}

// 2: the slot stands where the consumer said, whatever was read and however often the
// server asks.
func familyConfirmed(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE confirmed (id int PRIMARY KEY)")
	m := newMirror(t, server, "confirmed")
	m.change = func(c *driver.Capture) { c.Delay, c.Continuous = 50*time.Millisecond, true }
	at := func() string {
		return value[string](t, db, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", m.reader())
	}
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := m.load(log); err != nil {
		t.Fatal(err)
	}
	begin, places := at(), []string{}
	run(t, db, "INSERT INTO confirmed VALUES (1)")
	for c, err := range log.Changes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Record != nil {
			c.Record.Release()
		}
		if c.Resume == "" {
			continue
		}
		if places = append(places, c.Resume); len(places) == 3 {
			break
		}
		time.Sleep(300 * time.Millisecond) // the server is answered meanwhile, with nothing that has landed
		if now := at(); now != begin {
			t.Errorf("the slot moved to %s, and nothing was confirmed", now)
		}
		run(t, db, fmt.Sprintf("INSERT INTO confirmed VALUES (%d)", len(places)+1))
	}
	if err := log.Confirm(t.Context(), places[1]); err != nil {
		t.Fatal(err)
	}
	log.Close()
	if now := at(); now != places[1] {
		t.Errorf("the slot is at %s after Close, want %s of %q", now, places[1], places)
	}
	m.change = nil
	m.landed = places[1]
	m.tables["confirmed"].rows = map[string][]string{"1": {"1"}, "2": {"2"}}
	m.synced()
}

// 3: state and slot may differ by what was done when it crashed: nothing is lost or
// comes twice.
func familyCrash(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE crash (id int PRIMARY KEY); CREATE TABLE crash_too (id int PRIMARY KEY); INSERT INTO crash VALUES (0)")
	m := newMirror(t, server, "crash", "crash_too")
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.load(log); err != nil {
		t.Fatal(err)
	}
	log.Close() // loaded, and nothing was confirmed: Landed is ""
	run(t, db, "INSERT INTO crash VALUES (1); INSERT INTO crash_too VALUES (1)")
	m.synced()
	before := m.landed
	run(t, db, "INSERT INTO crash VALUES (2)", "INSERT INTO crash_too VALUES (2)")
	m.synced()
	m.landed, m.tables["crash"].after = before, m.landed // one table was committed, and then the process ended
	delete(m.tables["crash_too"].rows, "2")
	fails(t, m.sync(), driver.ErrReplaced, "somebody else") // as the slot was confirmed: that is no order of ours
	slot := value[string](t, db, "SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = $1", m.reader())
	if slot == "" {
		t.Error("the slot is gone")
	}
	m = newMirror(t, server, "crash", "crash_too")
	m.synced()
	before = m.landed
	run(t, db, "INSERT INTO crash VALUES (3)", "INSERT INTO crash_too VALUES (3)")
	log, err = m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	resume := ""
	for c, err := range log.Changes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Record != nil {
			c.Record.Release()
		}
		resume = c.Resume
	}
	log.Close()
	m.tables["crash"].rows["3"], m.tables["crash"].after = []string{"3"}, resume // committed alone, not confirmed
	m.synced()
	if m.landed == before {
		t.Error("nothing landed")
	}
}

// 4: a database in which nothing happens keeps no log for its reader.
func familyIdle(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE idle (id int PRIMARY KEY); CREATE TABLE neighbour (id int)")
	m := newMirror(t, server, "idle")
	m.synced()
	slot := func() (at string) {
		return value[string](t, db, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", m.reader())
	}
	first := slot()
	run(t, db, "INSERT INTO neighbour SELECT generate_series(1, 10000)")
	end := value[string](t, db, "SELECT pg_current_wal_lsn()::text")
	m.synced()
	if !value[bool](t, db, "SELECT $1::pg_lsn >= $2::pg_lsn", slot(), end) {
		t.Errorf("the slot went from %s to %s, and the log to %s", first, slot(), end)
	}
	// One that goes on moves by places without changes.
	was := m.landed
	m.change = func(c *driver.Capture) { c.Delay, c.Continuous = 10*time.Millisecond, true }
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	capture.SetIdle(log, 50*time.Millisecond)
	run(t, db, "INSERT INTO neighbour SELECT generate_series(1, 100)")
	if err := m.follow(limited, log, func() bool { return m.landed != was }); err != nil {
		t.Fatal(err)
	}
}

// 5: what commits while a table is handed over from its snapshot to the log lands once,
// also of transactions that were open all along.
func familyHandOver(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE first (id int PRIMARY KEY, v text); INSERT INTO first VALUES (1, 'a')", "CREATE TABLE later (id int PRIMARY KEY, v text); INSERT INTO later VALUES (1, 'a'), (2, 'b')")
	m := newMirror(t, server, "first")
	m.synced()

	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, tx, "INSERT INTO later VALUES (3, 'open')", "UPDATE later SET v = 'open' WHERE id = 1", "INSERT INTO first VALUES (2, 'open')")
	m.names = append(m.names, "later")
	done := make(chan error, 1)
	go func() { done <- m.sync() }() // waits for the transaction
	servers.Await(t, db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'walsender' AND wait_event_type = 'Lock'")
	other := newWriter(t, db)
	run(t, tx, "INSERT INTO later VALUES (4, 'open still')")
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	err = <-done
	other()
	if err != nil {
		t.Fatalf("%+v", err)
	}
	m.synced()
	run(t, db, "DELETE FROM later WHERE id = 3")
	m.synced()
	m.names = []string{"first"}
	m.synced()
	if n := value[int](t, db, "SELECT count(*) FROM pg_publication_tables WHERE pubname = $1", m.reader()); n != 1 {
		t.Errorf("%d tables are published, want the one that is captured", n)
	}
	if n := value[int](t, db, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE $1", m.reader()+"%"); n != 1 {
		t.Errorf("%d slots, want one", n)
	}
}

// newWriter changes both tables of familyHandOver until its end.
func newWriter(t *testing.T, db *sql.DB) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 100; ctx.Err() == nil; i++ {
			_, _ = db.ExecContext(ctx, fmt.Sprintf("INSERT INTO later VALUES (%d, 'w'); UPDATE later SET v = v || 'x' WHERE id = %d; UPDATE first SET v = v || 'y' WHERE id = 1; DELETE FROM later WHERE id = %d", i, i-1, i-2))
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// 6: readers in other processes read the moment for as long as it is held; when it is
// lost they are told.
func familySnapshot(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE snap (id int PRIMARY KEY); INSERT INTO snap SELECT generate_series(1, 100)")
	m := newMirror(t, server, "snap")
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run(t, db, "INSERT INTO snap VALUES (1000)")
	moment, _ := log.Moment()
	for range 3 {
		reader := m.another()
		reader.Join(moment)
		if rows, err := rowsOf(t, reader, tableOfName(t, reader, "snap"), true); err != nil || len(rows) != 100 || reader.Apart() != "" {
			t.Errorf("%d rows, %v, apart %q", len(rows), err, reader.Apart())
		}
	}
	log.Close() // with its moment
	servers.Await(t, db, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'headwater' AND xact_start IS NOT NULL AND state = 'idle in transaction'")
	reader := m.another()
	reader.Join(moment)
	if _, err := rowsOf(t, reader, tableOfName(t, reader, "snap"), false); err != nil || reader.Apart() == "" {
		t.Errorf("a lost moment: %v, apart %q", err, reader.Apart())
	}
	m.synced() // the slot is made anew, as no table has landed
}

// 7: a row under another key leaves none under the one before.
func familyKey(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE keyed (a int, b text, v int, PRIMARY KEY (b, a)); INSERT INTO keyed SELECT g, 'k', g FROM generate_series(1, 9) g")
	m := newMirror(t, server, "keyed")
	m.synced()
	run(t, db, "UPDATE keyed SET a = a + 100", "BEGIN; UPDATE keyed SET b = 'z' WHERE a = 101; UPDATE keyed SET b = 'k', a = 7 WHERE a = 101; DELETE FROM keyed WHERE a = 7; INSERT INTO keyed VALUES (7, 'k', 0); COMMIT", "UPDATE keyed SET v = v")
	m.synced()
	if !slices.Contains(m.tables["keyed"].told, "oldkey 101|k") {
		t.Errorf("told: %q", m.tables["keyed"].told)
	}
}

// 8: TRUNCATE is one change, of each of its tables.
func familyTruncate(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE cut (id int PRIMARY KEY); CREATE TABLE cut_too (id int PRIMARY KEY REFERENCES cut); INSERT INTO cut SELECT generate_series(1, 100); INSERT INTO cut_too SELECT generate_series(1, 50)")
	m := newMirror(t, server, "cut", "cut_too")
	m.synced()
	run(t, db, "BEGIN; INSERT INTO cut VALUES (1000); TRUNCATE cut CASCADE; INSERT INTO cut VALUES (1); COMMIT", "INSERT INTO cut_too VALUES (1)")
	m.synced()
	if told := m.tables["cut_too"].told; !slices.Equal(told, []string{"truncate", "insert 1"}) {
		t.Errorf("told %q", told)
	}
}

// 9: partitions land as their root, and what is done to one alone is not overlooked.
func familyPartitions(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE part (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)", "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10)", "CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20)",
		"INSERT INTO part SELECT g, g, 'v' FROM generate_series(0, 19) g")
	m := newMirror(t, server, "part")
	m.synced()
	run(t, db, "UPDATE part SET at = 15 WHERE id = 1", "INSERT INTO part_2 VALUES (100, 11, 'direct')", "DELETE FROM part WHERE id = 3", "CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (20) TO (30)", "INSERT INTO part VALUES (50, 25, 'new')")
	m.synced()
	run(t, db, "TRUNCATE part", "INSERT INTO part VALUES (1, 1, 'after'), (2, 12, 'after')")
	m.synced()
	m.synced()
	run(t, db, "VACUUM FULL part_1", "UPDATE part SET v = 'x' WHERE id = 1")
	for _, alone := range []struct{ do, why string }{
		{"TRUNCATE part_1", "truncated"},
		{"ALTER TABLE part DETACH PARTITION part_2", "detached"},
		{"CREATE TABLE part_4 (LIKE part INCLUDING ALL); INSERT INTO part_4 VALUES (60, 35, 'w'); ALTER TABLE part ATTACH PARTITION part_4 FOR VALUES FROM (30) TO (40)", "attached"},
		{"DROP TABLE part_4", "dropped"},
	} {
		run(t, db, "INSERT INTO part VALUES (900, 5, 'x')")
		if err := m.sync(); err != nil {
			t.Fatal(err)
		}
		if why := m.refused["part"]; why != nil { // of VACUUM FULL of a partition without older rows
			m.tables["part"].after = ""
			m.synced()
		}
		run(t, db, alone.do)
		if err := m.sync(); err != nil {
			t.Fatal(err)
		}
		if why := m.refused["part"]; why == nil || !strings.Contains(why.Error(), alone.why) || !errors.Is(why, driver.ErrReplaced) {
			t.Errorf("%s: refused %v", alone.do, why)
		}
		m.tables["part"].after = ""
		m.synced()
		run(t, db, "DELETE FROM part WHERE id = 900")
		m.synced()
	}
	partitionTruncatedBeforeANote(t, server, db)
}

// A partition that was truncated alone is found, too, if the note is written anew, because
// another table is read whole, before the log was read that far: rows that came in between
// are then older than the note, and those of a heap that was only written anew are as well.
func partitionTruncatedBeforeANote(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE noted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)", "CREATE TABLE noted_1 PARTITION OF noted FOR VALUES FROM (0) TO (100)",
		"INSERT INTO noted VALUES (1, 'before')", "CREATE TABLE noted_beside (id int PRIMARY KEY)")
	m := newMirror(t, server, "noted", "noted_beside")
	m.synced()
	run(t, db, "TRUNCATE noted_1", "INSERT INTO noted VALUES (2, 'after')")
	m.tables["noted_beside"].after = ""
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log.Close() // as when the reader is killed
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	if why := m.refused["noted"]; !errors.Is(why, driver.ErrReplaced) || !strings.Contains(why.Error(), "truncated") {
		t.Errorf("refused %v; it has %v", why, m.tables["noted"].rows)
	}
	m.tables["noted"].after = ""
	m.synced()
}

// 10: generated columns are in the log from PostgreSQL 18 on, and never shift others.
func familyGenerated(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE gen (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b text)", "INSERT INTO gen VALUES (1, 1, DEFAULT, 'x')",
		"CREATE TABLE gen_not (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED NOT NULL)")
	m := newMirror(t, server, "gen", "gen_not")
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	run(t, db, "INSERT INTO gen VALUES (2, 5, DEFAULT, 'y')", "UPDATE gen SET b = 'z' WHERE id = 1")
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	if value[int](t, db, "SELECT current_setting('server_version_num')::int") >= 180000 {
		m.same()
		return
	}
	fails(t, m.refused["gen_not"], driver.ErrUnsupported, "twice", "sync_options.columns")
	if got := m.tables["gen"].rows["2"]; !slices.Equal(got, []string{"2", "5", null, "y"}) {
		t.Errorf("%q", got)
	}
	if !slices.ContainsFunc(m.notes, func(n string) bool { return strings.Contains(n, "twice") && strings.Contains(n, "18") }) {
		t.Errorf("notes %q", m.notes)
	}
}

// Prepared transactions come when they are committed.
func familyPrepared(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE prep (id int PRIMARY KEY)")
	m := newMirror(t, server, "prep")
	m.synced()
	run(t, db, "BEGIN; INSERT INTO prep VALUES (1); PREPARE TRANSACTION 'p'", "INSERT INTO prep VALUES (2)")
	m.synced()
	run(t, db, "COMMIT PREPARED 'p'")
	m.synced()
}

// A table of which the log has whole old rows.
func familyWhole(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE whole (id int, v text, big text); ALTER TABLE whole REPLICA IDENTITY FULL; ALTER TABLE whole ALTER big SET STORAGE EXTERNAL; INSERT INTO whole VALUES (1, 'a', repeat('b', 5000)), (2, NULL, NULL)",
		"CREATE TABLE whole_keyed (id int PRIMARY KEY, v text); ALTER TABLE whole_keyed REPLICA IDENTITY FULL; INSERT INTO whole_keyed VALUES (1, 'a'), (2, 'b')")
	m := newMirror(t, server, "whole", "whole_keyed")
	m.synced()
	run(t, db, "UPDATE whole SET v = 'n' WHERE id = 1", "DELETE FROM whole WHERE id = 2", "INSERT INTO whole VALUES (3, 'c', 'd')", "UPDATE whole_keyed SET v = 'x' WHERE id = 1", "UPDATE whole_keyed SET id = 5 WHERE id = 2", "DELETE FROM whole_keyed WHERE id = 1")
	m.synced()
	// An update that changes nothing is a row that went and one that came, too: without a
	// key, a log that has only the second has one row too many.
	told := len(m.tables["whole"].told)
	run(t, db, "UPDATE whole SET v = v WHERE id = 3")
	m.synced()
	if got := m.tables["whole"].told[told:]; len(got) != 2 || !strings.HasPrefix(got[0], "oldkey") || !strings.HasPrefix(got[1], "update") {
		t.Errorf("an update that changes nothing came as %q", got)
	}
}
