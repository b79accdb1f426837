package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

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
}

// member is a table of a publication.
type member struct {
	oid      int64  // of its membership, which another ADD TABLE changes
	narrowed string // what it leaves out, "" if nothing
}

// noted is the comment of our own publication. It shows whether somebody else has
// changed the publication since.
type noted struct {
	Version  string           `json:"version"`
	Owner    string           `json:"owner,omitempty"` // driver.Capture.Owner
	Timeline int64            `json:"timeline,omitempty"`
	Members  map[string]int64 `json:"members"` // oids of memberships, by oids of tables
	// Leaves are the filenodes of the partitions of each table, or its own, by oid, and Links
	// the transactions that attached them. Oldest is a transaction: all older ones had ended
	// when the note was written.
	Leaves map[string]map[string]int64 `json:"leaves,omitempty"`
	Links  map[string]string           `json:"links,omitempty"`
	Oldest string                      `json:"oldest,omitempty"`
	// Numbers are the highest number that a column of each table had, and where the log
	// ended then, by oid.
	Numbers map[string]numbered `json:"numbers,omitempty"`
	// Written is when that was, in seconds of Unix.
	Written int64 `json:"written,omitempty"`
	// Broken says why tables have to be read whole.
	Broken map[string]string `json:"broken,omitempty"`
}

type numbered struct {
	Highest int64         `json:"highest"`
	At      pglogrepl.LSN `json:"at"`
}

// noteAgain is the age at which a note is written again though nothing is new: what is
// older than its Oldest is not suspected if it lies in another heap.
const noteAgain = time.Hour

func (n noted) old() bool { return time.Since(time.Unix(n.Written, 0)) > noteAgain }

const notedPrefix = "kept by Headwater, which reads changes by it: "

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

// checkGenerated finds out whether the log has stored generated columns: our own
// publication has them from PostgreSQL 18 on, one that people keep only if they say so.
func (l *changeLog) checkGenerated(ctx context.Context) error {
	l.generated = l.facts.version >= 180000
	if !l.generated || l.source.pool.Settings.Publication == "" {
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

// checkGiven checks a publication that people keep. Tables that it lacks, or does not
// publish as a whole, are refused.
func (l *changeLog) checkGiven(ctx context.Context) error {
	p, err := l.control.publication(ctx, l.publication)
	if err != nil {
		return err
	}
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
		m, listed := p.members[t.row.OID]
		switch {
		case t.row.RelKind == "p" && !p.root:
			l.refuse(t, driver.E(driver.ErrInvalidConfig, nil, "%s is partitioned, and the publication %s shows partitions as tables of their own: ALTER PUBLICATION %s SET (publish_via_partition_root = true)", t.table, l.publication, session.Quote(l.publication)))
		case !published[t.row.OID]:
			l.refuse(t, driver.E(driver.ErrNotFound, nil, "%s is not in the publication %s that connection_config.publication names: ALTER PUBLICATION %s ADD TABLE %s", t.table, l.publication, session.Quote(l.publication), session.Relation(t.table)))
		case listed && m.narrowed != "":
			l.refuse(t, driver.E(driver.ErrInvalidConfig, nil, "the publication %s leaves some %s of %s out: a publication for Headwater publishes tables whole", l.publication, m.narrowed, t.table))
		}
	}
	l.accept()
	return nil
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
		suspects, err := l.checkLeaves(ctx, p.note)
		if err != nil {
			return err
		}
		l.addSuspicions(suspects)
		l.checkNumbers(p.note)
		if err := l.checkTimeline(ctx, p.note.Timeline, floor); err != nil {
			return err
		}
	}
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
	return l.takeNote(ctx, true)
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
	return nil
}

// takeNote writes the note beside our publication. ours says that it is as we have just made
// it; else what the note says of it stays, as somebody may have altered it meanwhile.
func (l *changeLog) takeNote(ctx context.Context, ours bool) error {
	p, err := l.control.publication(ctx, l.publication)
	if err != nil || p == nil {
		return err
	}
	n := noted{Version: p.version, Owner: l.capture.Owner, Timeline: l.facts.timeline, Members: map[string]int64{}}
	for oid, m := range p.members {
		n.Members[strconv.FormatInt(oid, 10)] = m.oid
	}
	if !ours {
		n.Version, n.Members = p.note.Version, p.note.Members
	}
	for _, t := range l.tables {
		if n.Leaves == nil {
			n.Leaves, n.Links, n.Numbers = map[string]map[string]int64{}, map[string]string{}, map[string]numbered{}
		}
		nodes := map[string]int64{}
		for oid, leaf := range t.leaves {
			nodes[oid] = leaf.node
			if leaf.link != "" {
				n.Links[oid] = leaf.link
			}
		}
		oid := strconv.FormatInt(t.row.OID, 10)
		n.Leaves[oid] = nodes
		// What is read next was committed behind it.
		is := numbered{t.numbers, l.known}
		if was, ok := p.note.Numbers[oid]; ok && t.after != 0 && (was.Highest == t.numbers || t.after < was.At) {
			is = was
		}
		n.Numbers[oid] = is
	}
	for _, t := range l.asked {
		if why := l.refused[t.index]; errors.Is(why, driver.ErrReplaced) {
			if n.Broken == nil {
				n.Broken = map[string]string{}
			}
			n.Broken[strconv.FormatInt(t.row.OID, 10)] = why.Error()
		}
	}
	if n.equal(p.note) && !p.note.old() {
		return nil
	}
	n.Written = time.Now().Unix()
	switch {
	case n.Leaves == nil:
	case l.suspected.Load() && p.note.Oldest != "":
		// The heap that was noted before is noted again, and whether the new one comes from
		// a TRUNCATE is asked again: rows that came since then would pass for older ones.
		n.Oldest = p.note.Oldest
	default:
		n.Oldest = l.facts.oldest
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return l.control.do(ctx, "COMMENT ON PUBLICATION "+session.Quote(l.publication)+" IS "+session.Literal(notedPrefix+string(text)))
}

func (n noted) equal(o noted) bool {
	return n.Version == o.Version && n.Owner == o.Owner && n.Timeline == o.Timeline && maps.Equal(n.Members, o.Members) && maps.Equal(n.Broken, o.Broken) && maps.Equal(n.Links, o.Links) && maps.Equal(n.Numbers, o.Numbers) && maps.EqualFunc(n.Leaves, o.Leaves, maps.Equal[map[string]int64, map[string]int64])
}
