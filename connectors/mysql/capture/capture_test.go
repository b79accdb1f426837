package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

// logServer starts a server with a binary log.
func logServer(t testing.TB, options ...string) (*servers.Server, *sql.DB) {
	t.Helper()
	server := servers.MariaDBWith(t, append([]string{"--log-bin=log", "--server-id=7", "--binlog-format=ROW"}, options...)...)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return server, db
}

func execute(t testing.TB, db *sql.DB, statements string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatalf("%v: %.200s", err, statements)
	}
}

// copied is what a follower of the log has made of a table: rows by their key, each
// as text.
type copied struct {
	table driver.Table
	after string
	rows  map[string]string
	ops   []string

	columns []string // of rows
}

// driverNull is how a NULL is written.
const driverNull = drivertest.Null

// follower reads a log as landing does: whole tables first, then changes.
type follower struct {
	t      testing.TB
	src    source
	db     *sql.DB
	tables map[string]*copied
	landed string
	notes  []string
	ends   []driver.End
	config driver.Capture
	place  driver.Changes // the last place to resume behind a transaction
	strict bool           // no change comes twice
}

func newFollower(t testing.TB, server *servers.Server, db *sql.DB, change func(*session.Settings)) *follower {
	return &follower{t: t, src: openSource(t, settingsOf(server, change)), db: db, tables: map[string]*copied{}}
}

// following makes tables, and a follower on which they have landed.
func following(t testing.TB, server *servers.Server, db *sql.DB, statements string, names ...string) *follower {
	t.Helper()
	execute(t, db, statements)
	f := newFollower(t, server, db, func(*session.Settings) {})
	f.discover(names...)
	f.catchUp()
	return f
}

// wholly reads a table whole, and is followed from there on.
func (f *follower) wholly(name string) {
	f.t.Helper()
	f.tables[name].after = ""
	f.catchUp()
}

