package capture

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/moment"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// control asks the server questions over a session of its own, while the log is streamed
// over another. It is safe for concurrent use.
type control struct {
	pool    *session.Pool
	mu      sync.Mutex
	session *session.Session // nil until the first question, and after the connection was lost
	closed  bool
	clock   sqldb.Clock // the server's
}

// ask runs statements and hands each row to f, as Session.Run does. It connects if there
// is no session.
func (k *control) ask(ctx context.Context, sql string, f func(statement int, row [][]byte) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return driver.E(driver.ErrUnreachable, nil, "the log of changes is closed")
	}
	if k.session != nil && k.session.PG.IsClosed() {
		k.session.Close()
		k.session = nil
	}
	if k.session == nil {
		c, err := k.pool.ConnectFirst(ctx, nil)
		if err != nil {
			return err
		}
		if err := c.Exec(ctx, c.Unhurried()+"; SET search_path = pg_catalog; SET statement_timeout = '60s'; SET lock_timeout = '10s'; SET default_transaction_read_only = off; SET default_transaction_isolation = 'read committed'; SET synchronous_commit = local"); err != nil {
			c.Close()
			return err
		}
		k.session = c
	}
	return k.session.Run(ctx, sql, f)
}

// do is ask for statements without rows.
func (k *control) do(ctx context.Context, sql string) error {
	return k.ask(ctx, sql, func(int, [][]byte) error { return nil })
}

// rollBack ends a transaction that failed, if the server answers.
func (k *control) rollBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), session.CloseLimit)
	defer cancel()
	_ = k.do(ctx, "ROLLBACK")
}

func (k *control) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.session != nil {
		k.session.Close()
	}
	k.session, k.closed = nil, true
}

// facts decide whether the account can read the server's log.
type facts struct {
	version        int64 // for example 150004
	level          string
	standby        bool
	replication    bool // the account has the right
	create         bool // the account may make publications in the database
	slots          int64
	slotsUsed      int64
	senders        int64
	sendersUsed    int64
	timeline       int64 // 0 on a standby
	end            pglogrepl.LSN
	senderTimeout  time.Duration
	maySendMessage bool
	oldest         string // the oldest transaction that is under way
	unnoted        string // why the account can make no large object, "" if it can
}

const endOfLog = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END"

const ofFacts = `
SELECT current_setting('server_version_num'), current_setting('wal_level'), pg_is_in_recovery(),
  (SELECT r.rolsuper OR r.rolreplication OR EXISTS (SELECT FROM pg_roles m WHERE m.rolname IN ('rds_replication', 'rds_superuser', 'azure_pg_admin', 'cloudsqlsuperuser') AND pg_has_role(m.oid, 'MEMBER')) FROM pg_roles r WHERE r.rolname = current_user),
  has_database_privilege(current_database(), 'CREATE'), current_setting('max_replication_slots'), (SELECT count(*) FROM pg_replication_slots),
  current_setting('max_wal_senders'), (SELECT count(*) FROM pg_stat_replication), ` + endOfLog + `,
  (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'), ` + moment.OfTimeline + `,
  NOT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_proc f WHERE f.proname = 'pg_logical_emit_message' AND f.pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege(f.oid, 'EXECUTE')),
  (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::text,
  CASE WHEN pg_is_in_recovery() THEN 'a standby takes no note of it'
  WHEN (SELECT count(*) FROM pg_proc f WHERE f.proname IN ('lo_create', 'lo_unlink') AND f.pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege(f.oid, 'EXECUTE')) < 2 THEN 'this account may make no large object to note it in: GRANT EXECUTE ON FUNCTION lo_create(oid), lo_unlink(oid)' END`

// facts asks for the facts.
func (k *control) facts(ctx context.Context) (f facts, err error) {
	err = k.ask(ctx, ofFacts, func(_ int, row [][]byte) error {
		f = facts{version: session.Number(row[0]), level: string(row[1]), standby: session.Truth(row[2]), replication: session.Truth(row[3]), create: session.Truth(row[4]),
			slots: session.Number(row[5]), slotsUsed: session.Number(row[6]), senders: session.Number(row[7]), sendersUsed: session.Number(row[8]), end: lsnOf(row[9]),
			senderTimeout: time.Duration(session.Number(row[10])) * time.Millisecond, timeline: session.Number(row[11]), maySendMessage: session.Truth(row[12]), oldest: string(row[13]), unnoted: string(row[14])}
		return nil
	})
	return f, err
}

// lsnOf reads a position in the log, 0 for NULL.
func lsnOf(text []byte) pglogrepl.LSN {
	at, _ := pglogrepl.ParseLSN(string(text))
	return at
}

// slotRow is a replication slot as the server has it.
type slotRow struct {
	plugin, database   string
	logical            bool
	activePID          int64 // 0 if nobody reads it
	activeBy           string
	activeFrom         string // its address, and since when, "" if the account may not see it
	restart, confirmed pglogrepl.LSN
	state              string // wal_status
	left               int64  // safe_wal_size, -1 if unbounded
	invalid            string // why the server has invalidated it, "" if it has not
	temporary          bool
	end                pglogrepl.LSN
	asked              time.Time // by our clock, before the server looked
	at                 time.Time // by the server's clock
}

const ofSlot = `
SELECT s.plugin, s.database, s.slot_type = 'logical', coalesce(s.active_pid, 0), coalesce(a.application_name, '') || CASE WHEN a.usename IS NOT NULL THEN ' of ' || a.usename ELSE '' END,
  s.restart_lsn, s.confirmed_flush_lsn, s.wal_status, coalesce(s.safe_wal_size, -1),
  to_jsonb(s)->>'invalidation_reason',
  s.temporary, ` + endOfLog + `, (extract(epoch FROM clock_timestamp()) * 1000000)::int8,
  coalesce(', from ' || host(a.client_addr), '') || coalesce(', since ' || date_trunc('second', a.backend_start)::text, '')
FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = %s`

// slot returns a slot, nil if there is none.
func (k *control) slot(ctx context.Context, name string) (found *slotRow, err error) {
	asked := time.Now()
	err = k.ask(ctx, fmt.Sprintf(ofSlot, session.Literal(name)), func(_ int, row [][]byte) error {
		found = &slotRow{plugin: string(row[0]), database: string(row[1]), logical: session.Truth(row[2]), activePID: session.Number(row[3]), activeBy: string(row[4]),
			restart: lsnOf(row[5]), confirmed: lsnOf(row[6]), state: string(row[7]), left: session.Number(row[8]), invalid: string(row[9]),
			temporary: session.Truth(row[10]), end: lsnOf(row[11]), asked: asked, at: time.UnixMicro(session.Number(row[12])).UTC(), activeFrom: string(row[13])}
		k.clock.Compare(asked, found.at)
		return nil
	})
	return found, err
}
