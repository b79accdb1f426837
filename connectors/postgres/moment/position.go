// Package moment is the snapshot that a read, or all reads of a sync, are of: what was
// under way then, how it is shared, and what of it is noted beside a cursor.
package moment

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
)

// Position is what is noted beside a cursor's value: the snapshot, and the heaps that
// held the rows.
type Position struct {
	Server   string `json:"server"`             // as in Table.Identity
	Timeline int64  `json:"timeline,omitempty"` // 0 on a standby, which is not sure of it
	Snapshot string `json:"snapshot"`           // xmin, xmax, and the transactions in between that were active
	Open     bool   `json:"open,omitempty"`     // others were writing to the table
	// Heaps are the leaves by oid, with their filenodes, in base 36: "abc.abd abe.abf".
	// It is noHeaps if there are none and "" if there are too many.
	Heaps string `json:"heaps,omitempty"`

	xmin, XMax uint64
	running    []uint64
	Nodes      map[int64]int64
}

// These keep a position within driver.MaxPosition.
const (
	MaxHeaps    = 2_000
	maxSnapshot = 4 << 10 // bytes
	noHeaps     = "-"
)

// OfActivity asks what other sessions do. It is asked before the snapshot is taken, so that
// it includes what ends in between.
const (
	OfActivity = activityBegin + catalog.BelowTable + activity + `
  EXISTS (SELECT FROM pg_locks l JOIN tree ON tree.oid = l.relation WHERE ` + writing + ")," + activityEnd

	activityBegin = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL search_path = pg_catalog; "
	activity      = `
SELECT (SELECT extract(epoch FROM statement_timestamp() - min(a.xact_start))::int8 + 1 FROM pg_stat_activity a WHERE a.datname = current_database() AND a.xact_start IS NOT NULL AND a.backend_type = 'client backend' AND a.application_name <> 'headwater'),
  EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database() AND a.query = '<insufficient privilege>'),`
	writing = `l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`
	activityEnd = `
  statement_timestamp() AT TIME ZONE 'UTC'; COMMIT;`
)

// OfMoment asks for the snapshot, and for the heaps of the table.
const OfMoment = `
SELECT %[1]s, %[4]s;` + catalog.ReachedFrom + `
SELECT c.oid::int8, c.relfilenode::int8, coalesce(m.amname = 'heap', false), pg_relation_size(c.oid), c.oid::regclass::text,
  has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid) FROM tree JOIN pg_class c ON c.oid = tree.oid LEFT JOIN pg_am m ON m.oid = c.relam WHERE c.relkind IN ('r', 'm', 'f')`

// OfTimeline is the expression for the timeline, 0 on a standby, which is not sure of it.
const OfTimeline = "CASE WHEN pg_is_in_recovery() THEN 0 ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int8 END"

// TimelineFunction returns the expression for the timeline, "0" if the account may not
// ask for it.
func TimelineFunction(c *session.Session) string {
	if !c.Controlled() {
		return "0"
	}
	return OfTimeline
}

// Moment is the snapshot of a read, and what was under way then. It is filled by
// TakeActivity and Take.
type Moment struct {
	Snapshot string
	Timeline int64
	Since    time.Duration // the age of the oldest transaction of others
	Known    bool          // there was such a transaction
	Blind    bool          // there may be others, which this account may not see
	Open     bool          // others were writing to the table
	At       time.Time
	Heaps    map[int64]int64
	Names    map[int64]string // of the heaps by oid, as SQL
	Size     int64            // bytes of the heaps
	Heap     bool             // all heaps are of PostgreSQL's own table access method
	Shut     map[int64]bool   // heaps below a view that this account may not read
}

// Take takes the rows of OfMoment.
func (m *Moment) Take(statement int, row [][]byte) error {
	switch statement {
	case 0:
		m.Snapshot, m.Timeline = string(row[0]), session.Number(row[1])
	case 1:
		if m.Heaps == nil {
			m.Heaps, m.Names, m.Heap, m.Shut = map[int64]int64{}, map[int64]string{}, true, map[int64]bool{}
		}
		m.Heaps[session.Number(row[0])], m.Names[session.Number(row[0])] = session.Number(row[1]), string(row[4])
		m.Heap = m.Heap && session.Truth(row[2])
		m.Shut[session.Number(row[0])] = !session.Truth(row[5])
		m.Size += max(session.Number(row[3]), 0)
	}
	return nil
}

// TakeActivity takes the row of OfActivity.
func (m *Moment) TakeActivity(row [][]byte) error {
	if row[0] != nil {
		m.Since, m.Known = time.Duration(max(session.Number(row[0]), 0))*time.Second, true
	}
	m.Blind, m.Open = session.Truth(row[1]), session.Truth(row[2])
	m.At, _ = time.Parse("2006-01-02 15:04:05.999999", string(row[3]))
	return nil
}

