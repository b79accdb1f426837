package capture_test

import (
	"cmp"
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
	t      testing.TB
	src    *source
	names  []string
	taken  []string // those that the last capture was of
	loaded []string // those that were read whole then
	tables map[string]*mirrored
	landed string
	notes  []string
	log    driver.Log                  // of the last capture
	called string                      // the reader's name, "" for one after the first table
	within string                      // the schema that the tables have to be in, "" for any
	odd    func(name, how string)      // takes what cannot be, nil for the test
	keys   func(driver.Table) []string // key_columns of a table without a key, nil for none
	lose   bool                        // what is read does not land
	deaf   bool                        // the server does not hear what has landed
	// between is called when the tables were captured and before any is read whole.
	between func()
	change  func(*driver.Capture)
	refused map[string]error
	resumes int
}

// mirrored is a table of a mirror.
type mirrored struct {
	table driver.Table
	// origin is the table as it was when rows of it landed last.
	origin driver.Table
	after  string
	rows   map[string][]string // by key
	told   []string            // what came: "insert 1", ...
}

func newMirror(t testing.TB, server *servers.Server, names ...string) *mirror {
	t.Helper()
	return mirrorOf(t, openWith(t, server, func(*session.Settings) {}), names...)
}

func mirrorOf(t testing.TB, src *source, names ...string) *mirror {
	return &mirror{t: t, src: src, names: names, tables: map[string]*mirrored{}}
}

// poolOf makes sessions of the source's kind.
func poolOf(t testing.TB, settings session.Settings) *session.Pool {
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

func handle(t testing.TB, server *servers.Server) *sql.DB {
	t.Helper()
	db, err := server.OpenPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t testing.TB, db interface {
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
	m.taken, m.loaded, m.refused = nil, nil, map[string]error{}
	tables, err := m.src.Discover(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range m.names {
		at := slices.IndexFunc(tables, func(t driver.Table) bool { return t.Name == name && (m.within == "" || t.Namespace == m.within) })
		if at < 0 && m.within != "" {
			m.tables[name] = &mirrored{} // the log goes on without it
			continue
		}
		if at < 0 {
			m.t.Fatalf("no table %s", name)
		}
		if m.keys != nil && len(tables[at].PrimaryKey) == 0 {
			tables[at].PrimaryKey = m.keys(tables[at])
		}
		to := m.tables[name]
		if to == nil || to.table.Identity != tables[at].Identity {
			to = &mirrored{}
			m.tables[name] = to
		}
		if to.after != "" && (!goesOn(to.origin, tables[at]) || !slices.Equal(to.origin.PrimaryKey, tables[at].PrimaryKey)) {
			to.after = ""
		}
		to.retable(tables[at])
		m.taken = append(m.taken, name)
		c.Tables = append(c.Tables, driver.CapturedTable{Table: to.table, After: to.after})
	}
	anew := !slices.ContainsFunc(c.Tables, func(t driver.CapturedTable) bool { return t.After != "" })
	if anew {
		c.Landed = ""
	}
	if m.change != nil {
		m.change(&c)
	}
	log, err := m.src.Capture(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, position := log.Moment(); anew && position != "" {
		m.landed = position
	}
	for i, why := range log.Refused() {
		m.refused[m.taken[i]] = why
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
	gone := false
	for _, c := range was.Columns {
		now, ok := is.Column(c.Name)
		if gone = gone || !ok; ok && now.Identity != c.Identity {
			return false
		}
	}
	for _, c := range is.Columns {
		if _, ok := was.Column(c.Name); !ok && (c.Filled || gone) { // or renamed
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
	defer reader.Close()
	reader.Join(moment)
	for _, name := range m.taken {
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
		to.rows, to.after, to.origin = map[string][]string{}, position, to.table
		m.loaded = append(m.loaded, name)
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
			to := m.tables[m.taken[c.Table]]
			pending = append(append(pending, to.changes(m, c)...), func() { to.origin = to.table })
			c.Record.Release()
		}
		if c.Resume == "" {
			continue
		}
		for _, apply := range pending {
			if !m.lose {
				apply()
			}
		}
		if pending, m.resumes = nil, m.resumes+1; !m.lose {
			m.landed = c.Resume
		}
		if !m.lose && !m.deaf {
			if err := log.Confirm(ctx, c.Resume); err != nil {
				return err
			}
		}
		if enough != nil && enough() {
			return nil
		}
	}
	return nil
}

// changes returns what each row of a batch does to the table.
func (to *mirrored) changes(m *mirror, c driver.Changes) (all []func()) {
	m.t.Helper()
	t, odd := m.t, m.odd
	if odd == nil {
		odd = func(_, how string) { t.Errorf("%s: %s", to.table, how) }
	}
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
					odd(to.table.Name, fmt.Sprintf("a row that is not there is deleted: %q", key))
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
					odd(to.table.Name, fmt.Sprintf("a row comes twice: %q", key))
				}
				to.rows[key] = row
				to.told = append(to.told, "insert "+key)
			})
		case driver.OpUpdate:
			all = append(all, func() {
				was, ok := to.rows[from]
				if !ok {
					odd(to.table.Name, fmt.Sprintf("a row that is not there is updated: %q", from))
					if len(kept) > 0 {
						to.after = "" // only reading it whole tells the values
					}
				}
				for _, at := range kept {
					if ok {
						row[at] = was[at]
					}
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
func (m *mirror) reader() string { return cmp.Or(m.called, "headwater_"+m.names[0]) }

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
func value[T any](t testing.TB, db *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}
