package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// captured is a table whose rows in the log are read.
type captured struct {
	index   int
	table   driver.Table
	after   binlog.Position // transactions before it are skipped
	refused error
	columns []logColumn // as the catalog has them, in the order of the log
	created int64       // seconds since 1970
	engine  string      // in lower case
	fold    bool        // the server ignores case in names of tables
	// overwrites says that the server logs a REPLACE as an update, whose new row has
	// only what the statement names if the session's binlog_row_image is not FULL. What
	// it lacks may be as it was or the column's default.
	overwrites bool
	bulk       bool // rows of sessions that check no keys may be put in as a whole, or not at all
	// ahead is an ALTER that was found before the reading comes to it.
	ahead []ahead

	rows *rowBuilder
}

// ahead is a definition that is known before the log comes to it.
type ahead struct {
	gtid  string
	added []string
}

// capturedQuery asks for tables, their columns, what virtual ones are made of, and the
// foreign keys that may change their rows. What a foreign key does is not shown to an account
// that may only SELECT; that there is one is.
const capturedQuery = `SELECT 't', TABLE_NAME, TABLE_TYPE, ENGINE, UNIX_TIMESTAMP(CREATE_TIME), NULL, NULL, NULL FROM information_schema.TABLES WHERE TABLE_SCHEMA = %[1]s
UNION ALL SELECT 'c', TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, DATETIME_PRECISION, ORDINAL_POSITION FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %[1]s
UNION ALL SELECT 'v', TABLE_NAME, COLUMN_NAME, %[2]s, NULL, NULL, NULL, NULL FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %[1]s AND EXTRA LIKE '%%VIRTUAL%%'
UNION ALL SELECT 'f', TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE, NULL, NULL, NULL FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %[1]s
UNION ALL SELECT DISTINCT 'k', TABLE_NAME, CONSTRAINT_NAME, NULL, NULL, NULL, NULL, NULL FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = %[1]s AND REFERENCED_TABLE_NAME IS NOT NULL`

// logged are the engines whose rows change only through the server that writes the log.
var logged = []string{"innodb", "myisam", "aria", "memory", "rocksdb", "archive", "csv"}

