package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
	"headwater/connectors/mysql/typemap"
)

// catalogQuery asks for tables, columns and unique keys in one round trip, each as
// fifteen texts. %[1]s is the name of the database, %[2]s a condition for one table or
// "", %[3]s the expression of a computed column.
const catalogQuery = `SELECT 't', TABLE_NAME, TABLE_TYPE, TABLE_ROWS, DATA_LENGTH, ENGINE, CREATE_TIME, UPDATE_TIME, NULL, TABLE_COMMENT, NULL, NULL, NULL, NULL, NULL
FROM information_schema.TABLES WHERE TABLE_SCHEMA = %[1]s AND TABLE_TYPE IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')%[2]s
UNION ALL SELECT 'c', TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, CONCAT_WS(' ', CHARACTER_SET_NAME, COLLATION_NAME), COLUMN_COMMENT, %[3]s, FIND_IN_SET('select', PRIVILEGES), COLUMN_DEFAULT
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %[1]s%[2]s
UNION ALL SELECT 'k', TABLE_NAME, COLUMN_NAME, SEQ_IN_INDEX, SUB_PART, INDEX_NAME, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %[1]s AND NON_UNIQUE = 0%[2]s`

// jsonQuery adds the checks that MariaDB has in place of a JSON type. MySQL has the
// type, and its CHECK_CONSTRAINTS does not name tables.
const jsonQuery = `
UNION ALL SELECT 'j', TABLE_NAME, CHECK_CLAUSE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %[1]s AND CHECK_CLAUSE LIKE 'json_valid(%%'%[2]s`

// tableInfo is a table with what the catalog says about it. columns are in the order of
// Columns.
type tableInfo struct {
	driver.Table
	columns   []typemap.Mapped
	engine    string
	created   string // when, as text of the server
	updated   string // when a row last changed, "" if the server does not know
	counter   string // the AUTO_INCREMENT column, "" for none
	comment   string // why the server cannot describe it, "" if it can
	bytes     int64  // of its rows, estimated
	unique    []index
	clustered bool     // PrimaryKey is the primary key, in whose order InnoDB keeps the rows
	prefixed  bool     // the primary key holds only the beginning of a column
	computed  bool     // a read evaluates expressions: it is a view or has computed columns
	withheld  []string // columns that this account may not read
}

// Discover returns the tables and views of the database with the columns that the
// account may read. Those that cannot be read have a LeftOut and no columns.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	c, err := s.Transaction(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer s.Keep(c)
	found, err := s.describe(ctx, c, "")
	if err != nil {
		return nil, err
	}
	var server *mysql.MySQLError
	err = c.Run(ctx, "SELECT 1 FROM information_schema.INNODB_TRX LIMIT 1", func([]*string) error { return nil })
	if err != nil && !errors.As(err, &server) {
		return nil, c.Explain(ctx, err, "")
	}
	tables := make([]driver.Table, len(found))
	for i, d := range found {
		tables[i] = d.Table
		columns := slices.Clone(d.withheld)
		for _, c := range d.Columns {
			columns = append(columns, c.Name)
		}
		s.Discovered(d.Name, columns)
		switch {
		case d.Cursor == "":
		case d.Kind == "view":
			tables[i].CursorNotes = append(d.CursorNotes, fmt.Sprintf("%s is a view: rows that a transaction commits late, behind the cursor %s, are not seen; sync_options.lookback finds them.", d.Table, d.Cursor))
		case err != nil:
			tables[i].CursorNotes = append(d.CursorNotes, fmt.Sprintf("This account may not see open transactions (GRANT PROCESS lets it): rows that one commits late, behind the cursor %s, are not seen; sync_options.lookback finds them.", d.Cursor))
		}
	}
	return tables, nil
}

