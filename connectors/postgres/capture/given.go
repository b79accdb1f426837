package capture

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
)

// checkGenerated finds out whether the log has stored generated columns: our own
// publication has them from PostgreSQL 18 on, one that people keep only if they say so.
func (l *changeLog) checkGenerated(ctx context.Context) error {
	l.generated = l.facts.version >= 180000
	if !l.generated || !l.given() {
		return nil
	}
	l.generated = false
	return l.control.ask(ctx, "SELECT coalesce(to_jsonb(p)->>'pubgencols', '') = 's' FROM pg_publication p WHERE p.pubname = "+session.Literal(l.publication), func(_ int, row [][]byte) error {
		l.generated = session.Truth(row[0])
		return nil
	})
}

// publishes returns which of the tables a publication publishes. A publication may be of
// all tables.
func (k *control) publishes(ctx context.Context, name string) (map[int64]bool, error) {
	found := map[int64]bool{}
	err := k.ask(ctx, "SELECT relid::int8 FROM pg_get_publication_tables("+session.Literal(name)+")", func(_ int, row [][]byte) error {
		found[session.Number(row[0])] = true
		return nil
	})
	return found, err
}

// byAll is the membership of a table in a publication of all tables.
const byAll = 1

// members adds the tables that are published with all others, or with their schema. One that
// went to another schema and came back is another member.
func (l *changeLog) members(ctx context.Context, p *publication) error {
	oids := make([]int64, len(l.tables))
	for i, t := range l.tables {
		oids[i] = t.row.OID
		if _, listed := p.members[t.row.OID]; p.all && !listed {
			p.members[t.row.OID] = member{oid: byAll, loose: true}
		}
	}
	if p.all || l.facts.version < 150000 {
		return nil
	}
	return l.control.ask(ctx, fmt.Sprintf(`
SELECT c.oid::int8, s.oid::int8 << 32 | d.xmin::text::int8 FROM pg_publication_namespace s JOIN pg_class c ON c.relnamespace = s.pnnspid
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.refclassid = 'pg_namespace'::regclass
WHERE s.pnpubid = %d AND c.oid = ANY (%s)`, p.oid, session.OIDList(oids)), func(_ int, row [][]byte) error {
		oid := session.Number(row[0])
		if _, listed := p.members[oid]; !listed {
			p.members[oid] = member{oid: session.Number(row[1]), loose: true}
		}
		return nil
	})
}

// give checks a publication that people keep, and compares it and the tables with the note.
func (l *changeLog) give(ctx context.Context, floor pglogrepl.LSN, anew bool) error {
	l.unnoted = l.facts.unnoted
	p, err := l.noted(ctx)
	if err != nil {
		return err
	}
	if err := l.checkGiven(ctx, p); err != nil {
		return err
	}
	if len(p.strange) > 0 {
		l.notes = append(l.notes, fmt.Sprintf("Accounts that read this source before left large objects with notes, which cleanup cannot drop: %s. SELECT lo_unlink(number), as the account or a superuser, removes one; until then pg_dump may fail at it, and the account cannot be dropped.", strings.Join(p.strange, ", ")))
	}
	if l.unnoted != "" {
		l.notes = append(l.notes, "What the log of changes does not tell is not noticed (a partition that is truncated, attached or detached alone, rows that ALTER TABLE ... USING writes anew, a publication that is altered and put right again), because "+l.unnoted+".")
		return nil
	}
	if !anew {
		if err := l.checkNote(ctx, p.note, floor); err != nil {
			return err
		}
	}
	return l.takeNote(ctx, p)
}

// checkGiven checks a publication that people keep. Tables that it lacks, or does not
// publish as a whole, are refused; so are, with a note, those that it did not publish all
// the time.
func (l *changeLog) checkGiven(ctx context.Context, p *publication) error {
	switch {
	case p == nil:
		return driver.InvalidField("publication", "names %q, and there is no such publication in the database", l.publication)
	case !p.every:
		return driver.InvalidField("publication", "names %q, which does not publish every insert, update, delete and truncate: ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", l.publication, session.Quote(l.publication))
	}
	published, err := l.control.publishes(ctx, l.publication)
	if err != nil {
		return err
	}
	for _, t := range l.tables {
		m := p.members[t.row.OID]
		switch t.loose = m.loose; {
		case t.row.RelKind == "p" && !p.root:
			l.refuse(t, driver.E(driver.ErrInvalidConfig, nil, "%s is partitioned, and the publication %s shows partitions as tables of their own: ALTER PUBLICATION %s SET (publish_via_partition_root = true)", t.table, l.publication, session.Quote(l.publication)))
		case !published[t.row.OID]:
			l.refuse(t, driver.E(driver.ErrNotFound, nil, "%s is not in the publication %s that connection_config.publication names: ALTER PUBLICATION %s ADD TABLE %s", t.table, l.publication, session.Quote(l.publication), session.Relation(t.table)))
		case m.narrowed != "":
			l.refuse(t, driver.E(driver.ErrInvalidConfig, nil, "the publication %s leaves some %s of %s out: a publication for Headwater publishes tables whole", l.publication, m.narrowed, t.table))
		case l.unnoted != "" || t.after == 0:
		case p.note.Written == 0:
			l.refuse(t, driver.E(driver.ErrReplaced, nil, "%s: nothing tells what became of the table or of the publication %s meanwhile: the large object that has Headwater's note of the slot %s was removed (vacuumlo does that) or not made yet", t.table, l.publication, l.slot))
		case p.note.Version != p.version:
			l.refuse(t, driver.E(driver.ErrReplaced, nil, "%s: the publication %s was altered or made anew, so changes may be missing from the log", t.table, l.publication))
		}
	}
	l.accept()
	if l.unnoted == "" {
		l.checkMembers(p)
	}
	return nil
}
