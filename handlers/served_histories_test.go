package handlers

import (
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
)

var (
	stepsFlag = flag.Int("steps", 0, "steps of the random histories of each database server; 0 for 1000, or one short history with -short")
	seedFlag  = flag.Uint64("seed", 0, "the seed of the one history of each database server that is run")
)

// After every sync of any history of a real database that ended with completed,
// what landed is what the source holds: after a full refresh the same rows; by
// merging the same rows and at most some that were deleted; by appending every
// row, and beside it those alone that were there. What a sync cannot see it says.
func TestHistoriesOfServers(t *testing.T) {
	steps, years := *stepsFlag, 8
	if steps == 0 {
		if steps = 1000; testing.Short() {
			steps, years = 12, 5
		}
	}
	for _, server := range []struct {
		name string
		open func(*testing.T) func(*testing.T, Options) *served
	}{{"postgresql", postgresShop}, {"mariadb", mariaShop}, {"sqlite", sqliteShop}} {
		t.Run(server.name, func(t *testing.T) {
			open, done := server.open(t), 0
			for done < steps && !t.Failed() {
				seed := rand.Uint64() >> 20
				if testing.Short() {
					seed = uint64(1 + done)
				}
				if *seedFlag != 0 {
					seed, steps = *seedFlag, 1
				}
				t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
					options := quick()
					if seed/4%2 == 0 {
						options.CommitBytes = 1
					}
					a := newAnnals(t, open(t, options), server.name, seed)
					for range years {
						a.year()
					}
					done += a.steps
				})
			}
			t.Logf("%d steps", done)
		})
	}
}

// sqliteShop is postgresShop of SQLite.
func sqliteShop(*testing.T) func(*testing.T, Options) *served {
	return func(t *testing.T, o Options) *served {
		t.Helper()
		w := newWorld(t, o)
		db, err := sql.Open("sqlite", filepath.Join(w.files, "shop.db"))
		w.check(err)
		t.Cleanup(func() { db.Close() })
		return &served{world: w, db: db, config: `{"path":"shop.db"}`, text: "text"}
	}
}

// annals are the histories of a few tables of one source, which are synced
// together.
type annals struct {
	*served
	t      *testing.T
	r      *rand.Rand
	server string
	mode   string // full, append, merge
	tables []*annal
	steps  int
	late   *sql.Tx // open across a sync
	batch  int
}

// annal is the history of one table.
type annal struct {
	name    string
	keyed   bool
	cursor  string // type of the cursor column
	columns []string
	exclude string // a column that is not read now
	ids     int    // given out
	writes  int    // number of the last written version of a row
	before  []string
	gone    []string // rows that were there and are not, each as often
	many    bool
}

func newAnnals(t *testing.T, s *served, server string, seed uint64) *annals {
	s.t = t
	a := &annals{served: s, t: t, r: rand.New(rand.NewPCG(seed, 7)), server: server, mode: []string{"append", "merge", "merge", "full"}[seed%4]}
	a.batch = []int{1000, 3, 70}[a.r.IntN(3)]
	t.Logf("mode %s", a.mode)
	types := map[string][]string{
		"postgresql": {"timestamptz", "timestamptz(0)", "bigint", "timestamp(3)"},
		"mariadb":    {"timestamp(6) NULL", "timestamp(0) NULL", "bigint", "timestamp(3) NULL"},
		"sqlite":     {"timestamp", "datetime", "bigint", "timestamp(3)"},
	}[server]
	for i := range 4 {
		n := &annal{name: fmt.Sprintf("t%d", i), keyed: a.mode == "merge" || a.r.IntN(2) == 0, cursor: types[i]}
		a.tables = append(a.tables, n)
		a.create(n, n.name)
		for range a.r.IntN(3) {
			a.insert(a.db, n, n.name, 1+a.r.IntN(30), a.now(n))
		}
	}
	if server == "sqlite" {
		a.connectTo("sqlite", a.config)
	} else {
		a.open()
	}
	return a
}

// year is some steps of every table, and a sync.
func (a *annals) year() {
	for _, n := range a.tables {
		for range a.r.IntN(4) {
			a.step(n)
		}
	}
	a.lateBegins()
	amid := a.tables[a.r.IntN(len(a.tables))]
	raced := a.late == nil && a.r.IntN(5) == 0 && a.server != "sqlite" // where a sync keeps writers out
	if raced {
		a.look(amid)
		a.between(amid.name, func() { a.t.Logf("amid the sync:"); a.step(amid) })
	}
	a.syncAndCheck(raced, amid)
	a.faults.begin = nil
	if a.late != nil {
		a.t.Logf("the late transaction commits")
		a.check(a.late.Commit())
		a.late = nil
		a.syncAndCheck(false, nil)
	}
	if raced {
		a.syncAndCheck(false, nil)
	}
}

func (a *annals) options() command.SyncOptions {
	o := command.SyncOptions{Mode: landing.Incremental, CursorField: map[string]string{}, BatchSize: a.batch}
	if a.mode == "full" || a.r.IntN(12) == 0 {
		o.Mode = landing.FullRefresh
	}
	o.Merge = a.mode == "merge" && o.Mode == landing.Incremental
	for _, n := range a.tables {
		o.CursorField[n.name] = "changed"
		if n.exclude = ""; a.r.IntN(8) == 0 {
			n.exclude = n.columns[len(n.columns)-1]
			if o.Columns == nil {
				o.Columns = map[string]command.Columns{}
			}
			o.Columns[n.name] = command.Columns{Exclude: []string{n.exclude}}
		}
	}
	return o
}

