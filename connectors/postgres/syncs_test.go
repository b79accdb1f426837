package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/moment"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

// lake is what one table's incremental syncs have landed, the way that the core
// lands it: rows by their key, or where there is none as often as they came.
type lake struct {
	t        *testing.T
	src      *source
	name, by string
	identity string
	from     driver.Cursor
	rows     map[string][]string // by key, or by content where there is none
	restarts int
	notes    []string
}

// sync brings the lake up to date and fails the test unless it has the rows of
// the table then.
func (l *lake) sync() {
	l.t.Helper()
	table := tableOfName(l.t, l.src, l.name)
	if l.from.Value != nil && table.Identity != l.identity {
		l.restart()
	}
	l.identity = table.Identity
	if l.from.Value == nil {
		l.whole(table)
	} else if err := l.more(table); errors.Is(err, driver.ErrReplaced) {
		l.restart()
		l.whole(table)
	} else if err != nil {
		l.t.Fatal(err)
	}
	want, err := rowsOf(l.t, l.src, table, false)
	if err != nil {
		l.t.Fatal(err)
	}
	got := make([][]string, 0, len(l.rows))
	for _, row := range l.rows {
		got = append(got, row)
	}
	for _, rows := range [][][]string{want, got} {
		slices.SortFunc(rows, slices.Compare)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		l.t.Errorf("landed %v, the table has %v", got, want)
	}
}

func (l *lake) restart() {
	l.rows, l.from = nil, driver.Cursor{}
	l.restarts++
}

