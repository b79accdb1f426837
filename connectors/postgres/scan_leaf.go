package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/session"
)

// leaf is one relation that holds rows of a table: the table itself, a partition, or one
// that inherits from it.
type leaf struct {
	oid, filenode   int64
	namespace, name string
	shape           uint64  // stands for its columns, which may change while the heap stays
	blocks          int64   // of the heap
	bytes           int64   // of the heap and its TOAST
	density         float64 // rows per block, -1 if not known
}

func (l *leaf) only() string {
	return "ONLY " + session.Quote(l.namespace) + "." + session.Quote(l.name)
}

// tree lists a table and everything below it. Its last column shows how the columns are
// stored: dropping one and adding another of the same name and type changes rows and
// leaves no other trace.
const tree = catalog.BelowTable + `
SELECT c.oid::int8, c.relkind, n.nspname, c.relname, row_security_active(c.oid), coalesce(m.amname = 'heap', false),
  (SELECT json_object_agg(a.attname, concat_ws(' ', a.attnum, a.atttypid, a.atttypmod)) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am m ON m.oid = c.relam
ORDER BY c.oid;
SELECT md5(string_agg(oid || ' ' || enumlabel, ',' ORDER BY oid)) FROM pg_enum`

// maxLeaves is the most leaves of a table that is divided: each has a statement in one
// message.
const maxLeaves = 10_000

// leavesOf returns the relations that hold the table's rows. ErrUnsupported says that
// one of them cannot be read by blocks.
func leavesOf(ctx context.Context, c *session.Session, p *plan) ([]*leaf, error) {
	t, columns := p.table, p.columns
	if c.Version() < 14 {
		return nil, undivided(t, "needs PostgreSQL 14 or later")
	}
	var found []*leaf
	var stored []map[string]string
	labels := ""
	err := c.Run(ctx, fmt.Sprintf(tree, session.Literal(t.Namespace), session.Literal(t.Name)), func(statement int, row [][]byte) error {
		if statement == 1 {
			labels = string(row[0])
			return nil
		}
		kind := string(row[1])
		if kind == "p" && string(row[4]) != "t" { // a partitioned table has no rows itself
			return nil
		}
		if _, ours := p.moment.Heaps[session.Number(row[0])]; !ours && kind == "r" && p.row.RelKind == "r" {
			return nil // it inherits, and is read on its own
		}
		if kind != "r" && kind != "m" || string(row[4]) == "t" || string(row[5]) != "t" {
			return undivided(t, "is not stored as plain tables, or has row security")
		}
		if len(found) == maxLeaves {
			return undivided(t, fmt.Sprintf("has more than %d partitions", maxLeaves))
		}
		attributes := map[string]string{}
		if err := json.Unmarshal(row[6], &attributes); err != nil {
			return undivided(t, "has an unreadable catalog")
		}
		found, stored = append(found, &leaf{oid: session.Number(row[0]), namespace: string(row[2]), name: string(row[3])}), append(stored, attributes)
		return nil
	})
	if err != nil {
		return nil, unsupported(t, err)
	}
	for i, l := range found {
		h := fnv.New64a()
		for at, column := range t.Columns {
			fmt.Fprintf(h, "%q %s,", column.Name, stored[i][column.Name])
			if columns[at].Cast != "" {
				fmt.Fprintf(h, "%s,", labels) // renaming a label changes rows as well
			}
		}
		l.shape = h.Sum64()
	}
	return found, nil
}

func undivided(t driver.Table, why string) error {
	return driver.E(driver.ErrUnsupported, nil, "table %s cannot be read in ranges: it %s", t, why)
}

// unsupported turns a refusal of the server into ErrUnsupported: a server that speaks
// PostgreSQL's protocol may store rows in another way.
func unsupported(t driver.Table, err error) error {
	if errors.Is(err, driver.ErrUnreachable) || errors.Is(err, driver.ErrTimeout) || errors.Is(err, driver.ErrUnsupported) {
		return err
	}
	return driver.E(driver.ErrUnsupported, err, "table %s cannot be read in ranges", t)
}

// basis is the snapshot of a scan.
type basis struct {
	snapshot string // the name under which it is exported
	extent   string // xmin, xmax, and the transactions in between that were active
	xmin     uint64 // all transactions before it had ended
	xmax     uint64
	// history names the server and its timeline, without which transaction ids mean
	// nothing. If the server does not tell, it is "" and no range is kept.
	history string
	// durable says that the server has written to disk that transactions up to xmin
	// began. Otherwise it would give out their ids again after a crash.
	durable bool
	block   int64 // bytes of a block
}

