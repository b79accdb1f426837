package capture

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// ours is the application_name of our sessions.
const ours = "headwater"

// How long a Capture waits for a slot that another reader of ours still has, and how often it
// looks: the server takes a while to notice that a reader was killed.
const (
	slotLimit = 15 * time.Second
	slotPause = 100 * time.Millisecond
	// A Release has told the reader to end. It says who does not while its caller still listens.
	endLimit = 5 * time.Second
)

// free waits until nobody reads the slot, at most limit, and returns it, nil if there is none.
// ErrUnreachable names a reader that is not ours.
func (l *changeLog) free(ctx context.Context, limit time.Duration) (*slotRow, error) {
	for began := time.Now(); ; {
		s, err := l.control.slot(ctx, l.slot)
		if err != nil || s == nil || s.activePID == 0 {
			return s, err
		}
		// A reader that no list of sessions has is about to end.
		if s.isOurs() && time.Since(began) > limit {
			return nil, driver.E(driver.ErrUnreachable, nil, "another Headwater reads the slot %s (process %d of the server%s): two services follow sources of the same name in this database. Give the source another name in one of them, or stop that service", l.slot, s.activePID, s.activeFrom)
		}
		if s.activeBy != "" && !s.isOurs() || time.Since(began) > limit {
			return nil, driver.E(driver.ErrUnreachable, nil, "another reader has the slot %s: process %d of the server, application %s. One slot has one reader: stop that program, or give it a slot of its own", l.slot, s.activePID, orUnknown(s.activeBy))
		}
		select {
		case <-ctx.Done():
			return nil, driver.E(driver.ErrTimeout, context.Cause(ctx), "stopped")
		case <-time.After(slotPause):
		}
	}
}

// isOurs reports whether a session of ours reads the slot.
func (s *slotRow) isOurs() bool {
	return s.activeBy == ours || strings.HasPrefix(s.activeBy, ours+" of ")
}

func orUnknown(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}

// checkContinues fails with ErrReplaced if the slot does not have everything behind a
// position.
func (l *changeLog) checkContinues(s *slotRow, landed pglogrepl.LSN) error {
	replaced := func(format string, args ...any) error {
		return driver.E(driver.ErrReplaced, nil, "%s: %s", fmt.Sprintf(format, args...), sqldb.ReadAnew)
	}
	switch {
	case s == nil:
		return replaced("the slot %s is not there any more: it was dropped, or the server is another one, as after a failover that did not take slots along", l.slot)
	case !s.logical || s.plugin != plugin:
		return replaced("the slot %s was made anew by somebody else: its plug-in is %q, not %s", l.slot, s.plugin, plugin)
	case s.database != l.source.pool.Settings.Database:
		return replaced("the slot %s was made anew by somebody else: it belongs to database %q", l.slot, s.database)
	case s.invalid != "":
		return replaced("the server has invalidated the slot %s (%s)%s", l.slot, s.invalid, invalidAdvice[s.invalid])
	case s.state == "lost":
		return replaced("the server has given up the log that it kept for the slot %s, as it was longer than max_slot_wal_keep_size (or, on a standby, in the way of its primary's changes): raise that setting, or sync more often", l.slot)
	case s.confirmed > landed:
		return replaced("the slot %s stands at %s, behind which nothing before %s is kept, but only what is before %s has landed: somebody else has moved it or made it anew, as pg_upgrade does, or another Headwater that follows a source of the same name (give one of them another name)", l.slot, s.confirmed, s.confirmed, landed)
	case s.end != 0 && s.end < landed:
		return replaced("the server's log ends at %s, before %s, which has landed: the server was restored or failed over to one that had not got everything", s.end, landed)
	}
	return nil
}

