package capture_test

import (
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/capture"
	"headwater/connectors/postgres/session"
)

// 11: columns come, go and change while somebody reads, and while nobody does.
func familyAltered(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE alt (id int PRIMARY KEY, a text, b int)", "INSERT INTO alt VALUES (1, 'a', 1)")
	m := newMirror(t, server, "alt")
	m.synced()
	for i, ddl := range []string{
		"ALTER TABLE alt ADD COLUMN c text",
		"ALTER TABLE alt ADD COLUMN d int NOT NULL DEFAULT 7",
		"ALTER TABLE alt DROP COLUMN b",
		"ALTER TABLE alt ADD COLUMN b int",
		"BEGIN; ALTER TABLE alt DROP COLUMN b; ALTER TABLE alt ADD COLUMN b int; COMMIT",
		"ALTER TABLE alt ALTER COLUMN b TYPE bigint",
		"ALTER TABLE alt RENAME COLUMN b TO bb",
		"ALTER TABLE alt RENAME COLUMN bb TO b",
		"ALTER TABLE alt ADD COLUMN e uuid DEFAULT gen_random_uuid(); ALTER TABLE alt ALTER e DROP DEFAULT",
	} {
		run(t, db, fmt.Sprintf("INSERT INTO alt (id, a) VALUES (%d, 'before')", 10*i+10), ddl, fmt.Sprintf("INSERT INTO alt (id, a) VALUES (%d, 'after')", 10*i+11), "UPDATE alt SET a = a || 'y' WHERE a = 'after'", "UPDATE alt SET a = 'x' WHERE id = 1")
		if err := m.sync(); err != nil {
			t.Fatalf("%s: %v", ddl, err)
		}
		m.same()
	}
	// While it reads: what came before it is valid, and the table has other columns from there on.
	m.change = func(c *driver.Capture) { c.Delay, c.Continuous = 20*time.Millisecond, true }
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	done := make(chan error, 1)
	go func() { done <- m.follow(t.Context(), log, nil) }()
	run(t, db, "INSERT INTO alt (id, a) VALUES (500, 'while')")
	run(t, db, "ALTER TABLE alt ADD COLUMN f text", "INSERT INTO alt (id, f) VALUES (501, 'f')")
	fails(t, <-done, driver.ErrRetyped, "public.alt", "f")
	log.Close()
	m.change = nil
	m.synced()
}

