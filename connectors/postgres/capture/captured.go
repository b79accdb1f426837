package capture

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
)

// captured is a table whose changes are read.
type captured struct {
	index    int // index in driver.Capture.Tables
	table    driver.Table
	row      *catalog.Relation
	columns  []catalog.Mapped // in the order of the table's columns
	after    pglogrepl.LSN
	identity string               // pg_class.relreplident
	keys     []string             // columns of the replica identity
	leaves   map[string]partition // partitions of a partitioned table, by oid, or the table alone
	computed map[string]string    // generated columns: s for stored, v for virtual
	types    map[int64]typeFacts  // of the columns, by attnum
	looks    string               // changes with its name and columns
	numbers  int64                // the highest number that a column of it ever had
	dropped  []int64              // numbers of columns that were dropped
	loose    bool                 // see member
	made     map[string]madeType  // enumerations and composite types that columns are made of, by oid
}

// typeFacts is what the catalog says about the type of a column, behind domains, and of
// its elements.
type typeFacts struct {
	oid                int64
	kind, name         string
	system             bool
	elem               int64
	elemKind, elemName string
	delim              byte
	textCast           bool // its cast to text is a function
	jsonCast           bool // its elements' cast to JSON is one
}

// ofCapturedTypes selects the types of the columns of tables.
const ofCapturedTypes = `
WITH RECURSIVE base AS (
  SELECT a.attrelid, a.attnum, a.atttypid AS typ FROM pg_attribute a WHERE a.attrelid = ANY (%[1]s) AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT b.attrelid, b.attnum, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.typ AND t.typtype = 'd'),
elem AS (
  SELECT b.attrelid, b.attnum, t.typelem AS typ, e.typdelim FROM base b JOIN pg_type t ON t.oid = b.typ AND t.typcategory = 'A' JOIN pg_type e ON e.oid = t.typelem
  UNION ALL SELECT b.attrelid, b.attnum, t.typbasetype, b.typdelim FROM elem b JOIN pg_type t ON t.oid = b.typ AND t.typtype = 'd')
SELECT b.attrelid::int8, b.attnum, t.oid::int8, t.typtype, t.typname, t.typnamespace = 'pg_catalog'::regnamespace, coalesce(e.oid, 0)::int8, e.typtype, e.typname, l.typdelim,
  EXISTS (SELECT FROM pg_cast c WHERE c.castsource = t.oid AND c.casttarget = 'text'::regtype AND c.castmethod = 'f'),
  EXISTS (SELECT FROM pg_cast c WHERE c.castsource = e.oid AND e.oid >= 16384 AND c.casttarget = 'json'::regtype AND c.castmethod = 'f')
FROM base b JOIN pg_type t ON t.oid = b.typ AND t.typtype <> 'd'
LEFT JOIN (elem l JOIN pg_type e ON e.oid = l.typ AND e.typtype <> 'd') ON l.attrelid = b.attrelid AND l.attnum = b.attnum`

// published writes the table as SQL for a publication.
func (t *captured) published() string {
	if t.row.RelKind == "p" {
		return session.Relation(t.table)
	}
	return "ONLY " + session.Relation(t.table)
}

// full reports whether changes come with every column of the old row.
func (t *captured) full() bool { return t.identity == "f" }

// refuse notes why a table is not captured. accept then takes the refused tables out.
func (l *changeLog) refuse(t *captured, why error) {
	if l.refused[t.index] == nil {
		l.refused[t.index] = why
	}
}

func (l *changeLog) accept() {
	l.tables = slices.DeleteFunc(l.tables, func(t *captured) bool { return l.refused[t.index] != nil })
}

