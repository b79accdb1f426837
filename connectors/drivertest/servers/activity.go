package servers

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// activityLimit bounds the questions: a server that does not answer says enough.
const activityLimit = 5 * time.Second

// PostgresActivity returns what a PostgreSQL says it is at, for a test that waits too
// long: its sessions with whom they wait for, replication connections, slots and the
// locks that somebody waits for. Where it does not answer, it says so.
func (s *Server) PostgresActivity() string {
	var all strings.Builder
	ctx, cancel := context.WithTimeout(context.Background(), activityLimit) // asked when a test's own may be over
	defer cancel()
	db, err := s.OpenPostgres()
	if err != nil {
		return fmt.Sprintln("the server:", err)
	}
	defer db.Close()
	for _, q := range []struct{ what, sql string }{
		{"sessions", `SELECT format('%s %s %s %s/%s state=%s xact=%s xid=%s waits for %s: %s', pid, backend_type, application_name, wait_event_type, wait_event, state, age(clock_timestamp(), xact_start), backend_xid, pg_blocking_pids(pid), left(regexp_replace(query, '\\s+', ' ', 'g'), 200)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() ORDER BY pid`},
		{"replication", `SELECT to_jsonb(r)::text FROM pg_stat_replication r`},
		{"slots", `SELECT to_jsonb(s)::text || ' end=' || pg_current_wal_lsn() FROM pg_replication_slots s`},
		{"locks that are waited for", `SELECT to_jsonb(l)::text FROM pg_locks l WHERE l.relation IN (SELECT relation FROM pg_locks WHERE NOT granted) OR NOT granted`},
	} {
		rows, err := db.QueryContext(ctx, q.sql)
		if err != nil {
			fmt.Fprintf(&all, "%s: %v\n", q.what, err)
			continue
		}
		fmt.Fprintf(&all, "%s:\n", q.what)
		for rows.Next() {
			var text string
			if err = rows.Scan(&text); err == nil {
				fmt.Fprintf(&all, "  %s\n", text)
			}
		}
		if err := rows.Err(); err != nil {
			fmt.Fprintf(&all, "  %v\n", err)
		}
		_ = rows.Close()
	}
	return all.String()
}