// 12: a slot that is gone, lost or of somebody else is told, with the way out.
func familySlotLost(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE lost (id int PRIMARY KEY)")
	m := newMirror(t, server, "lost")
	for _, c := range []struct {
		do   []string
		want string
	}{
		{[]string{"SELECT pg_drop_replication_slot('headwater_lost')"}, "not there any more"},
		{[]string{"SELECT pg_drop_replication_slot('headwater_lost')", "SELECT pg_create_logical_replication_slot('headwater_lost', 'pgoutput')"}, "somebody else"},
		{[]string{"SELECT pg_drop_replication_slot('headwater_lost')", "SELECT pg_create_logical_replication_slot('headwater_lost', 'test_decoding')"}, "test_decoding"},
		{[]string{"SELECT pg_switch_wal()", "CHECKPOINT", "SELECT pg_replication_slot_advance('headwater_lost', pg_current_wal_lsn())"}, "moved"},
	} {
		m.tables["lost"] = nil
		m.synced()
		run(t, db, "INSERT INTO lost VALUES ((SELECT coalesce(max(id), 0) + 1 FROM lost))")
		if strings.Contains(c.want, "test_decoding") && value[bool](t, db, "SELECT current_setting('server_version_num')::int / 10000 <> 15") {
			continue // contrib is not among what other versions come with
		}
		servers.Await(t, db, "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'headwater_lost'") // its reader has left, and the server may not know yet
		run(t, db, c.do...)
		fails(t, m.sync(), driver.ErrReplaced, c.want, "sync_options.reset")
	}
	// The server gives it up.
	m.tables["lost"] = nil
	m.synced()
	run(t, db, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()", "CREATE TABLE lost_filler (v text)")
	defer run(t, db, "ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")
	waitUntil(t, "the slot is lost", func() bool {
		run(t, db, "INSERT INTO lost_filler SELECT repeat(md5(g::text), 60) FROM generate_series(1, 9000) g", "SELECT pg_switch_wal()", "CHECKPOINT")
		return value[string](t, db, "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'headwater_lost'") == "lost"
	})
	fails(t, m.sync(), driver.ErrReplaced, "max_slot_wal_keep_size", "sync_options.reset")
	m.tables["lost"] = nil
	m.synced()
	run(t, db, "DROP TABLE lost_filler")
}

// 13: nothing is left behind.
func familyReleased(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE freed (id int PRIMARY KEY)")
	m := newMirror(t, server, "freed")
	m.synced()
	left := func() int {
		return value[int](t, db, "SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1) + (SELECT count(*) FROM pg_publication WHERE pubname = $1)", m.reader())
	}
	if n := left(); n != 2 {
		t.Fatalf("%d", n)
	}
	m.change = func(c *driver.Capture) { c.Continuous = true }
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- m.follow(t.Context(), log, nil) }() // a reader of ours that still goes on
	servers.Await(t, db, "SELECT active FROM pg_replication_slots WHERE slot_name = 'headwater_freed'")
	for _, there := range []bool{true, false} {
		if holds, err := m.another().Holds(t.Context(), m.reader()); err != nil || holds != there {
			t.Errorf("the server holds it: %v, %v", holds, err)
		}
		if err := m.another().Release(t.Context(), m.reader(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err == nil {
		t.Error("the reader goes on")
	}
	log.Close()
	if n := left(); n != 0 {
		t.Errorf("%d are left", n)
	}
	servers.Await(t, db, "SELECT count(*) = 0 FROM pg_stat_replication")
}

// 15: two readers of one slot.
func familySlotTaken(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE taken (id int PRIMARY KEY)")
	m := newMirror(t, server, "taken")
	m.synced()
	c, err := poolOf(t, m.src.settings).ConnectWith(t.Context(), nil, map[string]string{"replication": "database", "application_name": "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		_ = c.Exec(t.Context(), `START_REPLICATION SLOT "headwater_taken" LOGICAL 0/0 (proto_version '1', publication_names '"headwater_taken"')`)
	}()
	servers.Await(t, db, "SELECT active FROM pg_replication_slots WHERE slot_name = 'headwater_taken'")
	began := time.Now()
	fails(t, m.sync(), driver.ErrUnreachable, "another reader has the slot", "somebody", fmt.Sprint(c.PG.PID()))
	if time.Since(began) > 14*time.Second { // one of ours is waited for 15 s
		t.Error("it waited for a reader that is none of ours")
	}
	c.Drop()
	servers.Await(t, db, "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'headwater_taken'")
	m.synced()
}

// Two services that follow a source of the same name: the later one is told so at once,
// whether the other reads its slot or not, and the other goes on.
func familySlotOfAnother(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE owned (id int PRIMARY KEY)", "INSERT INTO owned VALUES (1)")
	owned := func(by string) func(*driver.Capture) { return func(c *driver.Capture) { c.Owner = by } }
	ours, theirs := newMirror(t, server, "owned"), newMirror(t, server, "owned")
	ours.change, theirs.change = owned("we"), owned("they")
	ours.synced()
	refused := func(words ...string) {
		t.Helper()
		began := time.Now()
		fails(t, theirs.sync(), driver.ErrInvalidConfig, append(words, "slot headwater_owned is another Headwater's", "another name", "pg_drop_replication_slot")...)
		if took := time.Since(began); took > 14*time.Second { // a reader that may go is waited for 15 s
			t.Errorf("it was told after %s", took)
		}
	}
	refused("nobody reads it now")
	run(t, db, "INSERT INTO owned VALUES (2)")
	ours.synced()
	ours.change = func(c *driver.Capture) { c.Owner, c.Continuous, c.Delay = "we", true, 10*time.Millisecond }
	log, err := ours.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	run(t, db, "INSERT INTO owned VALUES (3)")
	asked := false
	if err := ours.follow(t.Context(), log, func() bool {
		if !asked {
			asked = true
			refused("reads it, from 127.0.0.1")
			run(t, db, "INSERT INTO owned VALUES (4)")
		}
		return len(ours.tables["owned"].rows) == 4
	}); err != nil {
		t.Fatal(err)
	}
	log.Close()
	ours.change = owned("we")
	ours.landed, ours.tables["owned"].after = "", "" // made anew, as a reset does: the slot is ours
	ours.synced()
	// A service that was refused takes nothing away.
	if err := ours.another().Release(t.Context(), ours.reader(), "they"); err != nil {
		t.Fatal(err)
	}
	if n := value[int](t, db, "SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1) + (SELECT count(*) FROM pg_publication WHERE pubname = $1)", ours.reader()); n != 2 {
		t.Errorf("%d of slot and publication are left", n)
	}
	if err := ours.another().Release(t.Context(), ours.reader(), "we"); err != nil {
		t.Fatal(err)
	}
	theirs.synced() // the slot is not there any more
}

// A slot of the same name in another database of the server is another source's: it
// is neither taken over nor dropped.
func familySlotElsewhere(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE elsewhere (id int PRIMARY KEY)", "CREATE DATABASE elsewhere")
	other := openWith(t, server, func(s *session.Settings) { s.Database = "elsewhere" })
	c, err := poolOf(t, other.settings).ConnectWith(t.Context(), nil, map[string]string{"replication": "database"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := newMirror(t, server, "elsewhere")
	if err := c.Exec(t.Context(), "CREATE_REPLICATION_SLOT "+m.reader()+" LOGICAL pgoutput"); err != nil {
		t.Fatal(err)
	}
	fails(t, m.sync(), driver.ErrInvalidConfig, m.reader(), "elsewhere", "pg_drop_replication_slot", "another name")
	if err := m.another().Release(t.Context(), m.reader(), ""); err != nil {
		t.Error(err)
	}
	if holds, err := m.another().Holds(t.Context(), m.reader()); holds || err != nil {
		t.Errorf("holds %v, %v", holds, err)
	}
	servers.Await(t, db, "SELECT count(*) = 1 FROM pg_replication_slots WHERE slot_name = 'headwater_elsewhere' AND database = 'elsewhere'")
	run(t, db, "SELECT pg_drop_replication_slot('headwater_elsewhere')")
	m.synced()
}

// What was committed before a table was altered lands, however long changes may wait:
// else a reading of a table that is altered again and again would bring nothing.
func familyAlteredAgain(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE again (id int PRIMARY KEY)")
	m := newMirror(t, server, "again")
	m.synced()
	run(t, db, "INSERT INTO again VALUES (1)")
	m.change = func(c *driver.Capture) { c.Delay, c.Continuous = time.Hour, true }
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	run(t, db, "ALTER TABLE again ADD more int", "INSERT INTO again VALUES (2, 2)")
	rows, placed := int64(0), int64(-1)
	for c, err := range log.Changes(t.Context()) {
		if err != nil {
			if !errors.Is(err, driver.ErrRetyped) {
				t.Error(err)
			}
			break
		}
		if c.Record != nil {
			rows += c.Record.NumRows()
			c.Record.Release()
		}
		if c.Resume != "" {
			placed = rows
		}
	}
	if placed != 1 {
		t.Errorf("%d rows before the last place to resume, want 1", placed)
	}
	log.Close()
	m.change = nil
	m.synced()
}

// A publication that somebody has changed leaves changes out: that is told.
func familyPublication(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE pub (id int PRIMARY KEY); CREATE TABLE pub_too (id int PRIMARY KEY); CREATE TABLE pub_new (id int PRIMARY KEY)")
	m := newMirror(t, server, "pub", "pub_too")
	m.synced()
	run(t, db, "ALTER PUBLICATION headwater_pub DROP TABLE pub", "INSERT INTO pub VALUES (1)", "ALTER PUBLICATION headwater_pub ADD TABLE pub", "INSERT INTO pub_too VALUES (1)")
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	fails(t, m.refused["pub"], driver.ErrReplaced, "by hand")
	if len(m.refused) != 1 || len(m.tables["pub_too"].rows) != 1 {
		t.Errorf("refused %v, %q", m.refused, m.tables["pub_too"].rows)
	}
	if err := m.sync(); err != nil || m.refused["pub"] == nil {
		t.Errorf("it is forgotten: %v, %v", m.refused, err)
	}
	m.tables["pub"].after = ""
	m.synced()
	for _, by := range []string{"ALTER PUBLICATION headwater_pub SET (publish = 'insert')", "DROP PUBLICATION headwater_pub"} {
		run(t, db, by)
		fails(t, m.sync(), driver.ErrReplaced, "headwater_pub", "sync_options.reset")
		m.tables = map[string]*mirrored{}
		m.synced()
	}
	// While somebody reads.
	m.change = func(c *driver.Capture) { c.Delay, c.Continuous = 20*time.Millisecond, true }
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := capture.Altered(t.Context(), log); err != nil {
		t.Error(err)
	}
	run(t, db, "ALTER PUBLICATION headwater_pub DROP TABLE pub")
	fails(t, capture.Altered(t.Context(), log), driver.ErrRetyped, "pub")
	log.Close()

	// One that people keep.
	run(t, db, "CREATE PUBLICATION kept FOR TABLE pub, pub_too")
	given := mirrorOf(t, openWith(t, server, func(s *session.Settings) { s.Publication = "kept" }), "pub_new", "pub", "pub_too")
	if err := given.sync(); err != nil {
		t.Fatal(err)
	}
	fails(t, given.refused["pub_new"], driver.ErrNotFound, "ADD TABLE")
	run(t, db, "INSERT INTO pub VALUES (77)")
	if err := given.sync(); err != nil || given.tables["pub"].rows["77"] == nil {
		t.Errorf("%q, %v", given.tables["pub"].rows, err)
	}
	run(t, db, "ALTER PUBLICATION kept SET (publish = 'insert, update')")
	fails(t, given.sync(), driver.ErrInvalidConfig, "connection_config.publication", "truncate")
	if err := given.src.Release(t.Context(), given.reader(), ""); err != nil || value[int](t, db, "SELECT count(*) FROM pg_publication WHERE pubname = 'kept'") != 1 {
		t.Errorf("Release: %v", err)
	}
}

// A table with a value that no type holds is refused when the log is taken up again, and
// the others go on.
func familyBadValue(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE bad_at (id int PRIMARY KEY, at timestamptz); CREATE TABLE bad_beside (id int PRIMARY KEY)")
	m := newMirror(t, server, "bad_at", "bad_beside")
	m.synced()
	run(t, db, "INSERT INTO bad_beside VALUES (1)", "INSERT INTO bad_at VALUES (7, 'infinity')", "INSERT INTO bad_beside VALUES (2)")
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	fails(t, m.refused["bad_at"], driver.ErrBadData, "bad_at", "column at", "on_bad_value")
	if len(m.tables["bad_beside"].rows) != 2 {
		t.Errorf("%q", m.tables["bad_beside"].rows)
	}
	run(t, db, "DELETE FROM bad_at")
	m.tables["bad_at"].after = "" // it is read whole
	m.synced()
	run(t, db, "INSERT INTO bad_at VALUES (1, now())")
	m.synced()
}

// A change beyond the limit sets its own table aside, by name and with the setting;
// the others go on, also past it.
func familyLongChange(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE long_of (id int PRIMARY KEY, body text); CREATE TABLE long_beside (id int PRIMARY KEY); ALTER TABLE long_of ALTER body SET STORAGE EXTERNAL")
	m := mirrorOf(t, openWith(t, server, func(s *session.Settings) { s.MaxRowMiB = 1 }), "long_of", "long_beside")
	m.synced()
	run(t, db, "INSERT INTO long_beside VALUES (1)", "BEGIN; INSERT INTO long_of VALUES (7, repeat('x', 5000000)); INSERT INTO long_beside VALUES (2); COMMIT", "INSERT INTO long_beside VALUES (3)")
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	fails(t, m.refused["long_of"], driver.ErrLimit, "table public.long_of", "connection_config.max_row_mib to 5")
	if len(m.tables["long_beside"].rows) != 3 {
		t.Errorf("%q", m.tables["long_beside"].rows)
	}
	run(t, db, "UPDATE long_of SET body = 'short'")
	m.tables["long_of"].after = "" // it is read whole
	m.synced()
}

// How the reader stands is told.
func familyStanding(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE stand (id int PRIMARY KEY, v text)")
	m := newMirror(t, server, "stand")
	m.synced()
	run(t, db, "INSERT INTO stand SELECT g, repeat('x', 1000) FROM generate_series(1, 2000) g")
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s, err := log.Standing(t.Context())
	if err != nil || s.Behind < 1_000_000 || s.Retained < s.Behind || s.State != "reserved" || s.Position != m.landed || s.End == "" {
		t.Errorf("%+v, %v", s, err)
	}
	var seen driver.Standing
	var told []driver.Standing
	changed := false // since the last place: before 15, transactions without changes are given, too
	for c, err := range log.Changes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Record != nil {
			c.Record.Release()
			changed = true
		}
		if c.Standing != nil {
			told = append(told, *c.Standing)
		}
		if c.Resume != "" {
			if seen, err = log.Standing(t.Context()); err != nil || (seen.Delay > 0) != changed {
				t.Errorf("before it is confirmed, with changes %t: %+v, %v", changed, seen, err)
			}
			changed = false
			if err := log.Confirm(t.Context(), c.Resume); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(told) < 2 || told[0].Behind < 1_000_000 || told[len(told)-1].Behind > 100_000 {
		t.Errorf("told at the begin and the end: %+v", told)
	}
	before := time.Now()
	if s, err = log.Standing(t.Context()); err != nil || s.Delay != 0 || s.Behind > 100_000 || s.At.Before(before) || s.At.After(time.Now()) {
		t.Errorf("after it is confirmed: %+v, %v", s, err)
	}
	if at := capture.Ours(log, before); before.Sub(at).Abs() > time.Minute {
		t.Errorf("the clocks were not compared: %s is %s", before, at)
	}
}

// A table that cannot be captured is refused before anything is published, with what
// would let it be.
func TestCaptureRefuses(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE good (id int PRIMARY KEY)", "CREATE TABLE bare (id int)", "CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING",
		"CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)", "CREATE VIEW seen AS SELECT * FROM good", "CREATE TABLE other (id int PRIMARY KEY, u int NOT NULL UNIQUE); ALTER TABLE other REPLICA IDENTITY USING INDEX other_u_key",
		"CREATE TABLE indexed (u int NOT NULL UNIQUE); ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_u_key", "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent)",
		"CREATE TABLE xml_of (id int PRIMARY KEY, x xml)", "CREATE TYPE pair AS (a int); CREATE TABLE pairs (id int PRIMARY KEY, p pair[])", "CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE)",
		"CREATE TABLE mixed (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE mixed_1 PARTITION OF mixed FOR VALUES FROM (0) TO (10); ALTER TABLE mixed_1 REPLICA IDENTITY NOTHING")
	want := map[string]string{
		"bare": "REPLICA IDENTITY FULL", "nothing": "REPLICA IDENTITY NOTHING", "unlogged": "unlogged", "seen": "view", "other": "replica identity of public.other is u", "parent": "inherit", "xml_of": "column x",
		"pairs": "column p", "deferred": "no primary key", "mixed": "mixed_1",
	}
	m := newMirror(t, server, "good", "bare", "nothing", "unlogged", "seen", "other", "indexed", "parent", "xml_of", "pairs", "deferred", "mixed")
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	for _, name := range m.names {
		if text, ok := want[name]; ok {
			fails(t, m.refused[name], driver.ErrUnsupported, name, text)
		} else if m.refused[name] != nil {
			t.Errorf("%s: %v", name, m.refused[name])
		}
	}
	published := value[string](t, db, "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_publication_tables")
	if published != "good indexed" {
		t.Errorf("published: %s", published)
	}
	run(t, db, "UPDATE bare SET id = 1", "DELETE FROM nothing", "UPDATE mixed SET id = 1") // nobody's statements fail
	// What stops being capturable is published no more.
	run(t, db, "ALTER TABLE good REPLICA IDENTITY NOTHING", "ALTER TABLE indexed REPLICA IDENTITY NOTHING")
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	if n := value[int](t, db, "SELECT count(*) FROM pg_publication_tables"); n != 0 {
		t.Errorf("%d tables are still published", n)
	}
	run(t, db, "UPDATE good SET id = 1")
}

// What the server or the account lacks is said, by the check and by Capture, before
// anything is made.
func TestCaptureLacks(t *testing.T) {
	plain := servers.Postgres(t)
	run(t, handle(t, plain), "CREATE TABLE x (id int PRIMARY KEY)")
	m := newMirror(t, plain, "x")
	fails(t, m.sync(), driver.ErrUnsupported, "wal_level", "logical")
	said := func(src *source) string {
		t.Helper()
		steps, err := src.CheckSteps(t.Context())
		at := slices.IndexFunc(steps, func(s driver.Step) bool { return s.Name == "changes" })
		if err != nil || at < 0 || steps[at].Err != nil {
			t.Fatalf("%v, %v", steps, err)
		}
		return steps[at].Message
	}
	if text := said(m.src); !strings.Contains(text, "wal_level") || !strings.Contains(text, "max_wal_senders") {
		t.Errorf("%s", text)
	}

	server := servers.PostgresWith(t, "wal_level=logical", "max_wal_senders=2", "max_replication_slots=1")
	db := handle(t, server)
	run(t, db, "CREATE TABLE x (id int PRIMARY KEY); CREATE TABLE bare (id int)", "CREATE ROLE poor LOGIN PASSWORD 'poor-7391'; GRANT SELECT ON x, bare TO poor", "CREATE ROLE owner LOGIN PASSWORD 'owner-7391' REPLICATION; GRANT SELECT ON x, bare TO owner")
	as := func(name string) *source {
		return openWith(t, server, func(s *session.Settings) { s.Username, s.Password = name, name+"-7391" })
	}
	if text := said(openWith(t, server, func(*session.Settings) {})); !strings.Contains(text, "ready for mode cdc") || !strings.Contains(text, "public.bare") {
		t.Errorf("%s", text)
	}
	text := said(as("poor"))
	for _, want := range []string{"REPLICATION", "CREATE ON DATABASE", "own"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s, want %s in it", text, want)
		}
	}
	run(t, db, "CREATE TABLE theirs (id int PRIMARY KEY); ALTER TABLE theirs OWNER TO owner")
	fails(t, mirrorOf(t, as("owner"), "theirs").sync(), driver.ErrPermission, "CREATE ON DATABASE")
	run(t, db, "GRANT CREATE ON DATABASE headwater TO poor, owner", "CREATE PUBLICATION kept FOR TABLE x")
	poor := mirrorOf(t, openWith(t, server, func(s *session.Settings) { s.Username, s.Password, s.Publication = "poor", "poor-7391", "kept" }), "x")
	fails(t, poor.sync(), driver.ErrPermission, "REPLICATION")
	owner := mirrorOf(t, as("owner"), "x")
	if err := owner.sync(); err != nil {
		t.Fatal(err)
	}
	fails(t, owner.refused["x"], driver.ErrPermission, "own")
	m = newMirror(t, server, "x")
	run(t, db, "SELECT pg_create_physical_replication_slot('other')")
	fails(t, m.sync(), driver.ErrUnreachable, "max_replication_slots")
	if text := said(m.src); !strings.Contains(text, "max_replication_slots") {
		t.Errorf("%s", text)
	}
	run(t, db, "SELECT pg_drop_replication_slot('other')")
	m.synced()
}

// hugeRows are changes of one transaction.
const hugeRows = 200_000

// The server is answered while the consumer lands for long, and one transaction of many
// rows comes in batches.
func TestCaptureSlowConsumer(t *testing.T) {
	server := servers.PostgresWith(t, append(slices.Clone(logical), "wal_sender_timeout=1200ms")...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE slow (id int PRIMARY KEY, v text)")
	m := newMirror(t, server, "slow")
	m.synced()
	run(t, db, "INSERT INTO slow SELECT g, repeat(md5(g::text), 8) FROM generate_series(1, "+fmt.Sprint(hugeRows)+") g")
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	rows, most, heap := 0, 0, uint64(0)
	for c, err := range log.Changes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Record != nil {
			if rows == 0 {
				time.Sleep(3600 * time.Millisecond) // three times what the server allows
			}
			rows, most = rows+len(c.Ops), max(most, len(c.Ops))
			c.Record.Release()
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			heap = max(heap, now.HeapAlloc)
		}
		if c.Resume != "" {
			if rows != hugeRows {
				t.Errorf("a place to resume after %d rows", rows)
			}
			time.Sleep(1800 * time.Millisecond)
			if err := log.Confirm(t.Context(), c.Resume); err != nil {
				t.Fatal(err)
			}
			m.landed = c.Resume
		}
	}
	time.Sleep(1800 * time.Millisecond) // and when everything was read
	if err := log.Confirm(t.Context(), m.landed); err != nil {
		t.Error(err)
	}
	log.Close()
	if heap > 128<<20 {
		t.Errorf("%d MiB of memory", heap>>20)
	}
	if rows != hugeRows || most > capture.ChangeRows {
		t.Errorf("%d rows, %d at most in a batch", rows, most)
	}
	if at := value[string](t, db, "SELECT confirmed_flush_lsn::text FROM pg_replication_slots"); at != m.landed {
		t.Errorf("confirmed %s, want %s", at, m.landed)
	}
}