// ofCaptured selects the tables, and every partition of partitioned ones, with what
// decides whether their changes can be had.
const ofCaptured = `
WITH RECURSIVE tree AS (
  SELECT c.oid AS root, c.oid, c.relkind, '' AS link FROM pg_class c WHERE c.oid = ANY (%[1]s)
  UNION ALL SELECT t.root, c.oid, c.relkind, t.link || ' ' || i.xmin FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid JOIN pg_class c ON c.oid = i.inhrelid WHERE t.relkind = 'p' AND NOT i.inhdetachpending)
SELECT t.root::int8, c.oid::int8, c.relkind, c.relpersistence, c.relreplident, n.nspname || '.' || c.relname, pg_has_role(c.relowner, 'USAGE'), k.names, c.relfilenode::int8,
  (SELECT json_object_agg(a.attname, a.attgenerated) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped AND c.oid = t.root),
  c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid), c.xmin, format('%%I.%%I', n.nspname, c.relname), t.link, c.relnatts,
  CASE WHEN c.oid = t.root THEN (SELECT json_agg(a.attnum ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attisdropped) END,
  CASE WHEN c.oid = t.root THEN (SELECT md5(string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod), ',' ORDER BY a.attnum)) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END
FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT json_agg(a.attname ORDER BY u.n) AS names FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, n) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum
  WHERE i.indrelid = c.oid AND u.n <= i.indnkeyatts AND i.indisvalid AND i.indimmediate AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)) k ON true
ORDER BY t.root, c.oid <> t.root, c.oid`

// relationFacts is a row of ofCaptured.
type relationFacts struct {
	root, oid                              int64
	kind, persistence, identity, name, sql string
	link, columns                          string
	numbers                                int64
	dropped                                []int64
	owned, parent                          bool
	keys                                   []string
	filenode                               int64
	xid                                    uint32
	computed                               map[string]string
}

