// Package catalog reads what the catalog says of tables and columns, and maps their
// types.
package catalog

import (
	"fmt"
	"strings"

	"headwater/connectors/postgres/session"
)

// The catalog is read with several statements in one message. All run with pg_catalog as
// the search path.
const (
	// ofTypes selects what each domain is made of, and the labels of enumerations. Types
	// made of others, such as composites and ranges, have what the text of their values
	// depends on: the labels of all enumerations and the fields of all composites in them.
	ofTypes = `
SELECT d.oid::int8, d.typbasetype::int8, d.typtypmod, b.typtype, b.typcategory, b.typelem::int8, b.typname, b.typnamespace = 'pg_catalog'::regnamespace
FROM pg_type d JOIN pg_type b ON b.oid = d.typbasetype WHERE d.typtype = 'd';
WITH RECURSIVE used AS (
  SELECT DISTINCT atttypid AS typ FROM pg_attribute WHERE atttypid >= 16384 AND attnum > 0 AND NOT attisdropped
  UNION SELECT t.typbasetype FROM used u JOIN pg_type t ON t.oid = u.typ AND t.typtype = 'd'),
part AS (
  SELECT u.typ AS whole, u.typ FROM used u JOIN pg_type t ON t.oid = u.typ LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.typtype <> 'e' AND (e.typtype IS NULL OR e.typtype <> 'e')
  UNION SELECT p.whole, k.typ FROM part p JOIN pg_type t ON t.oid = p.typ, LATERAL (
    SELECT t.typelem WHERE t.typelem <> 0 UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
    UNION ALL SELECT g.rngsubtype FROM pg_range g WHERE t.typtype IN ('r', 'm') AND t.oid IN (g.rngtypid, (to_jsonb(g)->>'rngmultitypid')::oid)
    UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) k (typ))
SELECT enumtypid::int8, md5(string_agg(oid || ' ' || enumlabel, ',' ORDER BY oid)) FROM pg_enum GROUP BY 1
UNION ALL SELECT p.whole::int8, md5(string_agg(p.typ || ' ' || f.has, ',' ORDER BY p.typ)) FROM part p JOIN pg_type t ON t.oid = p.typ, LATERAL (
  SELECT string_agg(e.oid || ' ' || e.enumlabel, ',' ORDER BY e.oid) FROM pg_enum e WHERE t.typtype = 'e' AND e.enumtypid = t.oid
  UNION ALL SELECT string_agg(a.attnum || ' ' || a.attname || ' ' || a.atttypid, ',' ORDER BY a.attnum) FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) f (has)
WHERE f.has IS NOT NULL GROUP BY 1;`

	// ofServer selects what tells this server from others, and reads back the settings of
	// the session. %s is ByControl or ByName.
	ofServer = `
SELECT %s, (SELECT oid::int8 FROM pg_database WHERE datname = current_database()), pg_is_in_recovery(), scale('1'::money::numeric),
  concat_ws(' ', current_setting('transaction_isolation'), current_setting('transaction_read_only'), current_setting('statement_timeout'), split_part(current_setting('DateStyle'), ',', 1),
    current_setting('IntervalStyle'), current_setting('bytea_output'), current_setting('extra_float_digits'), current_setting('standard_conforming_strings'), current_setting('row_security'), current_setting('client_encoding'));`
	ByControl = `(SELECT system_identifier::text FROM pg_control_system())`
	ByName    = `current_setting('cluster_name') || '/' || current_database()` // for accounts that may not read the system identifier

	// ofRelations selects one row for each table, partitioned table (without its
	// partitions), view, materialized view and foreign table, except the system's.
	ofRelations = `
SELECT c.oid::int8, n.nspname, c.relname, c.relkind,
  CASE WHEN c.relkind = 'p' THEN (SELECT sum(l.reltuples)::int8 FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid WHERE p.isleaf AND l.reltuples >= 0)
       WHEN c.relkind IN ('v', 'f') THEN -1 ELSE c.reltuples::int8 END,
  c.relpersistence = 'u', c.relispopulated, has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT'),
  (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' LIMIT 1),
  row_security_active(c.oid), k.attnums, k.indisprimary,
  CASE WHEN c.relkind = 'v' THEN (SELECT md5(r.ev_action::text) FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename = '_RETURN') END,
  CASE WHEN c.relkind = 'p' THEN EXISTS (SELECT FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid WHERE p.isleaf AND l.relfilenode <> l.oid) ELSE c.relfilenode <> c.oid END
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT i.indisprimary, (SELECT string_agg(u.attnum::text, ' ' ORDER BY u.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, n) WHERE u.n <= i.indnkeyatts) AS attnums
  FROM pg_index i
  WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT EXISTS (
    SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, n) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum
    WHERE u.n <= i.indnkeyatts AND (NOT a.attnotnull OR EXISTS (SELECT FROM pg_constraint t WHERE t.conrelid = c.oid AND t.contype = 'n' AND NOT t.convalidated AND t.conkey[1] = u.attnum))))
  ORDER BY i.indisprimary DESC, i.indisreplident DESC, i.indnkeyatts, i.indexrelid LIMIT 1) k ON true`

	// ofColumns selects one row for each column of the same relations.
	ofColumns = `
SELECT a.attrelid::int8, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid::int8, a.atttypmod, a.attnotnull AND c.relkind <> 'f' AND v.conrelid IS NULL, col_description(c.oid, a.attnum),
  has_column_privilege(c.oid, a.attnum, 'SELECT'), t.typtype, t.typcategory, t.typelem::int8, t.typname, t.typnamespace = 'pg_catalog'::regnamespace,
  CASE WHEN a.attcollation <> 0 THEN (SELECT l.collname FROM pg_collation l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic) END,
  CASE WHEN a.attgenerated <> '' THEN (SELECT md5(pg_get_expr(d.adbin, d.adrelid)) FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum) END,
  u.attnum IS NOT NULL,
  CASE WHEN a.atttypid IN (20, 21, 23) AND (a.atthasdef OR a.attidentity <> '') THEN (
    SELECT concat_ws(' ', s.seqcache, s.seqincrement, s.seqcycle) FROM pg_sequence s WHERE s.seqrelid IN (
      SELECT p.objid FROM pg_depend p WHERE p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid AND p.refobjsubid = a.attnum AND p.classid = 'pg_class'::regclass AND p.deptype IN ('a', 'i')
      UNION SELECT p.refobjid FROM pg_attrdef d JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass WHERE d.adrelid = c.oid AND d.adnum = a.attnum) LIMIT 1) END,
  a.atthasmissing OR a.atthasdef OR a.attidentity <> '' OR a.attnotnull OR m.attname IS NOT NULL
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN (SELECT DISTINCT indrelid, indkey[0] AS attnum FROM pg_index WHERE indisunique AND indisvalid AND indimmediate AND indpred IS NULL AND indexprs IS NULL AND indnkeyatts = 1) u ON u.indrelid = c.oid AND u.attnum = a.attnum
LEFT JOIN (SELECT conrelid, conkey[1] AS attnum FROM pg_constraint WHERE contype = 'n' AND NOT convalidated) v ON v.conrelid = c.oid AND v.attnum = a.attnum
LEFT JOIN (SELECT DISTINCT pg_partition_root(l.attrelid) AS root, l.attname FROM pg_attribute l JOIN pg_class k ON k.oid = l.attrelid AND k.relispartition WHERE l.atthasmissing) m ON m.root = c.oid AND m.attname = a.attname`

	// offered is the condition of both.
	offered = `
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`

	// ofChildren selects the tables that inherit from a table that is not partitioned:
	// whether they have columns of their own, and which columns may be NULL.
	ofChildren = `
SELECT i.inhrelid::int8, i.inhparent::int8, n.nspname, c.relname,
  EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0),
  (SELECT array_to_json(array_agg(a.attname)) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (NOT a.attnotnull OR c.relkind = 'f'
     OR EXISTS (SELECT FROM pg_constraint t WHERE t.conrelid = c.oid AND t.contype = 'n' AND NOT t.convalidated AND t.conkey[1] = a.attnum)))
FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent AND p.relkind IN ('r', 'f') JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY i.inhrelid`

	ofSchema = " AND n.nspname IN (SELECT json_array_elements_text(%s::json))"
	OfTable  = " AND n.nspname = %s AND c.relname = %s"
)

