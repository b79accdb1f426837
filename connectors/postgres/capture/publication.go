package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// publication is a publication as the server has it.
type publication struct {
	oid     int64
	all     bool // it is of all tables, or of schemas
	every   bool // it publishes inserts, updates, deletes and truncates
	root    bool // changes of partitions come as changes of the root
	version string
	note    noted
	members map[int64]member // by the table's oid
	// object is the large object that has the note, 0 if there is none of ours; readable, by
	// every account. strange are those that other accounts left.
	object   int64
	readable bool
	strange  []string
}

// member is a table of a publication.
type member struct {
	oid      int64  // of its membership, which another ADD TABLE changes
	narrowed string // what it leaves out, "" if nothing
	loose    bool   // it is published with its schema or with all tables, so that it may become unlogged for a time
}

const ofPublication = `
SELECT p.oid::int8, p.puballtables OR coalesce((to_jsonb(p)->>'puballsequences')::bool, false), p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.pubviaroot, p.xmin::text || ' ' || coalesce(to_jsonb(p)->>'pubgencols', ''), obj_description(p.oid, 'pg_publication')
FROM pg_publication p WHERE p.pubname = %[1]s;
SELECT r.prrelid::int8, r.oid::int8, CASE WHEN to_jsonb(r)->>'prqual' IS NOT NULL THEN 'rows' WHEN to_jsonb(r)->>'prattrs' IS NOT NULL THEN 'columns' END
FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = %[1]s`

// publication reads a publication, nil if there is none.
func (k *control) publication(ctx context.Context, name string) (p *publication, err error) {
	err = k.ask(ctx, fmt.Sprintf(ofPublication, session.Literal(name)), func(statement int, row [][]byte) error {
		if statement == 0 {
			p = &publication{oid: session.Number(row[0]), all: session.Truth(row[1]), every: session.Truth(row[2]), root: session.Truth(row[3]), version: string(row[4]), members: map[int64]member{}}
			if text, ok := strings.CutPrefix(string(row[5]), notedPrefix); ok {
				_ = json.Unmarshal([]byte(text), &p.note) // a note that cannot be read counts as none
			}
			return nil
		}
		if p != nil {
			p.members[session.Number(row[0])] = member{oid: session.Number(row[1]), narrowed: string(row[2])}
		}
		return nil
	})
	return p, err
}

