package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/capture"
	"headwater/connectors/postgres/session"
)

// givenTo makes an account that owns nothing, and returns what opens a mirror with it by a
// publication that it may not alter.
func givenTo(t *testing.T, server *servers.Server, db *sql.DB) func(publication string, tables ...string) *mirror {
	t.Helper()
	run(t, db, "CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain-7391'; GRANT pg_read_all_data TO plain")
	return func(publication string, tables ...string) *mirror {
		return mirrorOf(t, openWith(t, server, func(s *session.Settings) {
			s.Username, s.Password, s.Publication = "plain", "plain-7391", publication
		}), tables...)
	}
}

// With a publication that people keep, what the log does not tell is found as well.
func TestCaptureUnseenOfAGivenPublication(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *servers.Server) {
		db := handle(t, server)
		given := givenTo(t, server, db)
		for i, u := range unseen {
			t.Run(u.name, func(t *testing.T) {
				name := fmt.Sprintf("given_%d", i)
				u.of(t, db, name, func(table string) *mirror {
					run(t, db, "CREATE PUBLICATION "+name+"_kept FOR TABLE "+table+" WITH (publish_via_partition_root = true)")
					return given(name+"_kept", table)
				})
			})
		}
		if n := value[int](t, db, "SELECT count(*) FROM pg_largeobject_metadata"); n != 0 {
			t.Errorf("%d large objects are left", n)
		}
	})
}

// A publication that people keep is compared with what it was: what was altered and put right
// again between two syncs may have left changes out.
func TestCaptureAGivenPublicationIsAltered(t *testing.T) {
	for _, c := range []struct {
		name, setup, of, do string
		from                int // the first server's version that has it
		read                bool
	}{
		{"a table is taken out and put in again", "CREATE TABLE @ (id int PRIMARY KEY)", "FOR TABLE @", "ALTER PUBLICATION @_kept DROP TABLE @; INSERT INTO @ VALUES (1); ALTER PUBLICATION @_kept ADD TABLE @", 14, true},
		{"rows are left out for a time", "CREATE TABLE @ (id int PRIMARY KEY)", "FOR TABLE @", "ALTER PUBLICATION @_kept SET TABLE @ WHERE (id > 5); INSERT INTO @ VALUES (1); ALTER PUBLICATION @_kept SET TABLE @", 15, true},
		{"inserts are left out for a time", "CREATE TABLE @ (id int PRIMARY KEY)", "FOR TABLE @", "ALTER PUBLICATION @_kept SET (publish = 'update'); INSERT INTO @ VALUES (1); ALTER PUBLICATION @_kept SET (publish = 'insert, update, delete, truncate')", 14, true},
		{"another table is put in", "CREATE TABLE @ (id int PRIMARY KEY); CREATE TABLE @_too (id int PRIMARY KEY)", "FOR TABLE @", "ALTER PUBLICATION @_kept ADD TABLE @_too; INSERT INTO @ VALUES (1)", 14, false},
		{"a table of all is unlogged for a time", "CREATE TABLE @ (id int PRIMARY KEY)", "FOR ALL TABLES", "ALTER TABLE @ SET UNLOGGED; INSERT INTO @ VALUES (1); ALTER TABLE @ SET LOGGED", 14, true},
		{"a table of all is emptied, and unlogged for a time", "CREATE TABLE @ (id int PRIMARY KEY); INSERT INTO @ VALUES (1)", "FOR ALL TABLES", "DO $$BEGIN TRUNCATE @;ALTER TABLE @ SET UNLOGGED;INSERT INTO @ VALUES (2);ALTER TABLE @ SET LOGGED;END$$", 14, true},
		{"a table of all is written anew as it was", "CREATE TABLE @ (id int PRIMARY KEY); INSERT INTO @ VALUES (1)", "FOR ALL TABLES", "INSERT INTO @ VALUES (2); VACUUM FULL @; INSERT INTO @ VALUES (3)", 14, false},
		{"a table of all is a partition for a time", "CREATE TABLE @ (id int PRIMARY KEY)", "FOR ALL TABLES WITH (publish_via_partition_root = true)", "CREATE TABLE @_top (id int PRIMARY KEY) PARTITION BY RANGE (id); ALTER TABLE @_top ATTACH PARTITION @ FOR VALUES FROM (0) TO (10); INSERT INTO @_top VALUES (1); ALTER TABLE @_top DETACH PARTITION @", 14, true},
		{"a table goes to another schema and back", "CREATE SCHEMA @_s; CREATE TABLE @_s.@ (id int PRIMARY KEY)", "FOR TABLES IN SCHEMA @_s", "ALTER TABLE @_s.@ SET SCHEMA public; INSERT INTO @ VALUES (1); ALTER TABLE @ SET SCHEMA @_s", 15, true},
		{"a table of a schema is unlogged for a time", "CREATE SCHEMA @_s; CREATE TABLE @_s.@ (id int PRIMARY KEY)", "FOR TABLES IN SCHEMA @_s", "ALTER TABLE @_s.@ SET UNLOGGED; INSERT INTO @_s.@ VALUES (1); ALTER TABLE @_s.@ SET LOGGED", 15, true},
		{"a table of a schema gets a grant", "CREATE SCHEMA @_s; CREATE TABLE @_s.@ (id int PRIMARY KEY)", "FOR TABLES IN SCHEMA @_s", "GRANT INSERT ON @_s.@ TO plain; INSERT INTO @_s.@ VALUES (1)", 15, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, server *servers.Server) {
				db := handle(t, server)
				if value[int](t, db, "SELECT current_setting('server_version_num')::int") < c.from*10000 {
					t.Skip("this server has no such publication")
				}
				given := givenTo(t, server, db)
				each := func(statements string) {
					for s := range strings.SplitSeq(strings.ReplaceAll(statements, "@", "altered"), "; ") {
						run(t, db, s)
					}
				}
				each(c.setup)
				each("CREATE PUBLICATION @_kept " + c.of)
				m := given("altered_kept", "altered")
				m.synced()
				each(c.do)
				if err := m.sync(); err != nil {
					t.Fatal(err)
				}
				if why := m.refused["altered"]; errors.Is(why, driver.ErrReplaced) != c.read {
					t.Errorf("refused: %v", why)
				}
				if c.read {
					m.tables["altered"].after = ""
					m.synced()
				}
				m.same()
				m.synced()
			})
		})
	}
}

