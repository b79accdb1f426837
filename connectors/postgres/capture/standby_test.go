package capture_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/capture"
	"headwater/connectors/postgres/session"
)

// A standby gives its log from PostgreSQL 16 on, by a publication of its primary.
func TestCaptureStandby(t *testing.T) {
	eachProgram(t, func(t *testing.T, folder string) {
		primary := servers.PostgresOf(t, folder, append(logical, "max_prepared_transactions=4")...)
		db := handle(t, primary)
		if value[int](t, db, "SELECT current_setting('server_version_num')::int") < 160000 {
			t.Skip("from 16 on")
		}
		run(t, db, "CREATE TABLE far (id int PRIMARY KEY, v text); INSERT INTO far VALUES (1, 'a')", "CREATE PUBLICATION kept FOR TABLE far WITH (publish_via_partition_root = true)")
		account := odd(t, db) // serializable transactions, as its settings have them, are not to be had on a standby
		standby := servers.StandbyOf(t, folder, primary)
		replica := handle(t, standby)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { // a slot of a standby begins when its primary says what is under way
			for ctx.Err() == nil {
				_, _ = db.ExecContext(ctx, "SELECT pg_log_standby_snapshot()")
				time.Sleep(200 * time.Millisecond)
			}
		}()
		ours := newMirror(t, standby, "far")
		fails(t, ours.sync(), driver.ErrUnsupported, "publication", "primary")
		m := mirrorOf(t, openWith(t, standby, func(s *session.Settings) {
			account(s)
			s.Publication = "kept"
		}), "far")
		m.synced()
		if !slices.ContainsFunc(m.notes, func(n string) bool { return strings.Contains(n, "is not noticed") && strings.Contains(n, "standby") }) {
			t.Errorf("notes %q", m.notes)
		}
		run(t, db, "INSERT INTO far VALUES (2, 'b')", "UPDATE far SET v = 'c' WHERE id = 1", "SELECT pg_switch_wal()")
		end := value[string](t, db, "SELECT pg_current_wal_lsn()::text")
		servers.Await(t, replica, "SELECT pg_last_wal_replay_lsn() >= '"+end+"'::pg_lsn")
		m.synced()
		there, err := capture.HasSlot(t.Context(), poolOf(t, m.src.settings), m.reader())
		if err != nil || !there {
			t.Errorf("%v, %v", there, err)
		}
		if err := m.another().Release(t.Context(), m.reader(), ""); err != nil {
			t.Error(err)
		}
	})
}

// After a failover the log goes on if the new server had everything that has landed, and
// is refused if it has not.
func TestCaptureFailover(t *testing.T) {
	eachProgram(t, func(t *testing.T, folder string) {
		primary := servers.PostgresOf(t, folder, append(logical, "max_prepared_transactions=4")...)
		db := handle(t, primary)
		if value[int](t, db, "SELECT current_setting('server_version_num')::int") < 160000 {
			t.Skip("from 16 on")
		}
		run(t, db, "CREATE TABLE over (id int PRIMARY KEY)", "INSERT INTO over VALUES (1)")
		m := newMirror(t, primary, "over")
		m.synced()
		standby := servers.StandbyOf(t, folder, primary)
		replica := handle(t, standby)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for ctx.Err() == nil {
				_, _ = db.ExecContext(ctx, "SELECT pg_log_standby_snapshot()")
				time.Sleep(200 * time.Millisecond)
			}
		}()
		run(t, replica, "SELECT pg_create_logical_replication_slot('headwater_over', 'pgoutput')") // as slots that are taken along
		cancel()
		run(t, db, "INSERT INTO over VALUES (2)")
		m.synced()
		servers.Await(t, replica, "SELECT pg_last_wal_replay_lsn() >= '"+m.landed+"'::pg_lsn")
		before := m.landed
		run(t, replica, "SELECT pg_promote()")
		servers.Await(t, replica, "SELECT NOT pg_is_in_recovery()")

		run(t, db, "INSERT INTO over VALUES (3)") // on the server that is left
		m.synced()
		run(t, replica, "INSERT INTO over VALUES (4)", "CREATE TABLE longer AS SELECT generate_series(1, 50000)", "SELECT pg_switch_wal()", "CHECKPOINT")
		lost, rows := m.landed, map[string][]string{"1": {"1"}, "2": {"2"}}
		m.src = openWith(t, standby, func(*session.Settings) {})
		m.landed = lost
		fails(t, m.sync(), driver.ErrReplaced, "history", "sync_options.reset")
		m.landed, m.tables["over"].rows = before, rows
		m.synced()
		if len(m.tables["over"].rows) != 3 {
			t.Errorf("%q", m.tables["over"].rows)
		}
		run(t, replica, "INSERT INTO over VALUES (5)")
		m.synced()
	})
}
