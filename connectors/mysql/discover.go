package mysql

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"headwater/connectors/driver"
)

const (
	tablesQuery = `SELECT TABLE_NAME, TABLE_TYPE, TABLE_ROWS FROM information_schema.TABLES
WHERE TABLE_SCHEMA = %s AND TABLE_TYPE IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')`
	columnsQuery = `SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, CHARACTER_SET_NAME, COLUMN_COMMENT
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND FIND_IN_SET('select', PRIVILEGES) > 0`
	keysQuery = `SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND INDEX_NAME = 'PRIMARY'`
	// MariaDB has no JSON type but this check on a longtext.
	jsonQuery = `SELECT TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s AND CHECK_CLAUSE LIKE 'json_valid(%%'`
)

// described is a table with what the catalog says of its columns, in the same
// order.
type described struct {
	driver.Table
	columns []mapped
}

// Discover returns the tables and views of the database with the columns that
// the account may read.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	c, err := s.transaction(ctx)
	if err != nil {
		return nil, err
	}
	defer s.keep(ctx, c)
	found, err := s.describe(ctx, c, "")
	if err != nil {
		return nil, err
	}
	tables := make([]driver.Table, len(found))
	for i, d := range found {
		tables[i] = d.Table
	}
	return tables, nil
}

// describe reads the catalog of one table, or of all for "".
func (s *source) describe(ctx context.Context, c *session, table string) ([]described, error) {
	found := map[string]*described{}
	err := c.query(ctx, s.catalog(tablesQuery, table, ""), func(row []*string) error {
		d := &described{Table: driver.Table{Namespace: s.settings.Database, Name: str(row[0]), Kind: "table", RowEstimate: -1}}
		if str(row[1]) == "VIEW" {
			d.Kind = "view"
		} else if row[2] != nil {
			d.RowEstimate = integer(row[2])
		}
		found[d.Name] = d
		return nil
	})
	if err != nil {
		return nil, err
	}
	json, err := s.jsonColumns(ctx, c, table)
	if err != nil {
		return nil, err
	}
	err = c.query(ctx, s.catalog(columnsQuery, table, " ORDER BY TABLE_NAME, ORDINAL_POSITION"), func(row []*string) error {
		d := found[str(row[0])]
		if d == nil { // made since
			return nil
		}
		if len(d.Columns) == s.limits.MaxColumns {
			return driver.E(driver.ErrLimit, nil, "table %s has more than %d columns", d.Table, s.limits.MaxColumns)
		}
		name := str(row[1])
		m := mapType(strings.ToLower(str(row[2])), strings.ToLower(str(row[3])), integer(row[5]), integer(row[6]), integer(row[7]), row[8] == nil, json[[2]string{d.Name, name}])
		d.columns = append(d.columns, m)
		d.Columns = append(d.Columns, driver.Column{Name: name, Type: m.typ, SourceType: str(row[3]), Nullable: str(row[4]) != "NO", Comment: str(row[9])})
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = c.query(ctx, s.catalog(keysQuery, table, " ORDER BY TABLE_NAME, SEQ_IN_INDEX"), func(row []*string) error {
		if d := found[str(row[0])]; d != nil {
			d.PrimaryKey = append(d.PrimaryKey, str(row[1]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []described
	for _, d := range found {
		if len(d.Columns) == 0 { // nothing of it may be read
			continue
		}
		if slices.ContainsFunc(d.PrimaryKey, func(key string) bool { _, ok := d.Column(key); return !ok }) {
			d.PrimaryKey = nil
		}
		d.Cursor = defaultCursor(d.Table)
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b described) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// jsonColumns returns the columns that a check keeps JSON. MySQL has a type of
// its own, and a CHECK_CONSTRAINTS without tables.
func (s *source) jsonColumns(ctx context.Context, c *session, table string) (map[[2]string]bool, error) {
	columns := map[[2]string]bool{}
	mariadb := false
	err := c.query(ctx, "SELECT VERSION()", func(row []*string) error {
		mariadb = strings.Contains(strings.ToLower(str(row[0])), "mariadb")
		return nil
	})
	if err != nil || !mariadb {
		return columns, err
	}
	err = c.query(ctx, s.catalog(jsonQuery, table, ""), func(row []*string) error {
		name, closed := strings.CutSuffix(strings.TrimPrefix(str(row[1]), "json_valid(`"), "`)")
		if closed {
			columns[[2]string{str(row[0]), strings.ReplaceAll(name, "``", "`")}] = true
		}
		return nil
	})
	return columns, err
}

// catalog completes a query for this database, for one table or all.
func (s *source) catalog(query, table, order string) string {
	query = fmt.Sprintf(query, literal(s.settings.Database))
	if table != "" {
		query += " AND TABLE_NAME = " + literal(table)
	}
	return query + order
}

func str(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
