package capture_test

import (
	"testing"

	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
)

// An account that may write no message reads to the end, too. What was committed without
// waiting for the disk is not there yet when the reading begins, and the log that is read
// is the one on the disk.
func TestCaptureCommittedBeforeTheDisk(t *testing.T) {
	server := servers.PostgresWith(t, append([]string{"wal_writer_delay=2s"}, logical...)...)
	db := handle(t, server)
	run(t, db, "CREATE TABLE soon (id int PRIMARY KEY)", "CREATE PUBLICATION soon_kept FOR TABLE soon", "CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain-7391'", "GRANT SELECT ON soon TO plain",
		"REVOKE EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text), pg_logical_emit_message(boolean, text, bytea) FROM PUBLIC")
	m := mirrorOf(t, openWith(t, server, func(s *session.Settings) {
		s.Username, s.Password, s.Publication = "plain", "plain-7391", "soon_kept"
	}), "soon")
	m.synced()
	for range 3 {
		run(t, db, "SET synchronous_commit = off; INSERT INTO soon SELECT count(*) FROM soon")
		m.synced()
	}
}