// While somebody reads, too: each look compares, and a partition is noted when it comes.
func TestCaptureAGivenPublicationIsLookedAt(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	given := givenTo(t, server, db)
	run(t, db, "CREATE TABLE looked (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE looked_1 PARTITION OF looked FOR VALUES FROM (0) TO (10)", "INSERT INTO looked VALUES (1)",
		"CREATE PUBLICATION looked_kept FOR TABLE looked WITH (publish_via_partition_root = true)")
	m := given("looked_kept", "looked")
	m.synced()
	for _, by := range []struct{ do, says string }{
		{"TRUNCATE looked_1", "looked_1 was truncated alone"}, {"ALTER TABLE looked DETACH PARTITION looked_1", "a partition of it was detached"},
		{"ALTER PUBLICATION looked_kept DROP TABLE looked", "ADD TABLE"}, {"DROP PUBLICATION looked_kept", "no such publication"},
	} {
		m.change = func(c *driver.Capture) { c.Continuous = true }
		log, err := m.capture(t.Context())
		if err != nil || len(m.refused) > 0 {
			t.Fatal(err, m.refused)
		}
		run(t, db, "CREATE TABLE looked_2 (LIKE looked INCLUDING ALL)", "ALTER TABLE looked ATTACH PARTITION looked_2 FOR VALUES FROM (10) TO (20)")
		if err := capture.Altered(t.Context(), log); err != nil {
			t.Errorf("before %s: %v", by.do, err)
		}
		run(t, db, "INSERT INTO looked VALUES (11), (2)") // without the look before, nobody knew that looked_2 was empty
		if err := capture.Altered(t.Context(), log); err != nil {
			t.Errorf("before %s: %v", by.do, err)
		}
		run(t, db, by.do)
		capture.SetIdle(log, 100*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		fails(t, m.follow(ctx, log, nil), driver.ErrRetyped, "altered", by.says)
		cancel()
		log.Close()
		m.change = nil
		run(t, db, "DROP TABLE looked_2; DROP TABLE IF EXISTS looked_1", "DELETE FROM looked", "CREATE TABLE looked_1 PARTITION OF looked FOR VALUES FROM (0) TO (10)", "INSERT INTO looked VALUES (1)")
		if by.says == "no such publication" {
			fails(t, m.sync(), driver.ErrInvalidConfig, "no such publication")
			return
		}
		if by.says == "ADD TABLE" {
			if err := m.sync(); err != nil {
				t.Fatal(err)
			}
			fails(t, m.refused["looked"], driver.ErrNotFound, "ADD TABLE")
			run(t, db, "ALTER PUBLICATION looked_kept ADD TABLE looked")
		}
		m.tables["looked"].after = ""
		m.synced()
	}
}

// A note that was removed, or never made, has the tables read whole; where none can be made,
// each sync says what it does not notice.
func TestCaptureANoteIsGone(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	given := givenTo(t, server, db)
	run(t, db, "CREATE TABLE gone (id int PRIMARY KEY)", "CREATE PUBLICATION gone_kept FOR TABLE gone")
	m := given("gone_kept", "gone")
	m.synced()
	run(t, db, "SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	fails(t, m.refused["gone"], driver.ErrReplaced, "vacuumlo")
	m.tables["gone"].after = ""
	m.synced()
	// Another account goes on with what the one before noted, also if the clock was ahead then.
	run(t, db, `DO $$ BEGIN EXECUTE (SELECT format('COMMENT ON LARGE OBJECT %s IS %L', objoid, regexp_replace(description, '"written":1', '"written":9')) FROM pg_description WHERE classoid = 'pg_largeobject'::regclass); END $$`)
	run(t, db, "CREATE ROLE other LOGIN REPLICATION PASSWORD 'other-7391'; GRANT pg_read_all_data TO other", "INSERT INTO gone VALUES (1)")
	m.src = openWith(t, server, func(s *session.Settings) { s.Username, s.Password, s.Publication = "other", "other-7391", "gone_kept" })
	m.synced()
	run(t, db, "ALTER PUBLICATION gone_kept DROP TABLE gone", "ALTER PUBLICATION gone_kept ADD TABLE gone")
	if err := m.sync(); err != nil {
		t.Fatal(err)
	}
	fails(t, m.refused["gone"], driver.ErrReplaced, "by hand")
	m.tables["gone"].after = ""
	m.synced()
	m.synced()
	// What was noted on a history that the server has left keeps nobody from beginning anew.
	run(t, db, `DO $$ BEGIN EXECUTE (SELECT string_agg(format('COMMENT ON LARGE OBJECT %s IS %L', objoid, replace(description, '"timeline":1', '"timeline":7')), '; ') FROM pg_description WHERE classoid = 'pg_largeobject'::regclass); END $$`)
	fails(t, m.sync(), driver.ErrReplaced, "history")
	m.tables, m.landed = map[string]*mirrored{}, ""
	m.synced()
	m.notes = nil
	run(t, db, "REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC", "INSERT INTO gone VALUES (2)")
	m.synced()
	if len(m.notes) != 2 || !strings.Contains(m.notes[0], " of plain.") || !strings.Contains(m.notes[1], "is not noticed") || !strings.Contains(m.notes[1], "GRANT EXECUTE") {
		t.Errorf("notes %q", m.notes)
	}
	m.notes = nil
	run(t, db, "SELECT lo_unlink(oid) FROM pg_largeobject_metadata", "INSERT INTO gone VALUES (3)")
	m.synced()
	if len(m.notes) != 1 || !strings.Contains(m.notes[0], "is not noticed") {
		t.Errorf("notes %q", m.notes)
	}
}

// The note names the service, too: another one does not take its slot, nor remove it.
func TestCaptureAGivenPublicationForAnother(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	given := givenTo(t, server, db)
	run(t, db, "CREATE TABLE owned (id int PRIMARY KEY)", "CREATE PUBLICATION owned_kept FOR TABLE owned")
	of := func(owner string) *mirror {
		m := given("owned_kept", "owned")
		m.change = func(c *driver.Capture) { c.Owner = owner }
		return m
	}
	ours := of("we")
	ours.synced()
	fails(t, of("they").sync(), driver.ErrInvalidConfig, "another Headwater's")
	if err := ours.src.Release(t.Context(), ours.reader(), "they"); err != nil {
		t.Error(err)
	}
	run(t, db, "INSERT INTO owned VALUES (1)")
	ours.synced()
	if err := ours.src.Release(t.Context(), ours.reader(), "we"); err != nil {
		t.Error(err)
	}
	if n := value[int](t, db, "SELECT count(*) FROM pg_largeobject_metadata"); n != 0 {
		t.Errorf("%d large objects are left", n)
	}
}
