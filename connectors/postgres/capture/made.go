package capture

import (
	"cmp"
	"context"
	"fmt"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/session"
)

// The log has values as their types wrote them at that time. A label of an enumeration that
// had another name, or a composite type that had another field, between two looks and is as
// it was again leaves such values behind: the definition of the column is the same. So the
// note has which transactions wrote the labels and fields of each type.

// ofMadeTypes selects, for each table and each enumeration and composite type that its columns
// are of or made of, what changes with each ALTER TYPE.
const ofMadeTypes = `
WITH RECURSIVE part AS (
  SELECT a.attrelid AS of, a.atttypid AS typ FROM pg_attribute a WHERE a.attrelid = ANY (%[1]s) AND a.attnum > 0 AND NOT a.attisdropped
  UNION SELECT p.of, k.typ FROM part p JOIN pg_type t ON t.oid = p.typ, LATERAL (
    SELECT t.typelem WHERE t.typelem <> 0 UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
    UNION ALL SELECT g.rngsubtype FROM pg_range g WHERE t.typtype IN ('r', 'm') AND t.oid IN (g.rngtypid, (to_jsonb(g)->>'rngmultitypid')::oid)
    UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) k (typ))
SELECT p.of::int8, p.typ::int8, CASE t.typtype
  WHEN 'e' THEN (SELECT md5(string_agg(e.oid || ' ' || e.xmin, ',' ORDER BY e.oid)) FROM pg_enum e WHERE e.enumtypid = t.oid)
  ELSE (SELECT md5(string_agg(a.attnum || ' ' || a.xmin, ',' ORDER BY a.attnum)) FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0) END, t.oid::regtype
FROM part p JOIN pg_type t ON t.oid = p.typ AND t.typtype IN ('e', 'c')`

// madeType is an enumeration or a composite type.
type madeType struct {
	name   string
	writes string // changes with each ALTER TYPE
}

// takeMade finds the types that the tables are made of.
func (l *changeLog) takeMade(ctx context.Context, oids []int64, byOID map[int64]*captured) error {
	return l.control.ask(ctx, fmt.Sprintf(ofMadeTypes, session.OIDList(oids)), func(_ int, row [][]byte) error {
		if t := byOID[session.Number(row[0])]; t != nil {
			if t.made == nil {
				t.made = map[string]madeType{}
			}
			t.made[string(row[1])] = madeType{name: string(row[3]), writes: string(row[2])}
		}
		return nil
	})
}

// checkMade refuses tables with a column of a type that was altered since the note.
func (l *changeLog) checkMade(note noted) {
	for _, t := range l.tables {
		for oid, is := range t.made {
			if was := note.Types[oid]; t.after != 0 && cmp.Or(was, is.writes) != is.writes {
				l.refuse(t, driver.E(driver.ErrReplaced, nil, "table %s: its type %s was altered, and the log of changes may have values as they were in between", t.table, is.name))
			}
		}
	}
	l.accept()
}
