package handlers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
)

// change is what happens to the table "thing" (id, version, note, price) of 100
// rows, and what a sync makes of it.
type change struct {
	do      []string
	columns []string // of the source afterwards, nil if there is no table
}

var changes = map[string]change{
	"column added":             {do: []string{"ALTER TABLE thing ADD COLUMN more int DEFAULT 7"}, columns: []string{"id", "version", "note", "price", "more"}},
	"column dropped":           {do: []string{"ALTER TABLE thing DROP COLUMN price"}, columns: []string{"id", "version", "note"}},
	"column renamed":           {do: []string{"ALTER TABLE thing RENAME COLUMN price TO cost"}, columns: []string{"id", "version", "note", "cost"}},
	"columns swapped":          {do: []string{"ALTER TABLE thing RENAME COLUMN price TO x", "ALTER TABLE thing RENAME COLUMN version TO price", "ALTER TABLE thing RENAME COLUMN x TO version"}, columns: []string{"id", "version", "note", "price"}},
	"widened":                  {do: []string{"ALTER TABLE thing %s price %s bigint"}, columns: []string{"id", "version", "note", "price"}},
	"made text":                {do: []string{"ALTER TABLE thing %s price %s varchar(30)"}, columns: []string{"id", "version", "note", "price"}},
	"dropped":                  {do: []string{"DROP TABLE thing"}},
	"renamed":                  {do: []string{"ALTER TABLE thing RENAME TO other"}},
	"truncated":                {do: []string{"TRUNCATE TABLE thing"}, columns: []string{"id", "version", "note", "price"}},
	"dropped and made anew":    {do: []string{"DROP TABLE thing", "CREATE TABLE thing (id int PRIMARY KEY, version int NOT NULL, note varchar(20), price int)", "INSERT INTO thing VALUES (1, 500, 'new', 5)"}, columns: []string{"id", "version", "note", "price"}},
	"dropped and made a view":  {do: []string{"DROP TABLE thing", "CREATE VIEW thing AS SELECT 1 AS id, 600 AS version, 'view' AS note, 5 AS price"}, columns: []string{"id", "version", "note", "price"}},
	"column dropped and added": {do: []string{"ALTER TABLE thing DROP COLUMN note", "ALTER TABLE thing ADD COLUMN note varchar(20) DEFAULT 'fresh'"}, columns: []string{"id", "version", "note", "price"}},
}

// some returns the changes to try on a server: in the short suite PostgreSQL
// stands for both in most of them.
func some(server string) map[string]change {
	few := maps.Clone(changes)
	if testing.Short() && server != "postgresql" {
		maps.DeleteFunc(few, func(name string, _ change) bool {
			return !slices.Contains([]string{"column renamed", "made text", "truncated"}, name)
		})
	}
	return few
}

func (s *served) thing() {
	s.exec(`CREATE TABLE thing (id int PRIMARY KEY, version int NOT NULL, note varchar(20), price int)`, `CREATE TABLE rest (id int PRIMARY KEY)`, `INSERT INTO rest VALUES (1), (2)`)
	s.exec("INSERT INTO thing VALUES " + seed(0, 100, func(i int) string { return fmt.Sprintf("(%d, %d, 'n%d', %d)", i, i, i, 1000+i) }))
}

func (s *served) alter(c change) {
	for _, statement := range c.do {
		if strings.Contains(statement, "%s") {
			if s.text == "char" {
				statement = fmt.Sprintf(statement, "MODIFY", "")
			} else {
				statement = fmt.Sprintf(statement, "ALTER COLUMN", "TYPE")
			}
		}
		s.exec(statement)
	}
}

// heals runs the same sync once more: what it lands is the source, or it is told
// what to do, and that helps.
func (s *served) heals(c change, options command.SyncOptions) {
	s.t.Helper()
	if c.columns == nil {
		s.do(s.syncCommand(options)) // refused or without the table, as options name it or not
		s.idle()
		return
	}
	r := s.sync(options)["thing"]
	if r.Status != tableCompleted {
		if r.Reason != event.ReasonSchemaChanged {
			s.t.Errorf("the next sync: %s %s", r.Reason, r.Message)
		}
		options.Reset = []string{"thing"}
		if r = s.sync(options)["thing"]; r.Status != tableCompleted {
			s.t.Fatalf("after a reset: %s %s", r.Reason, r.Message)
		}
		s.same(r, "thing", c.columns...)
	}
	if options.Mode != landing.Incremental {
		s.same(r, "thing", c.columns...)
	}
}