func (l *lake) whole(table driver.Table) {
	l.t.Helper()
	var last *string
	take := func(read func(func(driver.Batch, error) bool)) {
		for b, err := range read {
			if err != nil {
				l.t.Fatal(err)
			}
			l.take(table, b)
			at := b.Record.Schema().FieldIndices(l.by)[0]
			for row := range int(b.Record.NumRows()) {
				if b.Record.Column(at).IsNull(row) {
					continue
				}
				value := driver.FormatCursor(b.Record.Column(at), row)
				if c, _ := table.Column(l.by); binarycopy.Comparable(c.Type, value) && (last == nil || before(l.t, table, l.by, *last, value)) {
					last = &value
				}
			}
			b.Record.Release()
		}
	}
	l.from = driver.Cursor{Column: l.by}
	sc, err := l.src.Scan(l.t.Context(), table, nil)
	var start driver.Cursor
	if errors.Is(err, driver.ErrUnsupported) {
		if start, err = l.src.Place(l.t.Context(), table, l.by); err == nil {
			take(l.src.Read(l.t.Context(), table, driver.Cursor{}))
		}
	} else if err == nil {
		defer sc.Close()
		for _, r := range sc.Unread() {
			take(sc.Read(l.t.Context(), r))
		}
		start = sc.(driver.Moments).Start(l.by)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	if l.from = start; start.Value == nil || last != nil && before(l.t, table, l.by, *last, *start.Value) {
		l.from.Value = last
	}
}

func before(t *testing.T, table driver.Table, column, a, b string) bool {
	t.Helper()
	c, _ := table.Column(column)
	order, err := driver.CompareCursors(c.Type, a, b)
	if err != nil {
		t.Fatal(err)
	}
	return order < 0
}

func (l *lake) more(table driver.Table) error {
	c, _ := table.Column(l.by)
	l.from.Inclusive, l.from.Nulls = true, c.Nullable
	placed := true
	for b, err := range l.src.Read(l.t.Context(), table, l.from) {
		if err != nil {
			return err
		}
		l.take(table, b)
		if placed = b.Resume != nil; placed {
			if before(l.t, table, l.by, *b.Resume.Value, *l.from.Value) {
				l.t.Errorf("the read goes back from %s to %s", *l.from.Value, *b.Resume.Value)
			}
			l.from.Value, l.from.Position = b.Resume.Value, b.Resume.Position
		}
		b.Record.Release()
	}
	if !placed {
		l.t.Error("the last batch is no place to go on from")
	}
	return nil
}

func (l *lake) take(table driver.Table, b driver.Batch) {
	l.notes = append(l.notes, b.Notes...)
	if l.rows == nil {
		l.rows = map[string][]string{}
	}
	for i := range int(b.Record.NumRows()) {
		var row, key []string
		for at, column := range b.Record.Columns() {
			text := drivertest.Text(column, i)
			row = append(row, text)
			if len(table.PrimaryKey) == 0 || slices.Contains(table.PrimaryKey, table.Columns[at].Name) {
				key = append(key, text)
			}
		}
		l.rows[strings.Join(key, "\x00")] = row
	}
}

// TestIncremental has what a cursor's value alone does not find. After each sync
// the rows that landed are those of the table.
func TestIncremental(t *testing.T) {
	server := servers.Postgres(t)
	src, db := openSmall(t, server, driver.Limits{})
	src.rangeBytes = 0
	conn := func(t *testing.T) *sql.Conn {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	do := func(t *testing.T, on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	}, statements string) {
		t.Helper()
		if _, err := on.ExecContext(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	do(t, db, "CREATE ROLE filtered LOGIN PASSWORD 'filtered-pass-2290'")
	filtered := openSource(t, session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: "filtered", Password: "filtered-pass-2290"}, Port: server.Port, Database: server.Database, RowSecurity: "filter"}).(*source)
	abroad := fmt.Sprintf("CREATE EXTENSION postgres_fdw SCHEMA public; CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%d', dbname '%s'); CREATE USER MAPPING FOR CURRENT_USER SERVER loop OPTIONS (user '%s', password '%s');",
		server.Host, server.Port, server.Database, server.User, server.Password)
	for _, c := range []struct {
		name, by, make string
		steps          []string // a sync before each, and one behind the last; "open: " stays open until the next step is over, "at first: " has no sync before it
		restarts       int
	}{
		{"a transaction that was open", "id", "CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x VALUES (10, 1)",
			[]string{"open: INSERT INTO x VALUES (5, 1)", "INSERT INTO x VALUES (12, 1)", "INSERT INTO x VALUES (13, 1)"}, 0},
		{"one with a savepoint", "id", "CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x VALUES (10, 1)",
			[]string{"open: SAVEPOINT s; INSERT INTO x VALUES (5, 1); RELEASE s", "INSERT INTO x VALUES (12, 1)"}, 0},
		{"an old time", "updated_at", "CREATE TABLE x (id int PRIMARY KEY, updated_at timestamptz); INSERT INTO x VALUES (1, '2026-01-01')",
			[]string{"INSERT INTO x VALUES (2, '2020-01-01'), (3, NULL)", "UPDATE x SET updated_at = NULL WHERE id = 1", "INSERT INTO x VALUES (4, NULL)"}, 0},
		{"a change that the cursor does not show", "id", "CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x SELECT g, 1 FROM generate_series(1, 9) g",
			[]string{"UPDATE x SET v = 2 WHERE id = 3"}, 0},
		{"a view, and a transaction that was open", "updated_at", "CREATE TABLE x_base (id int, updated_at timestamptz DEFAULT now()); INSERT INTO x_base VALUES (1); CREATE VIEW x AS SELECT * FROM x_base",
			[]string{"INSERT INTO x_base VALUES (2)", "open: INSERT INTO x_base VALUES (3)", "INSERT INTO x_base VALUES (4)", "INSERT INTO x_base VALUES (5)"}, 0},
		{"no key, and a transaction that was open", "updated_at", "CREATE TABLE x (id int, updated_at timestamptz DEFAULT now()); INSERT INTO x VALUES (1)",
			[]string{"open: INSERT INTO x VALUES (2)", "INSERT INTO x VALUES (3)", "INSERT INTO x VALUES (4)"}, 0},
		{"no key, a number, and a transaction that was open", "id", "CREATE TABLE x (id int, v int); INSERT INTO x VALUES (10, 1)",
			[]string{"open: INSERT INTO x VALUES (5, 1)", "INSERT INTO x VALUES (12, 1)", "INSERT INTO x VALUES (13, 1)"}, 0},
		{"a partitioned table without partitions", "id", "CREATE TABLE x (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)",
			[]string{"CREATE TABLE x_1 PARTITION OF x FOR VALUES FROM (0) TO (100); INSERT INTO x VALUES (5, 1)", "INSERT INTO x VALUES (6, 1)"}, 0},
		{"no key, and local time that goes back", "updated_at", "CREATE TABLE x (id int, updated_at timestamp); INSERT INTO x VALUES (1, '2026-10-25 02:58')",
			[]string{"INSERT INTO x VALUES (2, '2026-10-25 02:05')", "INSERT INTO x VALUES (3, '2026-10-25 03:10')"}, 0},
		{"truncated and filled again", "id", "CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x SELECT g, 1 FROM generate_series(1, 9) g",
			[]string{"TRUNCATE x; INSERT INTO x SELECT g, 2 FROM generate_series(5, 99) g", "INSERT INTO x VALUES (100, 1)"}, 1},
		{"truncated", "id", "CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x VALUES (1, 1)", []string{"TRUNCATE x"}, 1},
		{"emptied and filled again", "id", "CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x SELECT g, 1 FROM generate_series(1, 9) g",
			[]string{"DELETE FROM x; INSERT INTO x SELECT g, 2 FROM generate_series(1, 4) g"}, 1},
		{"rewritten", "id", "CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x SELECT g, 1 FROM generate_series(1, 9) g",
			[]string{"VACUUM FULL x", "INSERT INTO x VALUES (10, 2)", "CLUSTER x USING x_pkey"}, 0},
		{"swapped", "id", "CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x SELECT g, 1 FROM generate_series(1, 9) g",
			[]string{"DROP TABLE x; CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x VALUES (2, 2)"}, 1},
		{"a view with another definition", "id", "CREATE TABLE x_base (id int, v int); INSERT INTO x_base VALUES (1, 1), (2, 2); CREATE VIEW x AS SELECT id, v FROM x_base WHERE v > 1",
			[]string{"CREATE OR REPLACE VIEW x AS SELECT id, v FROM x_base"}, 1},
		{"a view, and a transaction that is open at its first read", "updated_at", "CREATE TABLE x_base (id int, updated_at timestamptz DEFAULT now()); INSERT INTO x_base VALUES (1); CREATE VIEW x AS SELECT * FROM x_base",
			[]string{"at first: open: INSERT INTO x_base VALUES (3)", "at first: INSERT INTO x_base VALUES (2)", "INSERT INTO x_base VALUES (4)"}, 0},
		{"a view whose rows were deleted and are others", "id", "CREATE TABLE x_base (id int, v int); INSERT INTO x_base SELECT g, 1 FROM generate_series(1, 9) g; CREATE VIEW x AS SELECT * FROM x_base",
			[]string{"DELETE FROM x_base; INSERT INTO x_base SELECT g, 2 FROM generate_series(1, 8) g"}, 1},
		{"a view of a table that was truncated and filled further", "id", "CREATE TABLE x_base (id int, v int); INSERT INTO x_base SELECT g, 1 FROM generate_series(1, 9) g; CREATE VIEW x_one AS SELECT * FROM x_base; CREATE VIEW x AS SELECT * FROM x_one",
			[]string{"TRUNCATE x_base; INSERT INTO x_base SELECT g, 2 FROM generate_series(1, 20) g"}, 1},
		{"a view of a table that was rewritten", "id", "CREATE TABLE x_base (id int, v int); INSERT INTO x_base SELECT g, 1 FROM generate_series(1, 9) g; CREATE VIEW x AS SELECT * FROM x_base",
			[]string{"VACUUM FULL x_base", "INSERT INTO x_base VALUES (10, 1)"}, 0},
		{"a foreign table whose rows are others", "id", `CREATE TABLE x_far (id int, v int); INSERT INTO x_far SELECT g, 1 FROM generate_series(1, 9) g; ` + abroad + `CREATE FOREIGN TABLE x (id int, v int) SERVER loop OPTIONS (schema_name 'public', table_name 'x_far')`,
			[]string{"DELETE FROM x_far; INSERT INTO x_far SELECT g, 2 FROM generate_series(1, 8) g"}, 1},
		{"a table under row security that was truncated", "id", "CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x SELECT g, 1 FROM generate_series(1, 9) g; ALTER TABLE x ENABLE ROW LEVEL SECURITY; ALTER TABLE x FORCE ROW LEVEL SECURITY; CREATE POLICY p ON x USING (true); GRANT USAGE ON SCHEMA public TO filtered; GRANT SELECT ON x TO filtered",
			[]string{"TRUNCATE x; INSERT INTO x SELECT g, 2 FROM generate_series(1, 20) g"}, 1},
		{"partitions that come and go", "id", `CREATE TABLE x (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); CREATE TABLE x_feb PARTITION OF x FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
			INSERT INTO x SELECT g + 1000, '2026-02-03' FROM generate_series(1, 3) g; CREATE TABLE x_jan (id int, day date, PRIMARY KEY (id, day)); INSERT INTO x_jan SELECT g, '2026-01-03' FROM generate_series(1, 3) g`,
			[]string{"ALTER TABLE x ATTACH PARTITION x_jan FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')", "ALTER TABLE x DETACH PARTITION x_feb", "TRUNCATE x_jan; INSERT INTO x VALUES (7, '2026-01-09')"}, 2},
		{"times beyond the calendar", "updated_at", "CREATE TABLE x (id int PRIMARY KEY, updated_at timestamp); INSERT INTO x VALUES (1, '2026-01-01'), (2, '20226-01-05'), (3, '4000-01-01 BC')",
			[]string{"INSERT INTO x VALUES (4, '2026-01-02'), (5, '30000-01-01')", "UPDATE x SET updated_at = '2026-01-03' WHERE id = 2"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			do(t, db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"+c.make)
			l := &lake{t: t, src: src, name: "x", by: c.by}
			var open *sql.Conn
			if strings.Contains(c.make, "filtered") {
				l.src = filtered
			}
			for _, step := range c.steps {
				statements, atFirst := strings.CutPrefix(step, "at first: ")
				if !atFirst {
					l.sync()
				}
				statements, held := strings.CutPrefix(statements, "open: ")
				if held {
					open = conn(t)
					do(t, open, "BEGIN; "+statements)
					continue
				}
				for _, statement := range strings.Split(statements, "; ") { // VACUUM stands alone
					do(t, db, statement)
				}
				if open != nil {
					l.sync()
					do(t, open, "COMMIT")
					open = nil
				}
			}
			l.sync()
			if l.restarts != c.restarts {
				t.Errorf("started over %d times, want %d", l.restarts, c.restarts)
			}
		})
	}
}

// A time ahead of now, at which no read goes on, does not hide from which time on
// rows of open transactions may still come.
func TestPlaceOfOpenTransactionsBesideTimesToCome(t *testing.T) {
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	p := &plan{table: driver.Table{Name: "x", Columns: []driver.Column{{Name: "at", Type: driver.Of(driver.Timestamp)}}}, moment: moment.Moment{At: at, Since: time.Minute}}
	for value, want := range map[string]time.Time{
		"2026-06-01T11:00:00.000000": at.Add(-time.Hour),
		"2026-06-01T14:00:00.000000": at,
		"2027-01-01T00:00:00.000000": at.Add(-zones),
		"9999-12-31T00:00:00.000000": at.Add(-zones),
	} {
		if got := p.ceiling("at")(value); got != want.Add(-time.Minute-summer).Format(layoutTimestamp) {
			t.Errorf("from %s it is %s", value, got)
		}
	}
}
