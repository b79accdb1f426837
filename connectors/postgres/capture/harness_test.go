package capture_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
	"headwater/connectors/sqldb"
)

var logical = []string{"wal_level=logical", "max_wal_senders=8", "max_replication_slots=40"}

// programs is where the programs of other versions are, a folder each: 14/bin or 14.
const programs = "HEADWATER_TEST_POSTGRES"

// eachVersion runs a test with the PostgreSQL that is installed, and with those in the
// folder that the environment names.
func eachVersion(t *testing.T, test func(t *testing.T, server *servers.Server), settings ...string) {
	t.Helper()
	settings = append(slices.Clone(logical), settings...)
	t.Run("installed", func(t *testing.T) { test(t, servers.PostgresWith(t, settings...)) })
	eachProgram(t, func(t *testing.T, folder string) { test(t, servers.PostgresOf(t, folder, settings...)) })
}

// eachProgram runs a test with each folder of programs that the environment names.
func eachProgram(t *testing.T, test func(t *testing.T, folder string)) {
	t.Helper()
	others, _ := filepath.Glob(filepath.Join(os.Getenv(programs), "*", "initdb"))
	deeper, _ := filepath.Glob(filepath.Join(os.Getenv(programs), "*", "bin", "initdb"))
	for _, initdb := range append(others, deeper...) {
		if os.Getenv(programs) != "" {
			name, _ := filepath.Rel(os.Getenv(programs), filepath.Dir(initdb))
			t.Run(name, func(t *testing.T) { test(t, filepath.Dir(initdb)) })
		}
	}
}

// mirror lands the changes of some tables in memory, the way that the core does: it
// discovers, captures, reads whole what has to be, and applies changes by key.
type mirror struct {
	t      *testing.T
	src    *source
	names  []string
	tables map[string]*mirrored
	landed string
	notes  []string
	log    driver.Log // of the last capture
	// between is called when the tables were captured and before any is read whole.
	between func()
	change  func(*driver.Capture)
	refused map[string]error
	resumes int
}

// mirrored is a table of a mirror.
type mirrored struct {
	table driver.Table
	after string
	rows  map[string][]string // by key
	told  []string            // what came: "insert 1", ...
}

func newMirror(t *testing.T, server *servers.Server, names ...string) *mirror {
	t.Helper()
	return mirrorOf(t, openWith(t, server, func(*session.Settings) {}), names...)
}

func mirrorOf(t *testing.T, src *source, names ...string) *mirror {
	return &mirror{t: t, src: src, names: names, tables: map[string]*mirrored{}}
}