// What happens to a table while a sync runs, between the moment that it knows
// the table and the moment that it reads it, lands right or fails that table
// with a reason; the next sync heals it.
func TestTablesChangeDuringASync(t *testing.T) {
	for server, start := range map[string]func(*testing.T) func(*testing.T, Options) *served{"postgresql": postgresShop, "mariadb": mariaShop} {
		t.Run(server, func(t *testing.T) {
			fresh := start(t)
			for name, c := range some(server) {
				for _, mode := range []string{landing.FullRefresh, landing.Incremental} {
					t.Run(mode+" "+name, func(t *testing.T) {
						s := fresh(t, quick())
						s.thing()
						s.open()
						options := command.SyncOptions{Mode: mode}
						if mode == landing.Incremental {
							options = byCursors("thing", "version", "rest", "id")
							s.sync(options)
							s.exec("UPDATE thing SET version = version + 200 WHERE id < 10")
						}
						s.between("thing", func() { s.alter(c) })
						got := s.sync(options)
						if got["rest"].Status != tableCompleted {
							t.Errorf("the other table: %+v", got["rest"])
						}
						r := got["thing"]
						switch {
						case r.Status == tableFailed && (r.Reason == "" || r.Message == "" || r.Reason == event.ReasonInternal):
							t.Errorf("it failed with %q: %s", r.Reason, r.Message)
						case r.Status == tableCompleted && c.columns == nil:
							t.Errorf("a table that is gone landed: %+v", r)
						case r.Status == tableCompleted && mode == landing.FullRefresh:
							old := []string{"id", "version", "note", "price"}
							both := slices.DeleteFunc(old, func(x string) bool { return !slices.Contains(c.columns, x) })
							s.same(r, "thing", both...)
						}
						s.heals(c, options)
					})
				}
			}
		})
	}
}

// The same between two incremental syncs.
func TestTablesChangeBetweenSyncs(t *testing.T) {
	for server, start := range map[string]func(*testing.T) func(*testing.T, Options) *served{"postgresql": postgresShop, "mariadb": mariaShop} {
		t.Run(server, func(t *testing.T) {
			fresh := start(t)
			for name, c := range some(server) {
				if c.columns == nil {
					continue
				}
				t.Run(name, func(t *testing.T) {
					s := fresh(t, quick())
					s.thing()
					s.open()
					options := byCursors("thing", "version", "rest", "id")
					options.Merge = true
					s.sync(options)
					s.alter(c)
					if name == "dropped and made a view" {
						options.Merge = false
					}
					r := s.sync(options)["thing"]
					if r.Status != tableCompleted {
						t.Fatalf("%s %s: %s", r.Status, r.Reason, r.Message)
					}
					switch {
					case server == "mariadb" && name == "truncated":
						// an empty table shows nothing that tells a TRUNCATE from a DELETE
					case name != "truncated":
						s.same(r, "thing", c.columns...)
					case !strings.Contains(strings.Join(r.Notes, "\n"), "has no row now"):
						t.Errorf("what landed stays, and nobody is told: %q", r.Notes)
					}
					options.Reset = []string{"thing"}
					s.same(s.sync(options)["thing"], "thing", c.columns...)
				})
			}
		})
	}
}

// An ALTER that waits for a range scan to end changes nothing of what it reads.
func TestAlterWaitsForARead(t *testing.T) {
	fresh := postgresShop(t)
	s := fresh(t, quick())
	s.thing()
	s.open()
	altered := make(chan error, 1)
	s.once("wrote", 1, func() {
		go func() {
			_, err := s.db.ExecContext(t.Context(), "ALTER TABLE thing ALTER COLUMN price TYPE text USING 'changed', DROP COLUMN note")
			altered <- err
		}()
	})
	r := s.sync(command.SyncOptions{BatchSize: 10, Tables: []string{"thing"}})["thing"]
	s.check(<-altered)
	if r.Status == tableCompleted {
		want := make([]string, 100)
		for i := range want {
			want[i] = fmt.Sprintf("%d|%d|n%d|%d", i, i, i, 1000+i)
		}
		slices.Sort(want)
		s.want(s.rows(r, "id", "version", "note", "price"), want)
	}
	s.same(s.sync(command.SyncOptions{})["thing"], "thing", "id", "version", "price")
}