// where asks about the snapshot. A standby may be older than a token, so it gets no
// history.
const where = `
SELECT pg_export_snapshot(), pg_current_snapshot()::text, pg_snapshot_xmin(pg_current_snapshot())::text, pg_snapshot_xmax(pg_current_snapshot())::text, current_setting('block_size'),
  pg_is_in_recovery(), bool_and(has_function_privilege(f, 'EXECUTE'))
FROM unnest(array['pg_control_system()', 'pg_control_checkpoint()', 'pg_walfile_name(pg_lsn)', 'pg_current_wal_lsn()', 'pg_current_wal_insert_lsn()', 'pg_current_wal_flush_lsn()']) f`

// sizes asks how large the relations are now, which is at least what the older snapshot
// shows of them. The two filenodes differ if the heap was replaced after the snapshot
// and before our lock: the snapshot would find it empty.
const sizes = `
SELECT c.oid::int8, c.relfilenode::int8, pg_relation_filenode(c.oid)::int8, pg_relation_size(c.oid), CASE WHEN c.reltoastrelid <> 0 THEN pg_relation_size(c.reltoastrelid) ELSE 0 END,
  c.reltuples, c.relpages, to_regclass(quote_ident(n.nspname) || '.' || quote_ident(c.relname))::oid = c.oid
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY (%s::oid[])`

// exportScan locks the leaves so that their heaps cannot be replaced, exports the
// snapshot, and fills in the sizes of the leaves. ErrRewritten says that a heap was
// replaced just before.
func exportScan(ctx context.Context, c *session.Session, t driver.Table, columns []catalog.Mapped, leaves []*leaf) (basis, error) {
	var b basis
	var sql strings.Builder
	byOID := map[int64]*leaf{}
	oids := make([]string, len(leaves))
	for i, l := range leaves {
		fmt.Fprintf(&sql, "SELECT %s, xmin FROM %s WHERE ctid = '(0,0)' LIMIT 0;", list(t, columns), l.only())
		byOID[l.oid], oids[i] = l, strconv.FormatInt(l.oid, 10)
	}
	sql.WriteString(where + ";" + fmt.Sprintf(sizes, session.Literal("{"+strings.Join(oids, ",")+"}")))
	told, known := false, 0
	err := c.Run(ctx, sql.String(), func(statement int, row [][]byte) error {
		if statement == len(leaves) {
			b = basis{snapshot: string(row[0]), extent: string(row[1]), block: max(session.Number(row[4]), 1)}
			b.xmin, _ = strconv.ParseUint(string(row[2]), 10, 64)
			b.xmax, _ = strconv.ParseUint(string(row[3]), 10, 64)
			told = string(row[5]) == "f" && string(row[6]) == "t"
			return nil
		}
		l := byOID[session.Number(row[0])]
		if l == nil {
			return binarycopy.ErrMalformed
		}
		if row[2] == nil || session.Number(row[1]) != session.Number(row[2]) || !session.Truth(row[7]) {
			return session.ErrRewritten
		}
		known++
		l.filenode = session.Number(row[2])
		l.blocks = max(session.Number(row[3]), 0)/b.block + min(session.Number(row[3])%b.block, 1)
		l.bytes = max(session.Number(row[3]), 0) + max(session.Number(row[4]), 0)
		tuples, _ := strconv.ParseFloat(string(row[5]), 64)
		l.density = -1
		if pages := session.Number(row[6]); pages > 0 && tuples >= 0 {
			l.density = tuples / float64(pages)
		}
		return nil
	})
	switch {
	case errors.Is(err, session.ErrRewritten):
		return b, session.ErrRewritten
	case err != nil:
		return b, unsupported(t, err)
	case known < len(leaves):
		return b, session.ErrRewritten // it was dropped
	}
	for _, column := range t.Columns {
		told = told && !strings.HasPrefix(column.SourceType, "reg") // the text of a regclass changes with what it names
	}
	if told {
		err = findHistory(ctx, c, &b)
	}
	return b, err
}

// findHistory asks for the name of the server's history, and whether it is safe from a
// crash.
func findHistory(ctx context.Context, c *session.Session, b *basis) error {
	return c.Run(ctx, fmt.Sprintf(`SELECT s.system_identifier || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8), pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()
  OR split_part(k.next_xid, ':', 1)::numeric * 4294967296 + split_part(k.next_xid, ':', 2)::numeric >= %d FROM pg_control_system() s, pg_control_checkpoint() k`, b.xmin), func(_ int, row [][]byte) error {
		if name := string(row[0]); len(name) <= maxHistory && !strings.Contains(name, ":") {
			b.history, b.durable = name, string(row[1]) == "t"
		}
		return nil
	})
}