// describe returns what the catalog says of the tables. What is wrong with a table is in
// its refused.
func (s *Capturer) describe(ctx context.Context, c *session.Session, tables []driver.CapturedTable) ([]*captured, error) {
	type found struct {
		kind, engine, foreign string
		keys, shown           map[string]bool // foreign keys, and those whose rules are shown
		created               int64
		columns               [][]*string
		virtual               map[string]string // expressions
	}
	all := map[string]*found{}
	var columns [][]*string
	expression := "GENERATION_EXPRESSION"
	if c.MariaDB && c.Version < 100200 {
		expression = "'@'" // which it does not tell, and may be anything
	}
	err := c.Query(ctx, fmt.Sprintf(capturedQuery, session.Literal(s.pool.Settings.Database), expression), func(row []*string) error {
		name := session.Text(row[1])
		if all[name] == nil {
			all[name] = &found{keys: map[string]bool{}, shown: map[string]bool{}, virtual: map[string]string{}}
		}
		f := all[name]
		switch session.Text(row[0]) {
		case "t":
			f.kind, f.engine = session.Text(row[2]), session.Text(row[3])
			whole, _, _ := strings.Cut(session.Text(row[4]), ".")
			f.created = session.Integer(&whole)
		case "c":
			f.columns = append(f.columns, row)
			columns = append(columns, row)
		case "v":
			f.virtual[session.Text(row[2])] = session.Text(row[3])
		case "k":
			f.keys[session.Text(row[2])] = true
		case "f":
			f.shown[session.Text(row[2])] = true
			if cascades(session.Text(row[3])) || cascades(session.Text(row[4])) {
				f.foreign = session.Text(row[2])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sets, bad, err := charsets(ctx, c, columns)
	if err != nil {
		return nil, err
	}
	merged := map[string]string{} // tables that others write to, by their names
	for name, f := range all {
		if strings.EqualFold(f.engine, "MRG_MyISAM") {
			created, err := s.created(ctx, c, driver.Table{Namespace: s.pool.Settings.Database, Name: name})
			if errors.Is(err, driver.ErrTimeout) || errors.Is(err, driver.ErrUnreachable) { // not of the table
				return nil, err
			}
			for _, n := range created.Union {
				merged[n.Table] = name
			}
		}
	}
	shows, err := s.showsKeys(ctx, c)
	if err != nil {
		return nil, err
	}
	out := make([]*captured, len(tables))
	for i, t := range tables {
		one := &captured{index: i, table: t.Table}
		out[i] = one
		f := all[t.Name]
		if f == nil || t.Namespace != s.pool.Settings.Database || f.kind == "" {
			one.refused = driver.E(driver.ErrNotFound, nil, "table %s is not there, or this account may not read it", t.Table)
			continue
		}
		one.created, one.engine = f.created, strings.ToLower(f.engine)
		var untold error // why it is not known what its foreign keys do
		if f.foreign == "" && (!shows && f.kind == "BASE TABLE" || len(f.shown) < len(f.keys)) {
			var created binlog.Created
			if created, untold = s.created(ctx, c, t.Table); errors.Is(untold, driver.ErrUnreachable) {
				return nil, untold
			}
			f.foreign = created.Cascades
		}
		one.refused = unfit(t.Table, f.kind, f.engine, f.foreign)
		switch {
		case one.refused != nil || untold == nil:
		case !errors.Is(untold, driver.ErrPermission):
			one.refused = untold
		default:
			one.refused = driver.E(driver.ErrUnsupported, nil, "table %s may have columns and foreign keys that this account is not shown, and by a key with CASCADE or SET NULL the server changes rows without a word in the log: GRANT SELECT on the whole table", t.Table)
		}
		if by := merged[t.Name]; by != "" && one.refused == nil {
			one.refused = driver.E(driver.ErrUnsupported, nil, "table %s is a part of %s, by whose name the log has rows that are written through it; %s", t.Table, by, elsewhere(t.Table))
		}
		slices.SortFunc(f.columns, func(a, b []*string) int { return int(session.Integer(a[7]) - session.Integer(b[7])) })
		if n := len(f.columns); n > 0 && session.Integer(f.columns[n-1][7]) != int64(n) && one.refused == nil {
			one.refused = errHidden(t.Table)
		}
		for _, row := range f.columns {
			column := newLogColumn(row[2:])
			column.text = sets[column.charset]
			one.columns = append(one.columns, column)
		}
		if err := s.unseen(one); err != nil {
			return nil, err
		}
		if one.refused == nil {
			one.refused = s.unreadable(one, bad)
		}
		if one.refused == nil {
			one.refused = one.bySession(f.virtual, c.MariaDB)
		}
	}
	return out, nil
}

// errHidden is the refusal of a table of which this account may see some columns alone,
// perhaps on purpose: those can be read whole.
func errHidden(t driver.Table) error {
	return driver.E(driver.ErrUnsupported, nil, "table %s has columns that this account may not see, and rows in the log have all of them: GRANT SELECT on the whole table", t)
}

// hidden returns errHidden if the server refuses to show all columns of a table. The
// catalog does not tell that the last ones are missing.
func (l *changeLog) hidden(ctx context.Context, t *captured) error {
	err := l.aside(ctx, func(c *session.Session) error {
		return c.Query(ctx, "SELECT * FROM "+session.Relation(t.table)+" LIMIT 0", func([]*string) error { return nil })
	})
	if errors.Is(err, driver.ErrPermission) {
		return errHidden(t.table)
	}
	return nil
}

// cascades reports whether a rule of a foreign key changes rows of the table that has
// the key.
func cascades(rule string) bool {
	return rule == "CASCADE" || rule == "SET NULL" || rule == "SET DEFAULT"
}

// showsKeys reports whether the catalog names each foreign key of each table. MariaDB
// hides those of a table from an account with rights to single columns alone, even if
// those are all that there are. The rights of a role are not looked at.
func (s *Capturer) showsKeys(ctx context.Context, c *session.Session) (shows bool, err error) {
	if !c.MariaDB {
		return true, nil
	}
	const ours = "PRIVILEGE_TYPE = 'SELECT' AND GRANTEE = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')"
	err = c.Query(ctx, "SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE "+ours+" UNION ALL SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES WHERE "+ours+" AND "+session.Literal(s.pool.Settings.Database)+" LIKE TABLE_SCHEMA", func([]*string) error {
		shows = true
		return nil
	})
	return shows, err
}

// created returns what the definition of a table says. ErrPermission says that this
// account may not see it.
func (s *Capturer) created(ctx context.Context, c *session.Session, t driver.Table) (created binlog.Created, err error) {
	if err = c.Run(ctx, "SHOW CREATE TABLE "+session.Relation(t), func(row []*string) error {
		created = binlog.ParseCreated(session.Text(row[1]), t.Namespace)
		return nil
	}); err != nil {
		return created, c.Explain(ctx, err, fmt.Sprintf("the definition of table %s", t))
	}
	return created, nil
}

// unfit says why the log does not have all changes of a table, nil if it has.
func unfit(t driver.Table, kind, engine, foreign string) error {
	switch {
	case kind == "VIEW":
		return driver.E(driver.ErrUnsupported, nil, "%s is a view: the log of changes has the rows of tables alone; %s", t, elsewhere(t))
	case kind == "SYSTEM VERSIONED":
		return driver.E(driver.ErrUnsupported, nil, "table %s is system versioned: its log mixes rows of now with those of the past; %s", t, elsewhere(t))
	case kind != "BASE TABLE":
		return driver.E(driver.ErrUnsupported, nil, "%s is a %s: the log of changes has no rows of it", t, strings.ToLower(kind))
	case !slices.Contains(logged, strings.ToLower(engine)):
		return driver.E(driver.ErrUnsupported, nil, "table %s is of the engine %s, whose rows change without the server's log; %s", t, engine, elsewhere(t))
	case foreign != "":
		return driver.E(driver.ErrUnsupported, nil, "table %s has the foreign key %s with CASCADE or SET NULL: the server changes its rows by it without a word in the log; make the key RESTRICT, or %s", t, foreign, elsewhere(t))
	}
	return nil
}

// elsewhere is what to do with a table whose changes cannot be had.
func elsewhere(t driver.Table) string {
	return fmt.Sprintf("leave the table out (sync_options.exclude [%q]) and sync it by another mode", t)
}

// unreadable says why a value in the log cannot be read as a whole read reads it, nil if
// all can.
func (s *Capturer) unreadable(t *captured, bad map[string]error) error {
	for _, c := range t.table.Columns {
		at := slices.IndexFunc(t.columns, func(have logColumn) bool { return have.name == c.Name })
		if at < 0 {
			return driver.E(driver.ErrNotFound, nil, "table %s has no column %s any more, or this account may not read it: discover the schema again", t.table, c.Name)
		}
		have := t.columns[at]
		if err := bad[have.charset]; err != nil {
			return driver.E(driver.ErrUnsupported, nil, "table %s, column %s: %v; convert the column to utf8mb4, exclude it, or read the table by another mode", t.table, c.Name, err)
		}
		if (have.data == "float" || have.data == "double") && c.Type.Kind == driver.String {
			return driver.E(driver.ErrUnsupported, nil, "table %s, column %s: the log has no text of a floating point number: remove connection_config.column_types of it", t.table, c.Name)
		}
	}
	return nil
}

// charsets returns how text of each character set is read, and for some why it cannot
// be.
func charsets(ctx context.Context, c *session.Session, columns [][]*string) (sets map[string]*charset, bad map[string]error, err error) {
	sets, bad = map[string]*charset{}, map[string]error{}
	for _, row := range columns {
		name, data := session.Text(row[5]), session.Text(row[3])
		if _, ok := sets[name]; ok || bad[name] != nil || data == "enum" || data == "set" {
			continue
		}
		cs, err := learnCharset(ctx, c, name)
		var server *mysql.MySQLError
		var ours *driver.Error
		switch {
		case err == nil:
			sets[name] = cs
		case errors.As(err, &server), errors.As(err, &ours) && ours.Kind == driver.ErrUnsupported:
			bad[name] = err
		default:
			return nil, nil, err
		}
	}
	return sets, bad, nil
}

// layout returns where each column of the table is in a row of the log. An error says
// that the rows are not of the table as it is now.
func (t *captured) layout(m *binlog.Table) ([]value, error) {
	var later []string
	for _, a := range t.ahead {
		later = append(later, a.added...)
	}
	var there []logColumn
	for _, c := range t.columns {
		if !slices.ContainsFunc(later, func(name string) bool { return strings.EqualFold(name, c.name) }) {
			there = append(there, c)
		}
	}
	if len(there) != len(m.Columns) {
		return nil, fmt.Errorf("its rows in the log have %d columns, and it has %d that this account may see", len(m.Columns), len(there))
	}
	for i, c := range there {
		log := m.Columns[i]
		switch {
		case m.Named && log.Name != c.name:
			return nil, fmt.Errorf("its column %s is %s in the log", c.name, log.Name)
		case !log.Fits(c.data):
			return nil, fmt.Errorf("its column %s (%s) has another type in the log", c.name, c.full)
		case log.OldTime() && c.digits > 0:
			return nil, fmt.Errorf("its column %s keeps digits after the point in the form of servers before MariaDB 10.1.2: ALTER TABLE ... FORCE with mysql56_temporal_format changes that", c.name)
		case m.Signs && log.Unsigned != c.unsigned && log.Form() == binlog.Number:
			return nil, fmt.Errorf("its column %s has another sign in the log", c.name)
		}
		if digits, scale := log.Digits(); (c.data == "decimal" || c.data == "numeric") && !strings.HasPrefix(strings.ReplaceAll(c.full, " ", ""), fmt.Sprintf("decimal(%d,%d)", digits, scale)) {
			return nil, fmt.Errorf("its column %s (%s) has %d digits, %d after the point, in the log", c.name, c.full, digits, scale)
		}
	}
	values := make([]value, len(t.table.Columns))
	for i, c := range t.table.Columns {
		at := slices.IndexFunc(there, func(have logColumn) bool { return have.name == c.Name })
		values[i] = value{at: at, to: &t.rows.d.Columns[i], limit: t.rows.d.Limits.MaxRowBytes}
		if at >= 0 {
			values[i].have, values[i].log = there[at], m.Columns[at]
		}
	}
	return values, nil
}
