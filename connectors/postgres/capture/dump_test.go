package capture_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
)

// dumps fails the test unless the owner of the database, who is no superuser, can dump it.
func dumps(t *testing.T, server *servers.Server) {
	t.Helper()
	program, err := exec.LookPath("pg_dump")
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump"); err != nil && len(found) > 0 {
		program, err = found[len(found)-1], nil
	}
	if err != nil {
		t.Skip(err)
	}
	c := exec.CommandContext(t.Context(), program, "-h", server.Host, "-p", strconv.Itoa(server.Port), "-U", "keeper", "-f", os.DevNull, server.Database)
	c.Env = append(os.Environ(), "PGPASSWORD=keeper-7391")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// The note of a given publication is in the way of nobody's backup: neither a new one nor one
// that was made when only its account could read it. What another account left is named.
func TestCaptureANoteIsDumped(t *testing.T) {
	server := servers.PostgresWith(t, logical...)
	db := handle(t, server)
	given := givenTo(t, server, db)
	run(t, db, "CREATE ROLE keeper LOGIN PASSWORD 'keeper-7391'", "ALTER DATABASE "+session.Quote(server.Database)+" OWNER TO keeper", "ALTER SCHEMA public OWNER TO keeper",
		"CREATE TABLE dumped (id int PRIMARY KEY)", "ALTER TABLE dumped OWNER TO keeper", "CREATE PUBLICATION dumped_kept FOR TABLE dumped")
	m := given("dumped_kept", "dumped")
	m.synced()
	dumps(t, server)
	run(t, db, `DO $$ BEGIN EXECUTE (SELECT format('REVOKE ALL ON LARGE OBJECT %s FROM PUBLIC', oid) FROM pg_largeobject_metadata); END $$`)
	m.synced()
	dumps(t, server)
	if len(m.notes) > 0 {
		t.Errorf("notes %q", m.notes)
	}

	left := value[string](t, db, "SELECT oid FROM pg_largeobject_metadata")
	run(t, db, "CREATE ROLE other LOGIN REPLICATION PASSWORD 'other-7391'; GRANT pg_read_all_data TO other")
	m.src = openWith(t, server, func(s *session.Settings) {
		s.Username, s.Password, s.Publication = "other", "other-7391", "dumped_kept"
	})
	m.synced()
	dumps(t, server)
	for range 2 {
		m.notes = nil
		m.synced()
		if len(m.notes) != 1 || !strings.Contains(m.notes[0], left+" of plain.") || !strings.Contains(m.notes[0], "lo_unlink") {
			t.Errorf("notes %q", m.notes)
		}
	}
	if err := m.src.Release(t.Context(), m.reader(), ""); err != nil {
		t.Error(err)
	}
	if oid := value[string](t, db, "SELECT string_agg(oid::text, ' ') FROM pg_largeobject_metadata"); oid != left {
		t.Errorf("the large objects %s are left, want %s", oid, left)
	}
	run(t, db, "SELECT lo_unlink("+left+")")
	m.tables, m.landed, m.notes = map[string]*mirrored{}, "", nil
	m.synced()
	if len(m.notes) > 0 {
		t.Errorf("notes %q", m.notes)
	}
}