// poolOf makes sessions of the source's kind.
func poolOf(t *testing.T, settings session.Settings) *session.Pool {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	p, err := session.NewPool(driver.Config{Settings: raw, Dial: new(net.Dialer).DialContext})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func handle(t *testing.T, server *servers.Server) *sql.DB {
	t.Helper()
	db, err := server.OpenPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// capture takes the log up. The caller closes it.
func (m *mirror) capture(ctx context.Context) (driver.Log, error) {
	m.t.Helper()
	c := driver.Capture{Reader: m.reader(), Landed: m.landed, Delay: time.Hour}
	tables, err := m.src.Discover(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range m.names {
		at := slices.IndexFunc(tables, func(t driver.Table) bool { return t.Name == name })
		if at < 0 {
			m.t.Fatalf("no table %s", name)
		}
		to := m.tables[name]
		if to == nil || to.table.Identity != tables[at].Identity {
			to = &mirrored{}
			m.tables[name] = to
		}
		if to.after != "" && !goesOn(to.table, tables[at]) {
			to.after = ""
		}
		to.retable(tables[at])
		c.Tables = append(c.Tables, driver.CapturedTable{Table: to.table, After: to.after})
	}
	if m.change != nil {
		m.change(&c)
	}
	log, err := m.src.Capture(ctx, c)
	if err != nil {
		return nil, err
	}
	m.refused = map[string]error{}
	for i, why := range log.Refused() {
		m.refused[m.names[i]] = why
	}
	m.log = log
	return log, nil
}

// retable has the rows be of the table's columns as they are now.
func (to *mirrored) retable(now driver.Table) {
	for key, row := range to.rows {
		var is []string
		for _, c := range now.Columns {
			at := slices.IndexFunc(to.table.Columns, func(was driver.Column) bool { return was.Name == c.Name })
			if at < 0 {
				is = append(is, null)
			} else {
				is = append(is, row[at])
			}
		}
		to.rows[key] = is
	}
	to.table = now
}

// goesOn is the rule of who may go on after an ALTER TABLE.
func goesOn(was, is driver.Table) bool {
	for _, c := range was.Columns {
		if now, ok := is.Column(c.Name); !ok || now.Identity != c.Identity {
			return false
		}
	}
	for _, c := range is.Columns {
		if _, ok := was.Column(c.Name); !ok && c.Filled {
			return false
		}
	}
	return true
}

// sync brings the mirror up to date.
func (m *mirror) sync() error {
	m.t.Helper()
	for tries := 0; ; tries++ {
		err := m.try(m.t.Context())
		if errors.Is(err, driver.ErrRetyped) && tries < 2 {
			continue
		}
		return err
	}
}

func (m *mirror) try(ctx context.Context) error {
	log, err := m.capture(ctx)
	if err != nil {
		return err
	}
	defer log.Close()
	if m.between != nil {
		m.between()
	}
	if err := m.load(log); err != nil {
		return err
	}
	return m.follow(ctx, log, nil)
}

// load reads whole, over a Source of its own, what has to be.
func (m *mirror) load(log driver.Log) error {
	moment, position := log.Moment()
	reader := m.another()
	reader.Join(moment)
	for _, name := range m.names {
		to := m.tables[name]
		if to.after != "" || m.refused[name] != nil {
			continue
		}
		rows, err := rowsOf(m.t, reader, to.table, true)
		if err != nil {
			return err
		}
		if why := reader.Apart(); why != "" {
			return fmt.Errorf("%s is read apart: %s", name, why)
		}
		to.rows, to.after = map[string][]string{}, position
		for _, row := range rows {
			to.rows[keyOf(to.table, row)] = row
		}
	}
	return nil
}

// another opens another Source of the same settings, as another process does.
func (m *mirror) another() *source {
	m.t.Helper()
	return open(m.t, m.src.settings)
}

// follow applies changes up to each place to resume, and confirms it. enough, if not
// nil, ends it behind a place.
func (m *mirror) follow(ctx context.Context, log driver.Log, enough func() bool) error {
	var pending []func()
	for c, err := range log.Changes(ctx) {
		if err != nil {
			return err
		}
		m.notes = append(m.notes, c.Notes...)
		if c.Record != nil {
			to := m.tables[m.names[c.Table]]
			pending = append(pending, to.changes(m.t, c)...)
			c.Record.Release()
		}
		if c.Resume == "" {
			continue
		}
		for _, apply := range pending {
			apply()
		}
		pending, m.landed, m.resumes = nil, c.Resume, m.resumes+1
		if err := log.Confirm(ctx, c.Resume); err != nil {
			return err
		}
		if enough != nil && enough() {
			return nil
		}
	}
	return nil
}

// changes returns what each row of a batch does to the table.
func (to *mirrored) changes(t *testing.T, c driver.Changes) (all []func()) {
	t.Helper()
	if int(c.Record.NumRows()) != len(c.Ops) {
		t.Errorf("%d rows and %d operations", c.Record.NumRows(), len(c.Ops))
	}
	ended := 0
	for _, e := range c.Ends {
		ended += e.Rows
		if e.Position == "" || e.Committed.IsZero() {
			t.Errorf("an end without its place: %v", e)
		}
	}
	if ended < len(c.Ops) {
		t.Errorf("%d of %d rows have an end", ended, len(c.Ops))
	}
	old := ""
	for i, op := range c.Ops {
		row := make([]string, c.Record.NumCols())
		for at, column := range c.Record.Columns() {
			row[at] = drivertest.Text(column, i)
		}
		key, kept := keyOf(to.table, row), c.Kept[i]
		from := key
		if old != "" {
			from, old = old, ""
		}
		switch op {
		case driver.OpTruncate:
			all = append(all, func() { clear(to.rows); to.told = append(to.told, "truncate") })
		case driver.OpDelete:
			all = append(all, func() {
				if _, ok := to.rows[key]; !ok {
					t.Errorf("%s: a row that is not there is deleted: %q", to.table, key)
				}
				delete(to.rows, key)
				to.told = append(to.told, "delete "+key)
			})
		case driver.OpOldKey:
			old = key
			all = append(all, func() { to.told = append(to.told, "oldkey "+key) })
		case driver.OpInsert:
			all = append(all, func() {
				if _, ok := to.rows[key]; ok {
					t.Errorf("%s: a row comes twice: %q", to.table, key)
				}
				to.rows[key] = row
				to.told = append(to.told, "insert "+key)
			})
		case driver.OpUpdate:
			all = append(all, func() {
				was, ok := to.rows[from]
				if !ok {
					t.Errorf("%s: a row that is not there is updated: %q", to.table, from)
				}
				for _, at := range kept {
					row[at] = was[at]
				}
				delete(to.rows, from)
				to.rows[key] = row
				to.told = append(to.told, "update "+key)
			})
		}
	}
	return all
}

// keyOf returns the values of a row's key, all of them without one.
func keyOf(t driver.Table, row []string) string {
	if len(t.PrimaryKey) == 0 {
		return strings.Join(row, "|")
	}
	var key []string
	for i, c := range t.Columns {
		if slices.Contains(t.PrimaryKey, c.Name) {
			key = append(key, row[i])
		}
	}
	return strings.Join(key, "|")
}

// same fails the test unless the mirror has the rows that the tables have now.
func (m *mirror) same() {
	m.t.Helper()
	for _, name := range m.names {
		want, err := rowsOf(m.t, m.src, tableOfName(m.t, m.src, name), false)
		if err != nil {
			m.t.Fatal(err)
		}
		got := slices.Collect(maps.Values(m.tables[name].rows))
		for _, rows := range [][][]string{want, got} {
			slices.SortFunc(rows, slices.Compare)
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			m.t.Errorf("%s has %d rows, want %d:\n%.2000q\nwant\n%.2000q", name, len(got), len(want), got, want)
		}
	}
}

// synced is sync and same.
func (m *mirror) synced() {
	m.t.Helper()
	if err := m.sync(); err != nil {
		m.t.Fatalf("%+v", err)
	}
	if len(m.refused) > 0 {
		m.t.Fatalf("refused: %v", m.refused)
	}
	m.same()
}

// configOf opens a server without limits or guards.
func configOf(t testing.TB, server *servers.Server) driver.Config {
	t.Helper()
	raw, err := json.Marshal(session.Settings{Settings: sqldb.Settings{Host: server.Host, Username: server.User, Password: server.Password, SSLMode: "disable"}, Port: server.Port, Database: server.Database})
	if err != nil {
		t.Fatal(err)
	}
	return driver.Config{Settings: raw, Dial: new(net.Dialer).DialContext}
}

// reader is a name of the mirror's own.
func (m *mirror) reader() string { return "headwater_" + m.names[0] }

// waitUntil waits until a condition holds.
func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("never: %s", what)
		}
	}
}

// fails fails the test unless an error is of a kind and says something.
func fails(t *testing.T, err error, kind error, text ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%v, want an error of kind %v", err, kind)
		return
	}
	for _, want := range text {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

// value asks for one value.
func value[T any](t *testing.T, db *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}
