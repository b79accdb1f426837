package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
)

// noted is what is written down of what no message of the log tells: as the comment of our own
// publication, or, beside one that people keep, of a large object, which every account may
// make.
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
	// Types has what each enumeration and composite type was written by, by oid.
	Types map[string]string `json:"types,omitempty"`
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

// checkNote compares the tables with the note, and the server's history with what landed.
func (l *changeLog) checkNote(ctx context.Context, note noted, floor pglogrepl.LSN) error {
	suspects, err := l.checkLeaves(ctx, note)
	if err != nil {
		return err
	}
	l.addSuspicions(suspects)
	l.checkNumbers(note)
	l.checkMade(note)
	return l.checkTimeline(ctx, note.Timeline, floor)
}

// takeNote writes the note. checked is the publication as it was checked, or as we have made
// it; nil leaves what the note says of it, as somebody may have altered it meanwhile.
func (l *changeLog) takeNote(ctx context.Context, checked *publication) error {
	if l.unnoted != "" {
		return nil
	}
	p, err := l.noted(ctx)
	if err != nil || p == nil {
		return err
	}
	n := noted{Version: p.note.Version, Owner: l.capture.Owner, Timeline: l.facts.timeline, Members: p.note.Members}
	if checked != nil {
		n.Version, n.Members = checked.version, map[string]int64{}
		for oid, m := range checked.members {
			n.Members[strconv.FormatInt(oid, 10)] = m.oid
		}
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
		for made, is := range t.made {
			if n.Types == nil {
				n.Types = map[string]string{}
			}
			n.Types[made] = is.writes
		}
	}
	for _, t := range l.asked {
		if why := l.refused[t.index]; errors.Is(why, driver.ErrReplaced) {
			if n.Broken == nil {
				n.Broken = map[string]string{}
			}
			n.Broken[strconv.FormatInt(t.row.OID, 10)] = why.Error()
		}
	}
	if n.equal(p.note) && !p.note.old() && (p.object != 0 && p.readable || !l.given()) {
		return nil
	}
	n.Written = max(time.Now().Unix(), p.note.Written+1) // so that the newest is known
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
	if !l.given() {
		return l.control.do(ctx, "COMMENT ON PUBLICATION "+session.Quote(l.publication)+" IS "+session.Literal(notedPrefix+string(text)))
	}
	object, create := p.object, ""
	if object == 0 {
		object = 1<<30 + rand.Int64N(1<<30) // lo_create(0) would not tell it to COMMENT in the same message
		create = fmt.Sprintf("SELECT lo_create(%d); ", object)
	}
	// pg_dump reads every large object, and fails at one that its account may not read. There
	// is nothing in ours, and its comment everybody may read anyway.
	err = l.control.do(ctx, fmt.Sprintf("BEGIN; %[2]sCOMMENT ON LARGE OBJECT %[1]d IS %[3]s; GRANT SELECT ON LARGE OBJECT %[1]d TO PUBLIC; COMMIT", object, create, session.Literal(objectPrefix(l.slot)+string(text))))
	if err != nil {
		l.control.rollBack(ctx)
	}
	return err
}

// given reports whether people keep the publication.
func (l *changeLog) given() bool { return l.source.pool.Settings.Publication != "" }

// noted reads the publication with the note, nil if there is none.
func (l *changeLog) noted(ctx context.Context) (*publication, error) {
	p, err := l.control.publication(ctx, l.publication)
	if err != nil || p == nil || !l.given() {
		return p, err
	}
	objects, err := l.control.objects(ctx, l.slot)
	if err != nil {
		return nil, err
	}
	newest := newestOf(objects)
	p.note, p.object, p.readable = newest.note, newest.oid, newest.readable
	if !newest.ours {
		p.object = 0 // another account has read the source before
	}
	for _, o := range objects {
		if !o.ours {
			p.strange = append(p.strange, strconv.FormatInt(o.oid, 10)+" of "+o.owner)
		}
	}
	return p, l.members(ctx, p)
}

// objectPrefix is what the comment begins with of a large object that has the note of a slot.
func objectPrefix(slot string) string {
	return "Headwater's note of the slot " + slot + ", which it needs to go on: "
}

// object is a large object that has a note.
type object struct {
	oid      int64
	owner    string
	ours     bool // this account may write and remove it
	readable bool // by every account
	note     noted
}

const ofObjects = "SELECT m.oid::int8, d.description, pg_has_role(m.lomowner, 'USAGE'), pg_get_userbyid(m.lomowner), EXISTS (SELECT FROM aclexplode(m.lomacl) a WHERE a.grantee = 0 AND a.privilege_type = 'SELECT') FROM pg_description d JOIN pg_largeobject_metadata m ON m.oid = d.objoid WHERE d.classoid = 'pg_largeobject'::regclass AND starts_with(d.description, %s) AND NOT pg_is_in_recovery() ORDER BY 1"

// objects returns the large objects that have notes of a slot: each account that has read the
// source made its own.
func (k *control) objects(ctx context.Context, slot string) (all []object, err error) {
	err = k.ask(ctx, fmt.Sprintf(ofObjects, session.Literal(objectPrefix(slot))), func(_ int, row [][]byte) error {
		o := object{oid: session.Number(row[0]), owner: string(row[3]), ours: session.Truth(row[2]), readable: session.Truth(row[4])}
		if json.Unmarshal(row[1][len(objectPrefix(slot)):], &o.note) != nil {
			o.note = noted{}
		}
		all = append(all, o)
		return nil
	})
	return all, err
}

// newestOf returns the object that was written last, the zero object if there is none.
func newestOf(all []object) (newest object) {
	for _, o := range all {
		if o.note.Written > newest.note.Written {
			newest = o
		}
	}
	return newest
}

// forget removes the notes of a slot that large objects have, as far as they are this
// account's.
func (k *control) forget(ctx context.Context, slot string) error {
	all, err := k.objects(ctx, slot)
	for _, o := range all {
		if o.ours {
			err = errors.Join(err, k.do(ctx, fmt.Sprintf("SELECT lo_unlink(%d)", o.oid)))
		}
	}
	return err
}

func (n noted) equal(o noted) bool {
	return n.Version == o.Version && n.Owner == o.Owner && n.Timeline == o.Timeline && maps.Equal(n.Members, o.Members) && maps.Equal(n.Broken, o.Broken) && maps.Equal(n.Links, o.Links) && maps.Equal(n.Numbers, o.Numbers) && maps.Equal(n.Types, o.Types) && maps.EqualFunc(n.Leaves, o.Leaves, maps.Equal[map[string]int64, map[string]int64])
}