// syncAndCheck syncs and compares every table. One that changed amid the sync
// need only be right after the next.
func (a *annals) syncAndCheck(raced bool, amid *annal) {
	a.t.Helper()
	for _, n := range a.tables {
		a.look(n)
	}
	o := a.options()
	a.t.Logf("sync: %s merge=%t %v", o.Mode, o.Merge, o.Columns)
	results := a.sync(o)
	for _, n := range a.tables {
		a.steps++
		r := results[n.name]
		if raced && n == amid {
			a.look(n)
			continue
		}
		if r.Status != tableCompleted {
			a.t.Fatalf("%s: %s %s", n.name, r.Status, r.Message)
		}
		if len(n.before) == 0 && strings.Contains(fmt.Sprint(r.Notes), "what landed stays until it has rows") {
			continue
		}
		a.compare(n, r, o.Mode)
	}
	verified := a.verify()
	for _, n := range a.tables {
		v := verified[n.name]
		bad := v.Status == event.Unverified || v.Missing+v.Changed > 0 || v.Surplus > 0 && o.Mode == landing.FullRefresh
		if bad && !(raced && n == amid) {
			a.t.Errorf("%s: verify finds it %s: %s %s", n.name, v.Status, v.Message, rowsOf(v))
		}
	}
	if a.t.Failed() {
		for _, n := range a.tables {
			a.t.Logf("%s (%s, key %t): %q", n.name, n.cursor, n.keyed, results[n.name].Notes)
		}
		a.t.FailNow()
	}
}

// look keeps what the source holds of a table, and what no longer.
func (a *annals) look(n *annal) {
	now := a.texts(n, n.name)
	n.gone, n.before = append(n.gone, minus(n.before, now)...), now
}

// texts are the rows of the source: what was written of each row is in its note,
// with a number of its own.
func (a *annals) texts(n *annal, table string) []string {
	return a.sourceRows(table, n.seen()...)
}

// seen are the columns that tell versions of rows apart.
func (n *annal) seen() []string { return []string{"id", "version", "note"} }

func (a *annals) compare(n *annal, r event.TableResult, mode string) {
	a.t.Helper()
	columns := n.seen()
	for _, c := range n.columns {
		if c != n.exclude {
			columns = append(columns, c)
		}
	}
	got, want := a.rows(r, columns...), a.sourceRows(n.name, columns...)
	missing, surplus := minus(want, got), minus(got, want)
	short := func(rows []string) []string { return rows[:min(len(rows), 6)] }
	if len(missing) > 0 {
		a.t.Errorf("%s: of %d rows %d are missing: %q; %d are too much: %q", n.name, len(want), len(missing), short(missing), len(surplus), short(surplus))
		return
	}
	if mode == landing.FullRefresh {
		if len(surplus) > 0 {
			a.t.Errorf("%s: %d rows are too much: %q", n.name, len(surplus), short(surplus))
		}
		return
	}
	if a.mode == "merge" && n.keyed {
		there := map[string]bool{}
		for _, row := range want {
			there[strings.SplitN(row, "|", 2)[0]] = true
		}
		for _, row := range surplus {
			if there[strings.SplitN(row, "|", 2)[0]] {
				a.t.Errorf("%s: an old or second version of a row that is there: %s", n.name, row)
			}
		}
	}
	first := func(rows []string) []string {
		cut := make([]string, len(rows))
		for i, row := range rows {
			cut[i] = strings.Join(strings.SplitN(row, "|", 4)[:3], "|")
		}
		return cut
	}
	if never := minus(first(surplus), n.gone); len(never) > 0 {
		a.t.Errorf("%s: %d rows that landed were not there so often: %q", n.name, len(never), short(never))
	}
	slices.Sort(n.gone)
}

// A read that finds rows without a cursor value and no others stays where it is.
func TestRowsWithoutACursorAlone(t *testing.T) {
	s := mariaShop(t)(t, quick())
	s.exec("CREATE TABLE t (id int PRIMARY KEY, n bigint, note varchar(9))", "INSERT INTO t VALUES (1, 5, 'a'), (2, 9, 'b'), (3, 9, 'c')")
	s.open()
	o := byCursors("t", "n")
	o.Merge = true
	s.sync(o)
	s.exec("DELETE FROM t WHERE id = 2", "UPDATE t SET n = NULL, note = 'x' WHERE id = 3")
	for range 2 {
		r := s.sync(o)["t"]
		s.want(s.rows(r, "id", "note"), []string{"1|a", "2|b", "3|x"})
		if r.Cursor != "9" {
			t.Errorf("the place is %q", r.Cursor)
		}
	}
}

// A full refresh of a table that cannot be divided notes what tells it from
// another one, as every read by a cursor does.
func TestReplacedAfterAFullRefresh(t *testing.T) {
	for _, c := range []struct {
		name, table string
		open        func(*testing.T) func(*testing.T, Options) *served
	}{
		{"mariadb", "CREATE TABLE t (id int, n bigint)", mariaShop},
		{"sqlite", "CREATE TABLE t (id int PRIMARY KEY, n bigint) WITHOUT ROWID", sqliteShop},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.open(t)(t, quick())
			s.exec(c.table, "INSERT INTO t VALUES (1, 50), (2, 90)")
			if c.name == "sqlite" {
				s.connectTo("sqlite", s.config)
			} else {
				s.open()
			}
			o := byCursors("t", "n")
			o.Mode = landing.FullRefresh
			s.sync(o)
			s.exec("DROP TABLE t", c.table, "INSERT INTO t VALUES (3, 10), (4, 20)")
			o.Mode = landing.Incremental
			s.same(s.sync(o)["t"], "t", "id", "n")
		})
	}
}