// examine refuses, before anything is published, tables whose changes cannot be had.
func (l *changeLog) examine(ctx context.Context) error {
	oids, byOID := make([]int64, len(l.tables)), map[int64]*captured{}
	for i, t := range l.tables {
		oids[i], byOID[t.row.OID] = t.row.OID, t
	}
	if err := l.checkGenerated(ctx); err != nil {
		return err
	}
	err := l.control.ask(ctx, fmt.Sprintf(ofCaptured+";"+ofCapturedTypes, session.OIDList(oids)), func(statement int, row [][]byte) error {
		if statement == 1 {
			if t := byOID[session.Number(row[0])]; t != nil {
				t.takeType(row)
			}
			return nil
		}
		r := relationFacts{root: session.Number(row[0]), oid: session.Number(row[1]), kind: string(row[2]), persistence: string(row[3]), identity: string(row[4]), name: string(row[5]),
			owned: session.Truth(row[6]), filenode: session.Number(row[8]), parent: session.Truth(row[10]), sql: string(row[12]), xid: uint32(session.Number(row[11])), link: strings.TrimSpace(string(row[13])), numbers: session.Number(row[14]), columns: string(row[16])}
		r.keys = session.ListOf(row[7])
		_ = json.Unmarshal(row[9], &r.computed)
		_ = json.Unmarshal(row[15], &r.dropped)
		if t := byOID[r.root]; t != nil {
			l.checkRelation(t, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := l.takeMade(ctx, oids, byOID); err != nil {
		return err
	}
	for _, t := range l.tables {
		l.checkTypes(t)
	}
	l.accept()
	return nil
}

// checkRelation takes what the catalog says of a table or of one of its partitions, and
// refuses the table if its changes cannot be had.
func (l *changeLog) checkRelation(t *captured, r relationFacts) {
	if r.oid == r.root {
		t.identity, t.keys, t.computed = r.identity, r.keys, r.computed
		t.looks, t.numbers, t.dropped = r.name+" "+r.columns, r.numbers, r.dropped
	}
	if r.kind != "p" {
		if t.leaves == nil {
			t.leaves = map[string]partition{}
		}
		t.leaves[fmt.Sprint(r.oid)] = partition{r.oid, r.filenode, r.sql, r.xid, r.link}
	}
	if why := r.unlogged(); why != "" {
		l.refuse(t, driver.E(driver.ErrUnsupported, nil, "%s %s: sync it with mode full", r.name, why))
		return
	}
	switch {
	case l.source.pool.Settings.Publication == "" && r.oid == r.root && !r.owned:
		l.refuse(t, driver.E(driver.ErrPermission, nil, "this account does not own %s, and only the owner of a table may publish it: give the account the owner's role, or have a publication made that connection_config.publication names", r.name))
	case r.identity == "n":
		l.refuse(t, driver.E(driver.ErrUnsupported, nil, "%s has REPLICA IDENTITY NOTHING: once it is published, every UPDATE and DELETE of it fails, for whoever does them. ALTER TABLE %s REPLICA IDENTITY DEFAULT, with a primary key, or FULL", r.name, r.name))
	case r.identity != "f" && len(r.keys) == 0 && !(r.kind == "p" && r.oid != r.root):
		l.refuse(t, driver.E(driver.ErrUnsupported, nil, "%s has no primary key%s and no other replica identity: once it is published, every UPDATE and DELETE of it fails, for whoever does them. Add a primary key, or ALTER TABLE %s REPLICA IDENTITY FULL, or USING INDEX of a unique index without NULLs", r.name, deferrable, r.name))
	case r.oid != r.root && (r.identity == "f") != (t.identity == "f"), r.oid != r.root && r.kind != "p" && r.identity != "f" && !sameNames(r.keys, t.keys):
		l.refuse(t, driver.E(driver.ErrUnsupported, nil, "the partition %s has another replica identity than %s: ALTER TABLE %s REPLICA IDENTITY as its parent has it", r.name, t.table, r.name))
	}
}

const deferrable = " that is checked at once"

// unlogged returns why no log has the changes of a relation, "" if one has.
func (r relationFacts) unlogged() string {
	switch {
	case r.kind == "f":
		return "is a foreign table, whose changes are in the log of another server"
	case r.kind == "v" || r.kind == "m":
		return "is a view, of which the log has no changes"
	case r.persistence == "u":
		return "is unlogged"
	case r.persistence == "t":
		return "is temporary"
	case r.parent:
		return "has tables that inherit from it, whose rows come from the log as those of other tables"
	}
	return ""
}

func sameNames(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// checkTypes refuses a table if the log does not have its key, or if a value would be
// different in the log and in a SELECT.
func (l *changeLog) checkTypes(t *captured) {
	if l.refused[t.index] != nil {
		return
	}
	l.source.mu.Lock()
	bad, was := l.source.unlandable[t.table.Identity]
	l.source.mu.Unlock()
	if was && t.after != 0 && bad.at >= t.after {
		l.refuse(t, bad.why)
		return
	}
	if t.row.Filtered {
		l.refuse(t, driver.E(driver.ErrUnsupported, nil, "row security hides rows of %s from this account, and the log of changes does not: give the account BYPASSRLS, or sync the table with mode full", t.table))
		return
	}
	for _, name := range t.table.PrimaryKey {
		if !t.full() && !slices.Contains(t.keys, name) {
			l.refuse(t, driver.E(driver.ErrUnsupported, nil, "the replica identity of %s is %s, which does not have its key %s: ALTER TABLE %s REPLICA IDENTITY DEFAULT, or FULL", t.table, strings.Join(t.keys, ", "), strings.Join(t.table.PrimaryKey, ", "), session.Relation(t.table)))
			return
		}
	}
	for i, c := range t.table.Columns {
		if t.typeOf(i).oid == 0 { // dropped between two questions to the catalog
			l.refuse(t, driver.E(driver.ErrRetyped, nil, "table %s was altered: it has no column %s now", t.table, c.Name))
			return
		}
		if why := t.unreadable(i); why != "" {
			l.refuse(t, driver.E(driver.ErrUnsupported, nil, "table %s, column %s (%s): %s; exclude the column in sync_options.columns, or sync the table with mode full", t.table, c.Name, c.SourceType, why))
			return
		}
		if how := t.computed[c.Name]; how != "" && !(how == "s" && l.generated) {
			if !c.Nullable || slices.Contains(t.table.PrimaryKey, c.Name) {
				l.refuse(t, driver.E(driver.ErrUnsupported, nil, "table %s, column %s is generated and may not be NULL, and the log has no generated columns%s: exclude the column in sync_options.columns", t.table, c.Name, l.without(how)))
				return
			}
			l.notes = append(l.notes, fmt.Sprintf("Column %s of %s is generated, and the log has no generated columns%s: it is NULL in rows that changed since the table was read whole.", c.Name, t.table, l.without(how)))
		}
	}
}

// without says, for people, why the log lacks generated columns of a kind.
func (l *changeLog) without(how string) string {
	switch {
	case how != "s":
		return " that are not stored"
	case l.facts.version >= 180000:
		return fmt.Sprintf(", as the publication %[1]s leaves them out (ALTER PUBLICATION %[1]s SET (publish_generated_columns = stored))", session.Quote(l.publication))
	}
	return " before PostgreSQL 18"
}

func (t *captured) takeType(row [][]byte) {
	f := typeFacts{oid: session.Number(row[2]), kind: string(row[3]), name: string(row[4]), system: session.Truth(row[5]), elem: session.Number(row[6]), elemKind: string(row[7]), elemName: string(row[8]),
		textCast: session.Truth(row[10]), jsonCast: session.Truth(row[11])}
	if len(row[9]) == 1 {
		f.delim = row[9][0]
	}
	if t.types == nil {
		t.types = map[int64]typeFacts{}
	}
	t.types[session.Number(row[1])] = f
}

// typeOf returns the type of a column.
func (t *captured) typeOf(i int) typeFacts { return t.types[t.attribute(i).Number] }

// attribute returns what the catalog has about a column.
func (t *captured) attribute(i int) *catalog.Attribute {
	at := slices.IndexFunc(t.row.Attributes, func(a catalog.Attribute) bool { return a.Column.Name == t.table.Columns[i].Name })
	return &t.row.Attributes[at]
}

// unreadable returns why a column's values in the log are not those of a SELECT, "" if
// they are.
func (t *captured) unreadable(i int) string {
	a, cast := t.typeOf(i), t.columns[i].Cast
	switch {
	case cast == catalog.CastText && a.system && a.name == "xml":
		return "the log shows XML without its declaration"
	case cast == catalog.CastText && a.textCast && !slices.Contains(textCasts, a.name):
		return fmt.Sprintf("type %s is cast to text by a function of its own, which the log does not call", a.name)
	case cast == catalog.CastList && a.elemKind == "c":
		return "the log does not tell the names of the fields of its elements"
	case cast == catalog.CastList && a.jsonCast:
		return fmt.Sprintf("type %s is cast to JSON by a function of its own, which the log does not call", a.elemName)
	}
	return ""
}

// textCasts are types whose cast to text is a function with a known result.
var textCasts = []string{"bool", "inet", "cidr", "bpchar", "char", "name", "geometry"}

// inBinary reports whether a column's binary form in the log is that of a COPY.
func (t *captured) inBinary(i int) bool {
	a, cast := t.typeOf(i), t.columns[i].Cast
	return cast == "" || cast == catalog.CastNumeric && a.oid == catalog.OIDNumeric || cast == catalog.CastText && a.kind == "e"
}

// form returns how a column's text is turned into what a COPY sends.
func (t *captured) form(i int, moneyScale int32) binarycopy.Form {
	a, cast := t.typeOf(i), t.columns[i].Cast
	switch {
	case cast == catalog.CastText && a.oid == catalog.OIDBool:
		return binarycopy.Form{Kind: binarycopy.FormTruth}
	case cast == catalog.CastText && (a.oid == catalog.OIDInet || a.oid == catalog.OIDCIDR):
		return binarycopy.Form{Kind: binarycopy.FormInet}
	case cast == catalog.CastNumeric && a.oid == catalog.OIDMoney:
		return binarycopy.Form{Kind: binarycopy.FormMoney, Scale: moneyScale}
	case cast == catalog.CastAmounts:
		return binarycopy.Form{Kind: binarycopy.FormList, Elem: binarycopy.ElemMoney, Scale: moneyScale}
	case cast == catalog.CastList:
		return binarycopy.Form{Kind: binarycopy.FormList, Delim: a.delim, Elem: elems[a.elem]}
	}
	return binarycopy.Form{}
}

// elems says how elements of arrays are written in JSON, of those that are no text.
var elems = map[int64]binarycopy.ElemKind{
	catalog.OIDBool: binarycopy.ElemBool, catalog.OIDInt2: binarycopy.ElemNumber, catalog.OIDInt4: binarycopy.ElemNumber, catalog.OIDInt8: binarycopy.ElemNumber, catalog.OIDFloat4: binarycopy.ElemNumber,
	catalog.OIDFloat8: binarycopy.ElemNumber, catalog.OIDNumeric: binarycopy.ElemNumber, catalog.OIDJSON: binarycopy.ElemJSON, catalog.OIDJSONB: binarycopy.ElemJSON,
	catalog.OIDTimestamp: binarycopy.ElemTimestamp, catalog.OIDTimestampZ: binarycopy.ElemInstant,
}