// catalog runs the catalog query and returns its rows, sorted by table and position: a
// UNION promises no order.
func (s *source) catalog(ctx context.Context, c *session.Session, table string) (rows [][]*string, err error) {
	query, only, expression := catalogQuery, "", "IF(EXTRA LIKE '%auto_increment%', 'auto_increment', GENERATION_EXPRESSION)"
	if c.MariaDB {
		query += jsonQuery
		if c.Version < 100200 {
			expression = "IF(EXTRA LIKE '%auto_increment%', 'auto_increment', NULL)"
		}
	}
	if table != "" {
		only = " AND TABLE_NAME = " + session.Literal(table)
	}
	err = c.Query(ctx, fmt.Sprintf(query, session.Literal(s.Settings.Database), only, expression), func(row []*string) error {
		if c.MariaDB && session.Text(row[14]) == "NULL" { // how MariaDB writes that there is no default
			row[14] = nil
		}
		rows = append(rows, row)
		return nil
	})
	slices.SortStableFunc(rows, func(a, b []*string) int {
		return cmp.Or(cmp.Compare(session.Text(a[1]), session.Text(b[1])), cmp.Compare(session.Integer(a[3]), session.Integer(b[3])))
	})
	return rows, err
}

// describe reads the catalog of one table, or of all if table is "". What cannot be
// offered has a LeftOut and no columns.
func (s *source) describe(ctx context.Context, c *session.Session, table string) ([]tableInfo, error) {
	rows, err := s.catalog(ctx, c, table)
	if err != nil {
		return nil, err
	}
	found, json := map[string]*tableInfo{}, map[[2]string]bool{}
	for _, row := range rows {
		switch session.Text(row[0]) {
		case "t":
			found[session.Text(row[1])] = s.table(row)
		case "j":
			name, closed := strings.CutSuffix(strings.TrimPrefix(session.Text(row[2]), "json_valid(`"), "`)")
			if closed {
				json[[2]string{session.Text(row[1]), strings.ReplaceAll(name, "``", "`")}] = true
			}
		}
	}
	for _, row := range rows {
		d := found[session.Text(row[1])]
		if d == nil { // created after the tables were listed
			continue
		}
		switch session.Text(row[0]) {
		case "c":
			if len(d.Columns) == s.Limits.MaxColumns {
				return nil, driver.E(driver.ErrLimit, nil, "table %s has more than %d columns", d.Table, s.Limits.MaxColumns)
			}
			d.column(row, json[[2]string{d.Name, session.Text(row[2])}], &s.Settings)
		case "k":
			d.key(row)
		}
	}
	var all []tableInfo
	for _, d := range found {
		d.settle(s.Settings.Nulls())
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b tableInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// table reads a row of TABLES.
func (s *source) table(row []*string) *tableInfo {
	d := &tableInfo{Table: driver.Table{Namespace: s.Settings.Database, Name: session.Text(row[1]), Kind: "table", RowEstimate: -1}}
	if session.Text(row[2]) == "VIEW" {
		d.Kind, d.computed = "view", true
	} else if row[3] != nil {
		d.RowEstimate = session.Integer(row[3])
	}
	d.bytes, d.engine, d.created, d.updated = session.Integer(row[4]), session.Text(row[5]), session.Text(row[6]), session.Text(row[7])
	if d.engine == "" { // else it is the comment of the owner
		d.comment = session.Text(row[9])
	}
	return d
}

// column adds a row of COLUMNS.
func (d *tableInfo) column(row []*string, json bool, settings *session.Settings) {
	name, full := session.Text(row[2]), strings.ToLower(session.Text(row[5]))
	if session.Integer(row[13]) == 0 {
		d.withheld = append(d.withheld, name)
		return
	}
	charset, collation, _ := strings.Cut(session.Text(row[10]), " ")
	m := typemap.MapType(strings.ToLower(session.Text(row[4])), full, session.Integer(row[7]), session.Integer(row[8]), session.Integer(row[9]), charset, json)
	if settings.AsText(d.Name, name) {
		m = m.Text()
	}
	m.Charset, m.Collation = charset, collation
	d.columns = append(d.columns, m)
	expression := session.Text(row[12])
	filled := session.Text(row[6]) == "NO" || expression != "" || row[14] != nil
	if expression == "auto_increment" {
		d.counter, expression = name, ""
	}
	d.computed = d.computed || expression != ""
	d.Columns = append(d.Columns, driver.Column{
		Name: name, Type: m.Type, SourceType: session.Text(row[5]), Nullable: session.Text(row[6]) != "NO", Comment: session.Text(row[11]),
		Unordered: m.Order == "" && m.Type.Ordered(), Identity: typemap.Identity(session.Text(row[5]), expression), Filled: filled, Grain: typemap.GrainOf(strings.ToLower(session.Text(row[4])), full), Equality: typemap.EqualityOf(strings.ToLower(session.Text(row[4])), charset, collation),
	})
}
