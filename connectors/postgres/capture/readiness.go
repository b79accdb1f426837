package capture

import (
	"context"
	"fmt"

	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// ofCapturable counts the tables whose changes a log can have, and those that the
// account does not own, and names some that have no replica identity.
const ofCapturable = `
SELECT count(*), count(*) FILTER (WHERE NOT pg_has_role(c.relowner, 'USAGE')), array_to_json((array_agg(n.nspname || '.' || c.relname ORDER BY 1) FILTER (WHERE NOT i.there))[1:9])
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)) AS there) i
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND has_any_column_privilege(c.oid, 'SELECT')`

// Readiness says, for people, whether changes can be captured, and what is missing if
// they cannot. It connects on its own and leaves nothing behind.
func (s *Capturer) Readiness(ctx context.Context) string {
	k := &control{pool: s.pool}
	defer k.close()
	f, err := k.facts(ctx)
	if err != nil {
		return sqldb.Readiness(nil, err)
	}
	missing, open := f.missing(s.pool.Settings.Publication != ""), f.level == "logical" && f.senders > f.sendersUsed
	var total, foreign int64
	var bare []string
	err = k.ask(ctx, ofCapturable+catalog.InSchemas(s.pool.Settings.Schemas), func(_ int, row [][]byte) error {
		total, foreign = session.Number(row[0]), session.Number(row[1])
		bare = session.ListOf(row[2])
		return nil
	})
	if err == nil && s.pool.Settings.Publication == "" && foreign > 0 {
		missing = append(missing, fmt.Sprintf("this account does not own %d of %d tables, and only owners publish them: give it their role", foreign, total))
	}
	if s.pool.Settings.Publication == "" && (foreign > 0 || !f.create && !f.standby) {
		missing = append(missing, "or have a publication made by somebody who may, and name it in connection_config.publication")
	}
	if s.pool.Settings.Publication != "" {
		if p, err := k.publication(ctx, s.pool.Settings.Publication); err == nil && p == nil {
			missing = append(missing, fmt.Sprintf("connection_config.publication names %q, and there is no such publication", s.pool.Settings.Publication))
		}
	}
	if open && f.replication { // only this shows a pooler in between
		c, err := s.replicate(ctx, catalog.Server{})
		if err != nil {
			missing = append(missing, err.Error())
		} else {
			c.Close()
		}
	}
	text := sqldb.Readiness(missing, nil)
	if len(bare) > 0 {
		text += fmt.Sprintf("; without a primary key or replica identity, so read whole by each sync: %s", catalog.Some(bare))
	}
	return text
}

// missing returns what the server and the account lack. given says that people keep the
// publication.
func (f facts) missing(given bool) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if err := f.unsupported(); err != nil {
		say("%s", err)
	}
	if !f.replication {
		say("the account needs REPLICATION: ALTER ROLE ... REPLICATION")
	}
	if !given && f.standby {
		say("a standby makes no publication: make one on its primary and name it in connection_config.publication")
	} else if !given && !f.create {
		say("the account needs CREATE on the database for a publication: GRANT CREATE ON DATABASE")
	}
	if f.slotsUsed >= f.slots {
		say("no replication slot is left of %d: raise max_replication_slots, or drop one that is not used", f.slots)
	}
	if f.sendersUsed >= f.senders {
		say("no connection is left for readers of the log, of %d: raise max_wal_senders", f.senders)
	}
	return all
}