// publish makes our own publication publish these tables and nothing else. With anew it
// is dropped and made again, because everything is read from now on.
func (l *changeLog) publish(ctx context.Context, floor pglogrepl.LSN, anew bool) error {
	p, err := l.control.publication(ctx, l.publication)
	if err != nil {
		return err
	}
	if !anew {
		if err := l.checkOurs(p); err != nil {
			return err
		}
		if err := l.checkNote(ctx, p.note, floor); err != nil {
			return err
		}
	}
	before := p
	var sql []string
	if anew && p != nil {
		sql, p = append(sql, "DROP PUBLICATION "+session.Quote(l.publication)), nil
	}
	var add, remove []string
	wanted := map[int64]bool{}
	for _, t := range l.tables {
		wanted[t.row.OID] = true
		if p != nil {
			if m, ok := p.members[t.row.OID]; ok {
				if t.after != 0 && m.narrowed == "" {
					continue
				}
				remove = append(remove, t.published()) // it is read whole in any case
			}
		}
		add = append(add, t.published())
	}
	if p != nil {
		for oid := range p.members {
			if !wanted[oid] {
				remove = append(remove, "") // the catalog has its name
			}
		}
	}
	if p == nil {
		if len(add) == 0 {
			return nil
		}
		sql = append(sql, fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (%s)", session.Quote(l.publication), strings.Join(add, ", "), l.publishOptions()))
	} else {
		names, err := l.dropped(ctx, p, wanted)
		if err != nil {
			return err
		}
		remove = append(slices.DeleteFunc(remove, func(s string) bool { return s == "" }), names...)
		if len(remove) > 0 {
			sql = append(sql, fmt.Sprintf("ALTER PUBLICATION %s DROP TABLE %s", session.Quote(l.publication), strings.Join(remove, ", ")))
		}
		if len(add) > 0 {
			sql = append(sql, fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s", session.Quote(l.publication), strings.Join(add, ", ")))
		}
	}
	if len(sql) > 0 {
		if err := l.control.do(ctx, "BEGIN; "+strings.Join(sql, "; ")+"; COMMIT"); err != nil {
			l.control.rollBack(ctx)
			if !errors.Is(err, driver.ErrPermission) {
				return err
			}
			return driver.E(driver.ErrPermission, err, "the tables could not be published (this takes CREATE on the database and the ownership of each table; or somebody who has them makes a publication, which connection_config.publication names)")
		}
	}
	now, err := l.control.publication(ctx, l.publication)
	if err != nil || now == nil {
		return err
	}
	if p != nil { // what we left as it was is noted as it was checked
		now.version = before.version
		for _, t := range l.tables {
			if m, ok := before.members[t.row.OID]; ok && t.after != 0 && m.narrowed == "" {
				now.members[t.row.OID] = m
			}
		}
	}
	return l.takeNote(ctx, now)
}

// publishOptions are the options of our own publication.
func (l *changeLog) publishOptions() string {
	options := "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"
	if l.facts.version >= 180000 {
		options += ", publish_generated_columns = stored"
	}
	return options
}

// retract takes every table out of our own publication, because no changes can be had: a
// published table without a replica identity refuses its users' updates.
func (l *changeLog) retract(ctx context.Context) error {
	if l.source.pool.Settings.Publication != "" || l.facts.standby {
		return nil
	}
	p, err := l.control.publication(ctx, l.publication)
	if err != nil || p == nil {
		return err
	}
	names, err := l.dropped(ctx, p, nil)
	if err != nil || len(names) == 0 {
		return err
	}
	return l.control.do(ctx, fmt.Sprintf("ALTER PUBLICATION %s DROP TABLE %s", session.Quote(l.publication), strings.Join(names, ", ")))
}

// dropped returns the members that are not wanted, as SQL.
func (l *changeLog) dropped(ctx context.Context, p *publication, wanted map[int64]bool) (names []string, err error) {
	var oids []int64
	for oid := range p.members {
		if !wanted[oid] {
			oids = append(oids, oid)
		}
	}
	if len(oids) == 0 {
		return nil, nil
	}
	err = l.control.ask(ctx, "SELECT CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END || format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ("+session.OIDList(oids)+")", func(_ int, row [][]byte) error {
		names = append(names, string(row[0]))
		return nil
	})
	return names, err
}

// checkOurs finds out whether somebody else has changed our publication, so that the log
// may lack changes. A table that was taken out, or out and in again, is refused.
func (l *changeLog) checkOurs(p *publication) error {
	altered := func(how string) error {
		return driver.E(driver.ErrReplaced, nil, "the publication %s %s, so changes may be missing from the log: %s", l.publication, how, sqldb.ReadAnew)
	}
	switch {
	case p == nil:
		return altered("was dropped")
	case p.note.Version != p.version || p.all || !p.every || !p.root:
		return altered("was altered by hand, or the server was upgraded")
	}
	l.checkMembers(p)
	return nil
}

// checkMembers refuses tables that the note calls broken, or that are not in the
// publication as the note has it.
func (l *changeLog) checkMembers(p *publication) {
	for _, t := range l.tables {
		if t.after == 0 {
			continue
		}
		oid := strconv.FormatInt(t.row.OID, 10)
		if why := p.note.Broken[oid]; why != "" {
			l.refuse(t, driver.E(driver.ErrReplaced, nil, "%s", why))
		}
		was, ok := p.note.Members[oid]
		if m := p.members[t.row.OID]; !ok || m.oid != was || m.narrowed != "" {
			l.refuse(t, driver.E(driver.ErrReplaced, nil, "%s is not in the publication %s as it was: it was taken out or altered by hand, or could not be captured for a time. Changes to it may be missing from the log", t.table, l.publication))
		}
	}
	l.accept()
}