// checkTimeline fails with ErrReplaced if what landed is not in the server's history: it
// failed over to a server that had not received all of it.
func (l *changeLog) checkTimeline(ctx context.Context, was int64, landed pglogrepl.LSN) error {
	if was == 0 || l.facts.timeline == was || l.facts.timeline == 0 {
		return nil
	}
	c, err := l.source.replicate(ctx, l.server)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Idle = false
	history, err := pglogrepl.TimelineHistory(ctx, c.PG, int32(l.facts.timeline))
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Code == "58P01" { // a first timeline has none, as behind pg_upgrade
		err = nil
	}
	if err != nil {
		return session.Classify(ctx, err, "the history of the server's timeline")
	}
	for line := range strings.Lines(string(history.Content)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != strconv.FormatInt(was, 10) {
			continue
		}
		if left := lsnOf([]byte(f[1])); left >= landed {
			return nil
		}
	}
	return driver.E(driver.ErrReplaced, nil, "the server has left the history on which %s had landed: it was restored, or failed over to one that had not got everything: %s", landed, sqldb.ReadAnew)
}

const plugin = "pgoutput"

// invalidAdvice says what to do about the reasons for which servers invalidate slots.
var invalidAdvice = map[string]string{
	"wal_removed":            ", as it kept more than max_slot_wal_keep_size: raise that setting, or sync more often",
	"idle_timeout":           ", as nobody read it for idle_replication_slot_timeout: raise that setting, or sync more often",
	"rows_removed":           ", as rows of the catalog that it needed were removed: set hot_standby_feedback on the standby",
	"wal_level_insufficient": ", as wal_level was lowered: set it to logical",
}

// create makes the slot, or a temporary one that ends with the session. It returns where
// the slot begins and the name of the snapshot of that moment, which lasts until the
// session's next statement. The server waits for every transaction that is under way.
func (l *changeLog) create(ctx context.Context, c *session.Session, name string, temporary bool) (at pglogrepl.LSN, snapshot string, err error) {
	sql := "CREATE_REPLICATION_SLOT " + session.Quote(name)
	if temporary {
		sql += " TEMPORARY"
	}
	sql += " LOGICAL " + plugin
	switch {
	case c.Version() >= 17 && !temporary && !l.facts.standby:
		sql += " (SNAPSHOT 'export', FAILOVER)" // without FAILOVER a failover loses the slot
	case c.Version() >= 15:
		sql += " (SNAPSHOT 'export')"
	default:
		sql += " EXPORT_SNAPSHOT"
	}
	c.Idle = false
	made, err := pglogrepl.ParseCreateReplicationSlot(c.PG.Exec(ctx, sql))
	if err != nil {
		return 0, "", l.createError(ctx, err)
	}
	if at, err = pglogrepl.ParseLSN(made.ConsistentPoint); err != nil || made.SnapshotName == "" {
		return 0, "", driver.E(driver.ErrUnsupported, err, "the server has made a slot without a snapshot of its moment")
	}
	return at, made.SnapshotName, nil
}

func (l *changeLog) createError(ctx context.Context, err error) error {
	var server *pgconn.PgError
	switch {
	case ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "a slot begins when every transaction that was under way has ended%s", l.holding())
	case !errors.As(err, &server):
	case server.Code == "53400":
		return driver.E(driver.ErrUnreachable, nil, "the server has no replication slot left (%s): drop one that is not used, or raise max_replication_slots", server.Message)
	case server.Code == "42501":
		return replicationError(driver.E(driver.ErrPermission, nil, "replication role: %s", server.Message))
	}
	return session.Classify(ctx, err, "making the replication slot")
}

// holding says, for people, which transactions keep a slot from beginning.
func (l *changeLog) holding() string {
	ctx, cancel := context.WithTimeout(context.Background(), session.CloseLimit) // the context of the call may have ended
	defer cancel()
	who := ""
	_ = l.control.ask(ctx, `
SELECT who FROM (
  SELECT xact_start AS since, format(': process %s, application %s, has one open since %s', pid, application_name, date_trunc('second', xact_start)) AS who FROM pg_stat_activity WHERE xact_start IS NOT NULL AND backend_xid IS NOT NULL
  UNION ALL SELECT prepared, format(': one of database %s is prepared since %s, and waits for COMMIT PREPARED %L or ROLLBACK PREPARED %L', database, date_trunc('second', prepared), gid, gid) FROM pg_prepared_xacts) AS open
ORDER BY since LIMIT 1`, func(_ int, row [][]byte) error {
		who = string(row[0])
		return nil
	})
	if l.facts.standby {
		who += "; on a standby it also waits for its primary to say which they are, where SELECT pg_log_standby_snapshot() helps if it is idle"
	}
	return who
}