// The statements of a description that return rows, in their order.
const (
	rowsTypes = iota
	rowsLabels
	rowsServer
	rowsRelations
	rowsColumns
	rowsChildren
	rowsFurther // those of Reads.Further
)

// description returns the statements that describe the relations for which where holds.
func description(control bool, where string) string {
	from := ByControl
	if !control {
		from = ByName
	}
	return strings.Join([]string{
		ofTypes, fmt.Sprintf(ofServer, from), ofRelations, offered, where, ";", ofColumns, offered, where, " ORDER BY a.attrelid, a.attnum;", ofChildren,
	}, "")
}

// BelowTable selects a table and everything that is a part of it or inherits from it. A
// partition whose DETACH ... CONCURRENTLY was interrupted is no part any more: queries of the
// table do not show it.
const BelowTable = `
WITH RECURSIVE tree AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
  UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid WHERE to_jsonb(i)->>'inhdetachpending' IS DISTINCT FROM 'true')`

// ReachedFrom selects a table or view, and everything whose rows it shows.
const ReachedFrom = `
WITH RECURSIVE named AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %[2]s AND c.relname = %[3]s),
tree AS (SELECT oid FROM named UNION SELECT k.oid FROM tree, LATERAL (
  SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = tree.oid AND to_jsonb(i)->>'inhdetachpending' IS DISTINCT FROM 'true'
  UNION ALL SELECT d.refobjid FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    WHERE v.oid = tree.oid AND v.relkind = 'v') k (oid))`

// InSchemas returns the condition for relations in these schemas, "" for all.
func InSchemas(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(ofSchema, session.Literal(session.JSONList(names)))
}
