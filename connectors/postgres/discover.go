package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"headwater/connectors/driver"
)

// catalog selects one row a column of the relations that this account may
// read: tables, partitioned tables as one (their partitions are left out),
// views, materialized views and foreign tables, but not the system's. It is
// followed by further conditions and the order.
const catalog = `
SELECT n.nspname, c.relname, c.relkind,
  CASE WHEN c.relkind = 'p' THEN (SELECT sum(l.reltuples)::int8 FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid WHERE p.isleaf AND l.reltuples >= 0)
       WHEN c.relkind IN ('v', 'f') THEN -1 ELSE c.reltuples::int8 END,
  (SELECT json_agg(k.attname ORDER BY array_position(i.indkey::int2[], k.attnum)) FROM pg_index i
     JOIN pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary),
  a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid::int8, a.atttypmod, a.attnotnull, col_description(c.oid, a.attnum)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')`

const (
	inOrder  = " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", a.attnum"
	ofSchema = " AND n.nspname IN (SELECT json_array_elements_text(%s::json))"
	ofTable  = " AND n.nspname = %s AND c.relname = %s"
	// ofDomains comes before: it selects what each domain is made of.
	ofDomains = "SELECT oid::int8, typbasetype::int8, typtypmod FROM pg_type WHERE typtype = 'd';"
)

// relationKinds maps relkind to Table.Kind.
var relationKinds = map[string]string{"r": "table", "p": "table", "f": "table", "v": "view", "m": "view"}

// described is a table with what the catalog says of its columns, in the same
// order.
type described struct {
	driver.Table
	columns []mapped
}

// Discover returns every relation that the account may read, with the columns
// that it may read.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	where := ""
	if len(s.settings.Schemas) > 0 {
		where = fmt.Sprintf(ofSchema, literal(jsonList(s.settings.Schemas)))
	}
	c, found, err := s.describe(ctx, where)
	if err != nil {
		return nil, err
	}
	defer s.keep(ctx, c)
	tables := make([]driver.Table, len(found))
	for i, d := range found {
		tables[i] = d.Table
	}
	// The server has sorted by its own idea of bytes, ours is the contract.
	slices.SortFunc(tables, func(a, b driver.Table) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return tables, nil
}

// describe reads the catalog in a new transaction, whose session it returns.
func (s *source) describe(ctx context.Context, where string) (*session, []described, error) {
	domains := domainMap{}
	var found []described
	c, err := s.transaction(ctx, ofDomains+catalog+where+inOrder, func(statement int, row [][]byte) error {
		if statement == 0 {
			domains[number(row[0])] = attribute{oid: number(row[1]), mod: int32(number(row[2]))}
			return nil
		}
		namespace, name := string(row[0]), string(row[1])
		if n := len(found); n == 0 || found[n-1].Namespace != namespace || found[n-1].Name != name {
			d := described{Table: driver.Table{Namespace: namespace, Name: name, Kind: relationKinds[string(row[2])], RowEstimate: -1}}
			if row[3] != nil {
				d.RowEstimate = max(number(row[3]), -1)
			}
			if row[4] != nil {
				if err := json.Unmarshal(row[4], &d.PrimaryKey); err != nil {
					return driver.E(driver.ErrBadData, nil, "the server's catalog has an unreadable key of %s", d.Table)
				}
			}
			found = append(found, d)
		}
		d := &found[len(found)-1]
		if row[5] == nil { // a table without columns
			return nil
		}
		if len(d.Columns) == s.limits.MaxColumns {
			return driver.E(driver.ErrLimit, nil, "table %s has more than %d columns", d.Table, s.limits.MaxColumns)
		}
		m := mapType(domains.resolve(attribute{oid: number(row[7]), mod: int32(number(row[8]))}))
		d.columns = append(d.columns, m)
		d.Columns = append(d.Columns, driver.Column{
			Name: string(row[5]), Type: m.typ, SourceType: string(row[6]), Nullable: string(row[9]) != "t", Comment: string(row[10]),
		})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for i := range found {
		d := &found[i]
		for _, key := range d.PrimaryKey {
			if _, readable := d.Column(key); !readable {
				d.PrimaryKey = nil
				break
			}
		}
		d.Cursor, d.CursorNotes = driver.DefaultCursor(d.Table)
	}
	return c, found, nil
}

// domainMap leads from a domain to the type it is made of.
type domainMap map[int64]attribute

// resolve follows domains of domains. A server that answers with a circle is
// stopped by the count.
func (m domainMap) resolve(a attribute) attribute {
	for range 32 {
		base, ok := m[a.oid]
		if !ok {
			return a
		}
		if base.mod < 0 {
			base.mod = a.mod
		}
		a = base
	}
	return attribute{}
}

func jsonList(names []string) string {
	text, _ := json.Marshal(names) // strings always marshal
	return string(text)
}

// tableOf reads a JSON array of namespace and name.
func tableOf(text []byte) *driver.Table {
	var names [2]string
	if json.Unmarshal(text, &names) != nil {
		return nil
	}
	return &driver.Table{Namespace: names[0], Name: names[1]}
}