// drop drops the slot, which nobody reads.
func (l *changeLog) drop(ctx context.Context) error {
	return l.control.do(ctx, fmt.Sprintf("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", session.Literal(l.slot)))
}

// checkOwn returns an error if a slot of the reader's name is none of this database:
// slots belong to the whole server, and another source may use the same name.
func (l *changeLog) checkOwn(s *slotRow) error {
	if l.source.made(s) {
		return nil
	}
	return driver.E(driver.ErrInvalidConfig, nil, "the server has a slot %s already, of database %q: another source follows that one, or did. If nobody reads it any more, SELECT pg_drop_replication_slot('%s') there; else give this source another name", l.slot, s.database, l.slot)
}

// checkOwner returns an error if the slot, which is to be made anew, is that of another
// service, as the note beside its publication says.
func (l *changeLog) checkOwner(ctx context.Context) error {
	if l.capture.Owner == "" {
		return nil
	}
	s, err := l.control.slot(ctx, l.slot)
	if err != nil || s == nil || !l.source.made(s) {
		return err
	}
	p, err := l.noted(ctx)
	if err != nil || p == nil || p.note.Owner == "" || p.note.Owner == l.capture.Owner {
		return err
	}
	reads := "nobody reads it now"
	if s.activePID != 0 {
		reads = fmt.Sprintf("process %d of the server reads it%s", s.activePID, s.activeFrom)
	}
	return driver.E(driver.ErrInvalidConfig, nil, "the slot %[1]s is another Headwater's, which follows a source of the same name in this database (%[2]s): connect this source under another name. If the other is gone for good, SELECT pg_drop_replication_slot('%[1]s')", l.slot, reads)
}

// made reports whether a slot can be one that a Capture of this database made.
func (s *Capturer) made(found *slotRow) bool {
	return found.logical && found.database == s.pool.Settings.Database
}

// Holds reports whether the reader's slot is there, of this database.
func (s *Capturer) Holds(ctx context.Context, reader string) (bool, error) {
	k := &control{pool: s.pool}
	defer k.close()
	found, err := k.slot(ctx, reader)
	return found != nil && s.made(found), err
}

// Release ends a session of ours that reads the slot, and drops the slot and the
// publication of a reader. It is not an error if they do not exist, or if the slot of
// that name is another database's, or another service's as the note beside its publication
// says: those stay.
func (s *Capturer) Release(ctx context.Context, reader, owner string) error {
	l := &changeLog{source: s, slot: reader, publication: reader, control: &control{pool: s.pool}}
	defer l.control.close()
	found, err := l.control.slot(ctx, reader)
	if err != nil {
		return err
	}
	if owner != "" {
		objects, err := l.control.objects(ctx, reader)
		note := newestOf(objects).note
		if !l.given() && err == nil {
			var p *publication
			if p, err = l.control.publication(ctx, reader); p != nil {
				note = p.note
			}
		}
		if err != nil || note.Owner != "" && note.Owner != owner {
			return err
		}
	}
	if found != nil && s.made(found) {
		if found.activePID != 0 && found.isOurs() {
			if err := l.control.do(ctx, fmt.Sprintf("SELECT pg_terminate_backend(%d)", found.activePID)); err != nil {
				return err
			}
		}
		if _, err := l.free(ctx, endLimit); err != nil {
			return err
		}
		if err := l.drop(ctx); err != nil {
			return err
		}
	}
	if err := l.control.forget(ctx, reader); err != nil {
		return err
	}
	gone := true
	err = l.control.ask(ctx, "SELECT FROM pg_publication WHERE NOT pg_is_in_recovery() AND pubname = "+session.Literal(reader), func(int, [][]byte) error {
		gone = false
		return nil
	})
	if err != nil || gone {
		return err
	}
	return l.control.do(ctx, "DROP PUBLICATION IF EXISTS "+session.Quote(reader))
}
