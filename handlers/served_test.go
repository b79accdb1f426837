package handlers

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/drivertest/servers"
	"headwater/handlers/landing"
	"headwater/handlers/landing/landingtest"
)

// served is a world whose source is a real database server, for one test at a
// time.
type served struct {
	*world
	db     *sql.DB
	config string
	text   string // the type that any value is cast to for a comparison
	exact  string // makes a text column compare bytes
}

// postgresShop returns the worlds of tests that share one PostgreSQL; each
// begins with an empty schema.
func postgresShop(t *testing.T) func(*testing.T, Options) *served {
	t.Helper()
	server := servers.Postgres(t)
	db, err := server.OpenPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	config := fmt.Sprintf(`{"host":%q,"port":%d,"database":%q,"username":%q,"password":%q,"sslmode":"disable"}`,
		server.Host, server.Port, server.Database, server.User, server.Password)
	return func(t *testing.T, o Options) *served {
		t.Helper()
		s := &served{world: newWorld(t, o), db: db, config: config, text: "text", exact: `COLLATE "C"`}
		s.exec("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public")
		return s
	}
}

// mariaShop is postgresShop of MariaDB.
func mariaShop(t *testing.T) func(*testing.T, Options) *served {
	t.Helper()
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	config := fmt.Sprintf(`{"host":%q,"port":%d,"database":%q,"username":%q,"password":%q,"sslmode":"disable"}`,
		server.Host, server.Port, server.Database, server.User, server.Password)
	return func(t *testing.T, o Options) *served {
		t.Helper()
		s := &served{world: newWorld(t, o), db: db, config: config, text: "char", exact: "COLLATE utf8mb4_nopad_bin"}
		s.exec("DROP DATABASE "+server.Database, "CREATE DATABASE "+server.Database, "USE "+server.Database)
		return s
	}
}

func (s *served) exec(statements ...string) {
	s.t.Helper()
	for _, statement := range statements {
		if _, err := s.db.ExecContext(s.t.Context(), statement); err != nil {
			s.t.Fatalf("%.200s: %v", statement, err)
		}
	}
}

// open connects the source.
func (s *served) open() {
	s.t.Helper()
	connector := "postgresql"
	if s.text == "char" {
		connector = "mysql"
	}
	s.connectTo(connector, s.config)
}

// sync runs a sync to its end and returns what it says of its tables by name.
// It fails the test if the sync failed as a whole.
func (s *served) sync(o command.SyncOptions) map[string]event.TableResult {
	s.t.Helper()
	op := s.do(s.syncCommand(o))
	s.idle()
	if names := s.outcomes(s.address); names[len(names)-1] != "SyncCompleted" {
		s.t.Fatalf("the sync ended with %s: %+v", names[len(names)-1], op.Targets)
	}
	tables := map[string]event.TableResult{}
	for _, r := range last[*event.SyncCompleted](s.world).Tables {
		tables[r.Name] = r
	}
	return tables
}

// fails is sync of one that must fail as a whole.
func (s *served) fails(o command.SyncOptions) *event.SyncFailed {
	s.t.Helper()
	s.do(s.syncCommand(o))
	s.idle()
	if names := s.outcomes(s.address); names[len(names)-1] != "SyncFailed" {
		s.t.Fatalf("the sync ended with %s", names[len(names)-1])
	}
	return last[*event.SyncFailed](s.world)
}

// rows returns what readers of a table see: the columns of each row with a |
// between them, NULL as -, sorted.
func (s *served) rows(r event.TableResult, columns ...string) []string {
	s.t.Helper()
	found := []string{}
	for rec, err := range landingtest.Rows(s.t.Context(), r.Location, int64(r.SnapshotID)) {
		s.check(err)
		at := make([]int, len(columns))
		for i, c := range columns {
			indices := rec.Schema().FieldIndices(c)
			if len(indices) != 1 {
				s.t.Fatalf("%s landed with the columns %s, without one %s", r.Name, rec.Schema(), c)
			}
			at[i] = indices[0]
		}
		for row := range int(rec.NumRows()) {
			values := make([]string, len(columns))
			for i, c := range at {
				if values[i] = "-"; !rec.Column(c).IsNull(row) {
					values[i] = rec.Column(c).ValueStr(row)
				}
			}
			found = append(found, strings.Join(values, "|"))
		}
	}
	slices.Sort(found)
	return found
}

// source returns what rows should, of the source at this moment.
func (s *served) sourceRows(table string, columns ...string) []string {
	s.t.Helper()
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = fmt.Sprintf("coalesce(cast(%s as %s), '-')", c, s.text)
	}
	result, err := s.db.QueryContext(s.t.Context(), "SELECT concat_ws('|', "+strings.Join(values, ", ")+") FROM "+table)
	s.check(err)
	defer result.Close()
	found := []string{}
	for result.Next() {
		var row string
		s.check(result.Scan(&row))
		found = append(found, row)
	}
	s.check(result.Err())
	slices.Sort(found)
	return found
}

// same fails the test unless a table holds what the source does.
func (s *served) same(r event.TableResult, table string, columns ...string) {
	s.t.Helper()
	s.want(s.rows(r, columns...), s.sourceRows(table, columns...))
}

func (s *served) want(got, want []string) {
	s.t.Helper()
	if slices.Equal(got, want) {
		return
	}
	missing, surplus := minus(want, got), minus(got, want)
	s.t.Errorf("%d rows landed, want %d: %d are missing %v, %d are too much %v",
		len(got), len(want), len(missing), missing[:min(5, len(missing))], len(surplus), surplus[:min(5, len(surplus))])
}

// minus returns the rows of a that b lacks, as often as it lacks them.
func minus(a, b []string) (rest []string) {
	left := map[string]int{}
	for _, x := range b {
		left[x]++
	}
	for _, x := range a {
		if left[x]--; left[x] < 0 {
			rest = append(rest, x)
		}
	}
	return rest
}

// once calls do when the sync has come to a step for the nth time.
func (s *served) once(step string, nth int, do func()) {
	var mu sync.Mutex
	left := nth
	s.seams.mu.Lock()
	defer s.seams.mu.Unlock()
	s.seams.at = func(at string) {
		mu.Lock()
		defer mu.Unlock()
		if at == step {
			if left--; left == 0 {
				do()
			}
		}
	}
}

// between calls do once a table is known to the sync and not read yet.
func (s *served) between(table string, do func()) {
	var once sync.Once
	s.faults.begin = func(t landing.Target) error {
		if t.Table.Name == table {
			once.Do(do)
		}
		return nil
	}
}

func byCursors(cursors ...string) command.SyncOptions {
	o := command.SyncOptions{Mode: landing.Incremental, CursorField: map[string]string{}}
	for i := 0; i+1 < len(cursors); i += 2 {
		o.CursorField[cursors[i]] = cursors[i+1]
	}
	return o
}
