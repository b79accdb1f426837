package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
)

// A time of the server, here that of another server which wrote the transaction first, says
// nothing of ours: a place to resume is never of a time to come.
func familyOtherClock(t *testing.T, server *servers.Server, db *sql.DB) {
	run(t, db, "CREATE TABLE clocked (id int PRIMARY KEY)", "SELECT pg_replication_origin_create('elsewhere')")
	defer run(t, db, "SELECT pg_replication_origin_drop('elsewhere')")
	m := newMirror(t, server, "clocked")
	m.synced()
	for n, at := range []string{"now()", "now() + interval '1 hour'", "now() - interval '1 hour'"} {
		run(t, db, fmt.Sprintf("SELECT pg_replication_origin_session_setup('elsewhere'); BEGIN; SELECT pg_replication_origin_xact_setup('0/%d', %s); INSERT INTO clocked VALUES (%d); COMMIT; SELECT pg_replication_origin_session_reset()", n+1, at, n))
		log, err := m.capture(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var last driver.Changes
		if err := errors.Join(m.follow(t.Context(), tapped{log, &last}, nil), log.Close()); err != nil {
			t.Error(err)
		}
		since := time.Since(last.Committed).Round(time.Minute)
		if late := time.Since(last.Fresh); late < 0 || late > 10*time.Second || since != []time.Duration{0, -time.Hour, time.Hour}[n] {
			t.Errorf("%s: committed %s, complete until %s", at, last.Committed, last.Fresh)
		}
	}
}

// tapped keeps the last place to resume that has a time.
type tapped struct {
	driver.Log
	last *driver.Changes
}

func (l tapped) Changes(ctx context.Context) iter.Seq2[driver.Changes, error] {
	return func(yield func(driver.Changes, error) bool) {
		for c, err := range l.Log.Changes(ctx) {
			if c.Resume != "" && !c.Committed.IsZero() {
				*l.last = c
			}
			if !yield(c, err) {
				return
			}
		}
	}
}
