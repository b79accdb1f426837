package capture_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/capture"
	"headwater/connectors/postgres/session"
)

// A table that has another name or other columns is noticed while nothing changes in it,
// also with a publication that people keep.
func TestCaptureAlteredInSilence(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE silent (id int PRIMARY KEY, v int)", "CREATE PUBLICATION silent_kept FOR TABLE silent")
	for _, publication := range []string{"", "silent_kept"} {
		m := mirrorOf(t, openWith(t, server, func(s *session.Settings) { s.Publication = publication }), "silent")
		m.synced()
		m.change = func(c *driver.Capture) { c.Delay, c.Continuous = time.Hour, true }
		for _, alter := range []string{
			"ALTER TABLE silent ADD c int DEFAULT 7", "ALTER TABLE silent DROP c", "ALTER TABLE silent ALTER v TYPE bigint", "ALTER TABLE silent RENAME v TO w", "ALTER TABLE silent RENAME w TO v",
			"ALTER TABLE silent ALTER v TYPE int", "ALTER TABLE silent RENAME TO silent_old; CREATE TABLE silent (id int PRIMARY KEY, v int); ALTER PUBLICATION silent_kept ADD TABLE silent",
		} {
			log, err := m.capture(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			run(t, db, "ANALYZE silent", "VACUUM FULL silent", "ALTER TABLE silent ALTER id SET STATISTICS 10")
			if err := capture.Altered(t.Context(), log); err != nil {
				t.Errorf("before %s: %v", alter, err)
			}
			run(t, db, alter)
			fails(t, capture.Altered(t.Context(), log), driver.ErrRetyped, "public.silent")
			log.Close()
		}
		run(t, db, "DROP TABLE silent_old")
		if err := m.src.Release(t.Context(), m.reader(), ""); err != nil {
			t.Error(err)
		}
	}
}

// A column that was added after the catalog was read is not left out, even if the
// transaction was committed, as the log has it, before that.
func TestCaptureALaterColumn(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE later (id int PRIMARY KEY, v int)")
	m := newMirror(t, server, "later")
	m.synced()
	log, err := m.capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	capture.SetKnown(log)
	run(t, db, "ALTER TABLE later ADD w int", "INSERT INTO later VALUES (1, 1, 1)")
	fails(t, m.follow(t.Context(), log, nil), driver.ErrRetyped, "public.later", "a column w")
	log.Close()
	m.synced()
	// What was dropped before is no later column.
	run(t, db, "INSERT INTO later VALUES (2, 2, 2)", "ALTER TABLE later DROP w")
	m.synced()
}

// A publication that people keep may leave generated columns out where the server could
// give them: a note says so.
func TestCaptureGeneratedOfAKeptPublication(t *testing.T) {
	eachProgram(t, func(t *testing.T, folder string) {
		server := servers.PostgresOf(t, folder, logical...)
		db := handle(t, server)
		if value[int](t, db, "SELECT current_setting('server_version_num')::int") < 180000 {
			t.Skip("no log has generated columns before PostgreSQL 18")
		}
		run(t, db, "CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)", "CREATE PUBLICATION made_kept FOR TABLE made")
		m := mirrorOf(t, openWith(t, server, func(s *session.Settings) { s.Publication = "made_kept" }), "made")
		if err := m.sync(); err != nil {
			t.Fatal(err)
		}
		run(t, db, "INSERT INTO made VALUES (1)")
		if err := m.sync(); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(m.notes, func(n string) bool {
			return strings.Contains(n, "twice") && strings.Contains(n, "publish_generated_columns = stored")
		}) {
			t.Errorf("%q, notes %q", m.tables["made"].rows, m.notes)
		}
		run(t, db, "ALTER PUBLICATION made_kept SET (publish_generated_columns = stored)", "INSERT INTO made VALUES (2)")
		m.tables["made"].after, m.notes = "", nil
		m.synced()
		run(t, db, "INSERT INTO made VALUES (3)")
		m.synced()
		if len(m.notes) > 0 {
			t.Errorf("notes %q", m.notes)
		}
	})
}