// Position returns what to note of the moment, nil if there is nothing to note. For a
// view it has the heaps whose rows the view shows.
func (m *Moment) Position(on catalog.Server) json.RawMessage {
	if m.Snapshot == "" {
		return nil
	}
	p := Position{Server: on.Name, Timeline: m.Timeline, Open: m.Open}
	if p.Snapshot = m.Snapshot; len(p.Snapshot) > maxSnapshot {
		p.Snapshot = strings.Join(strings.SplitN(m.Snapshot, ":", 3)[:2], ":") + ":"
	}
	if len(m.Heaps) <= MaxHeaps {
		oids := make([]int64, 0, len(m.Heaps))
		for oid := range m.Heaps {
			oids = append(oids, oid)
		}
		slices.Sort(oids)
		var b strings.Builder
		for i, oid := range oids {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(strconv.FormatInt(oid, 36) + "." + strconv.FormatInt(m.Heaps[oid], 36))
		}
		p.Heaps = cmp.Or(b.String(), noHeaps)
	}
	text, err := json.Marshal(p)
	if err != nil || len(text) > driver.MaxPosition {
		return nil
	}
	return text
}

// PositionOf reads what was noted. It returns false for anything else.
func PositionOf(text json.RawMessage) (Position, bool) {
	var p Position
	if len(text) == 0 || json.Unmarshal(text, &p) != nil {
		return p, false
	}
	f := strings.SplitN(p.Snapshot, ":", 3)
	if len(f) != 3 {
		return p, false
	}
	var err, err2 error
	p.xmin, err = strconv.ParseUint(f[0], 10, 64)
	p.XMax, err2 = strconv.ParseUint(f[1], 10, 64)
	if err != nil || err2 != nil || p.xmin > p.XMax || p.xmin < FirstXID {
		return p, false
	}
	for _, text := range strings.FieldsFunc(f[2], func(r rune) bool { return r == ',' }) {
		xid, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return p, false
		}
		p.running = append(p.running, xid)
	}
	if p.Heaps != "" {
		p.Nodes = map[int64]int64{}
		for _, pair := range strings.Fields(strings.TrimPrefix(p.Heaps, noHeaps)) {
			left, right, _ := strings.Cut(pair, ".")
			oid, err := strconv.ParseInt(left, 36, 64)
			node, err2 := strconv.ParseInt(right, 36, 64)
			if err != nil || err2 != nil {
				return p, false
			}
			p.Nodes[oid] = node
		}
	}
	return p, true
}

// Ends returns the xmax of the snapshot, 0 if there is none.
func (m *Moment) Ends() uint64 {
	f := strings.SplitN(m.Snapshot, ":", 3)
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseUint(f[1], 10, 64)
	return n
}

// SnapshotFunction returns the expression for the snapshot, whose name depends on the
// server's version.
func SnapshotFunction(c *session.Session) string {
	if c.Version() < 13 {
		return "txid_current_snapshot()::text"
	}
	return "pg_current_snapshot()::text"
}

// XIDLiteral writes the 32 bits of a transaction id that rows have.
func XIDLiteral(xid uint64) string { return fmt.Sprintf("'%d'::pg_catalog.xid", uint32(xid)) }

// Late returns the condition for rows whose transactions were not over at the position.
// A snapshot does not list the ids of subtransactions, so every row from its xmin on
// counts, also of transactions that had ended. exactly leaves these out, for tables
// without a key, by which repeated rows could be told.
func (p Position) Late(exactly bool) string {
	from := func(xid uint64) string {
		// Frozen rows keep their ids. When half of all ids have been given out since,
		// those look as if they were still to come.
		return fmt.Sprintf("(pg_catalog.age(xmin) OPERATOR(pg_catalog.<=) pg_catalog.age(%s) AND pg_catalog.age(xmin) OPERATOR(pg_catalog.>=) 0)", XIDLiteral(xid))
	}
	if !exactly {
		return from(p.xmin)
	}
	all := []string{from(p.XMax)}
	for _, xid := range p.running {
		all = append(all, "xmin OPERATOR(pg_catalog.=) "+XIDLiteral(xid))
	}
	return "(" + strings.Join(all, " OR ") + ")"
}

// Only leaves out the heaps of tables that inherit and are read on their own.
func (m *Moment) Only(r *catalog.Relation) {
	if r.RelKind != "r" {
		return
	}
	for oid := range m.Heaps {
		if oid != r.OID && !slices.Contains(r.Family.Below, oid) {
			delete(m.Heaps, oid)
		}
	}
}

// Has reports whether a relation, given by the text of its oid, is one of the heaps.
func (m *Moment) Has(oid string) bool {
	n, err := strconv.ParseInt(oid, 10, 64)
	_, ours := m.Heaps[n]
	return err == nil && ours
}

// FirstXID is the first id of an ordinary transaction; lower ids are special.
const FirstXID = 3