// discover looks at the tables of these names again.
func (f *follower) discover(names ...string) {
	f.t.Helper()
	all, err := f.src.Discover(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, table := range all {
		if !slices.Contains(names, table.Name) {
			continue
		}
		if f.tables[table.Name] == nil {
			f.tables[table.Name] = &copied{rows: map[string]string{}}
		}
		f.tables[table.Name].table = table
	}
}

func (f *follower) names() []string { return slices.Sorted(maps.Keys(f.tables)) }

// capture takes the log up, and reads the tables that are to be read whole.
func (f *follower) capture() (driver.Log, error) {
	f.t.Helper()
	c := f.config
	c.Reader, c.Landed = "headwater_test", f.landed
	for _, name := range f.names() {
		c.Tables = append(c.Tables, driver.CapturedTable{Table: f.tables[name].table, After: f.tables[name].after})
	}
	log, err := f.src.Capture(f.t.Context(), c)
	if err != nil {
		return nil, err
	}
	f.t.Cleanup(func() { log.Close() })
	_, position := log.Moment()
	for i, name := range f.names() {
		table := f.tables[name]
		if table.after != "" || log.Refused()[i] != nil {
			continue
		}
		clear(table.rows)
		for b, err := range f.src.Read(f.t.Context(), table.table, driver.Cursor{}) {
			if err != nil {
				log.Close()
				return nil, err
			}
			for row := range int(b.Record.NumRows()) {
				table.put(table.text(b.Record.Columns(), row))
			}
			b.Record.Release()
		}
		table.after = position
	}
	return log, nil
}

// taken is the log, taken up by capture.
func (f *follower) taken() driver.Log {
	f.t.Helper()
	log, err := f.capture()
	if err != nil {
		f.t.Fatal(err)
	}
	return log
}

// changes reads a log to its end and applies it.
func (f *follower) changes(log driver.Log) error {
	f.t.Helper()
	var waiting []driver.Changes
	for c, err := range log.Changes(f.t.Context()) {
		if err != nil {
			for _, c := range waiting {
				c.Record.Release()
			}
			return err
		}
		f.notes = append(f.notes, c.Notes...)
		if c.Record != nil {
			waiting = append(waiting, c)
		}
		if c.Resume == "" {
			continue
		}
		for _, w := range waiting {
			f.apply(w)
		}
		if waiting, f.landed = nil, c.Resume; !c.Committed.IsZero() {
			f.place = c
		}
		if err := log.Confirm(f.t.Context(), c.Resume); err != nil {
			f.t.Fatal(err)
		}
	}
	for _, c := range waiting {
		f.t.Errorf("%d changes came behind the last place to resume", len(c.Ops))
		c.Record.Release()
	}
	return nil
}

func (f *follower) apply(c driver.Changes) {
	f.t.Helper()
	table := f.tables[f.names()[c.Table]]
	if n := int(c.Record.NumRows()); n != len(c.Ops) {
		f.t.Fatalf("%d rows have %d operations", n, len(c.Ops))
	}
	f.ends = append(f.ends, c.Ends...)
	before := ""
	for row, op := range c.Ops {
		key, text := table.text(c.Record.Columns(), row)
		table.ops = append(table.ops, fmt.Sprintf("%d %s", op, text))
		switch op {
		case driver.OpTruncate:
			clear(table.rows)
		case driver.OpDelete, driver.OpOldKey:
			if _, ok := table.rows[key]; !ok {
				f.t.Errorf("%s: a row is gone that was not there: %s", table.table.Name, text)
			}
			if c.Old && len(c.Kept) == 0 && table.given(table.rows[key]) != table.given(text) {
				f.t.Errorf("%s: the row that is gone was\n %s, and the log says\n %s", table.table.Name, table.rows[key], text)
			}
			if op == driver.OpOldKey {
				before = table.rows[key]
			}
			table.drop(key)
			continue
		default:
			if kept := c.Kept[row]; len(kept) > 0 {
				if before == "" {
					before = table.rows[key]
				}
				was, is := strings.Split(before, "|"), strings.Split(text, "|")
				for _, i := range kept {
					is[i] = was[i]
				}
				text = strings.Join(is, "|")
			}
			if was, ok := table.rows[key]; ok && f.strict && op == driver.OpInsert && len(table.table.PrimaryKey) > 0 {
				f.t.Errorf("%s: a row came that was there: %s, as %s", table.table.Name, text, was)
			}
			table.put(key, text)
		}
		before = ""
	}
	c.Record.Release()
}

// upsert applies changes over rows that may have them already.
func (c *copied) upsert(changes driver.Changes) {
	for row, op := range changes.Ops {
		key, text := c.text(changes.Record.Columns(), row)
		switch op {
		case driver.OpTruncate:
			clear(c.rows)
		case driver.OpDelete, driver.OpOldKey:
			delete(c.rows, key)
		default:
			c.rows[key] = text
		}
	}
	changes.Record.Release()
}

// same compares what was followed with what the tables have.
func (f *follower) same() {
	f.t.Helper()
	for _, name := range f.names() {
		f.sameAs(name)
	}
}

// sameAs compares one table.
func (f *follower) sameAs(name string) {
	f.t.Helper()
	table := f.tables[name]
	want := slices.Sorted(slices.Values(keysOf(f.t.(*testing.T), f.src.Read(f.t.Context(), table.table, driver.Cursor{}))))
	got := slices.Sorted(maps.Values(table.rows))
	if !slices.Equal(want, got) {
		f.t.Errorf("%s: %d rows, want %d", name, len(got), len(want))
		for _, row := range want {
			if !slices.Contains(got, row) {
				f.t.Errorf("%s: missing\n %s", name, row)
			}
		}
		for _, row := range got {
			if !slices.Contains(want, row) {
				f.t.Errorf("%s: not there\n %s", name, row)
			}
		}
	}
}

// catchUp captures, reads to the end, and compares.
func (f *follower) catchUp() {
	f.t.Helper()
	log := f.taken()
	defer log.Close()
	if refused := log.Refused(); len(refused) > 0 {
		f.t.Fatalf("refused: %v", refused)
	}
	if err := f.changes(log); err != nil {
		f.t.Fatal(err)
	}
	f.same()
}

// fails captures and reads until there is an error.
func (f *follower) fails(kind error, words string) {
	f.t.Helper()
	log, err := f.capture()
	if err == nil {
		defer log.Close()
		for _, refused := range log.Refused() {
			err = refused
		}
		if err == nil {
			err = f.changes(log)
		}
	}
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		f.t.Errorf("%v, want %v with %q", err, kind, words)
	}
}

// given is a row without its generated columns: a server may have one whose value is not
// what it would be made of now, in a table whose columns were altered.
func (c *copied) given(text string) string {
	values := strings.Split(text, "|")
	for i, k := range c.table.Columns {
		if i < len(values) && strings.Contains(k.Identity, " as ") {
			values[i] = ""
		}
	}
	return strings.Join(values, "|")
}

// put adds a row. A table without a key may have it several times.
func (c *copied) put(key, text string) {
	for len(c.table.PrimaryKey) == 0 && c.rows[key] != "" {
		key += "\x00"
	}
	c.rows[key] = text
}

// drop takes a row away, of several that are the same the last.
func (c *copied) drop(key string) {
	for c.rows[key+"\x00"] != "" {
		key += "\x00"
	}
	delete(c.rows, key)
}

func (c *copied) text(columns []arrowArray, row int) (key, text string) {
	var parts []string
	for i, column := range columns {
		value := drivertest.Text(column, row)
		parts = append(parts, value)
		if slices.Contains(c.table.PrimaryKey, c.table.Columns[i].Name) {
			key += value + "|"
		}
	}
	text = strings.Join(parts, "|")
	if len(c.table.PrimaryKey) == 0 {
		key = text
	}
	return key, text
}

func within(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}
