package handlers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"headwater/bus/command"
	"headwater/handlers/landing"
)

// What rows do between and during syncs, on real servers of both kinds.
func TestRowsOfARealSource(t *testing.T) {
	for name, start := range map[string]func(*testing.T) func(*testing.T, Options) *served{"postgresql": postgresShop, "mariadb": mariaShop} {
		t.Run(name, func(t *testing.T) {
			fresh := start(t)
			for name, test := range map[string]func(*testing.T, func(*testing.T, Options) *served){
				"many of one cursor": manyOfOneCursor, "NULL cursors": nullCursors, "late rows": lateRows, "the newest deleted": newestDeleted,
				"merge over appended": mergeOverAppended, "written meanwhile": writtenMeanwhile, "one moment": oneMoment,
				"start from": startFrom, "keys": keysOfAllKinds, "one table reset": oneTableReset,
			} {
				t.Run(name, func(t *testing.T) { test(t, fresh) })
			}
		})
	}
}

func seed(from, to int, row func(i int) string) string {
	rows := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		rows = append(rows, row(i))
	}
	return strings.Join(rows, ",")
}

// Rows that share one value of the cursor land once, however small batches and
// commits are, also those that come with it later.
func manyOfOneCursor(t *testing.T, fresh func(*testing.T, Options) *served) {
	o := quick()
	o.CommitBytes = 1
	s := fresh(t, o)
	s.exec(`CREATE TABLE ties (id int PRIMARY KEY, at timestamp(6) NOT NULL, note varchar(20))`, `CREATE INDEX ties_at ON ties (at)`)
	row := func(day string) func(int) string {
		return func(i int) string { return fmt.Sprintf("(%d, '2024-01-%s 10:00:00', 'n%d')", i, day, i) }
	}
	s.exec("INSERT INTO ties VALUES " + seed(0, 5_000, row("02")))
	s.open()
	options := byCursors("ties", "at")
	options.BatchSize = 1000
	s.same(s.sync(options)["ties"], "ties", "id", "note")

	// Behind a cursor, and with a worker that dies among them.
	s.exec("INSERT INTO ties VALUES " + seed(5_000, 10_000, row("03")))
	s.seams.kill("wrote", 5)
	s.same(s.sync(options)["ties"], "ties", "id", "note")
	if s.seams.killed() != 1 {
		t.Error("nothing was killed")
	}
	s.exec("INSERT INTO ties VALUES " + seed(10_000, 10_100, row("03")))
	s.same(s.sync(options)["ties"], "ties", "id", "note")
	s.exec("INSERT INTO ties VALUES " + seed(10_100, 10_200, row("04")))
	s.same(s.sync(options)["ties"], "ties", "id", "note")
	s.exec("INSERT INTO ties VALUES " + seed(10_200, 10_210, row("04")))
	for _, want := range []int64{10, 0} {
		if r := s.sync(options)["ties"]; r.Records != want {
			t.Errorf("%d records, want the %d with the cursor's own value that did not land", r.Records, want)
		} else {
			s.same(r, "ties", "id", "note")
		}
	}
	options.Lookback = "1m"
	for range 2 {
		s.same(s.sync(options)["ties"], "ties", "id", "note")
	}
}

// Rows without a cursor value land each once, also those that come later.
func nullCursors(t *testing.T, fresh func(*testing.T, Options) *served) {
	s := fresh(t, quick())
	s.exec(`CREATE TABLE gaps (id int PRIMARY KEY, version bigint)`)
	s.exec("INSERT INTO gaps VALUES " + seed(0, 3000, func(i int) string {
		if i%3 == 0 {
			return fmt.Sprintf("(%d, NULL)", i)
		}
		return fmt.Sprintf("(%d, %d)", i, i)
	}))
	s.open()
	options := byCursors("gaps", "version")
	options.BatchSize = 100
	s.same(s.sync(options)["gaps"], "gaps", "id", "version")
	s.exec("INSERT INTO gaps VALUES (5000, 5000), (5001, 5001), (5002, NULL)")
	for range 2 {
		s.same(s.sync(options)["gaps"], "gaps", "id", "version")
	}
	options.Merge = true
	s.same(s.sync(options)["gaps"], "gaps", "id", "version")

	// A table whose cursors are all NULL has no place to go on from.
	s.exec("DELETE FROM gaps", "INSERT INTO gaps VALUES (1, NULL), (2, NULL)")
	options.Merge, options.Reset = false, []string{"gaps"}
	s.same(s.sync(options)["gaps"], "gaps", "id", "version")
	options.Reset = nil
	for range 2 {
		s.same(s.sync(options)["gaps"], "gaps", "id", "version")
	}
}

// A row that comes behind the cursor is missed without a lookback, and found
// once with one.
func lateRows(t *testing.T, fresh func(*testing.T, Options) *served) {
	for _, merge := range []bool{false, true} {
		s := fresh(t, quick())
		s.exec(`CREATE TABLE late (id int PRIMARY KEY, version bigint NOT NULL, note varchar(20))`)
		s.exec("INSERT INTO late VALUES " + seed(0, 500, func(i int) string { return fmt.Sprintf("(%d, %d, 'n%d')", i, 10*i, i) }))
		s.open()
		options := byCursors("late", "version")
		options.Merge = merge
		s.sync(options)
		s.exec("INSERT INTO late VALUES (1000, 4985, 'late'), (1001, 5000, 'new')", "UPDATE late SET version = 4987 WHERE id = 3")
		want := int64(1)
		if s.text == "text" {
			want = 3 // PostgreSQL shows which rows were written since
		}
		if r := s.sync(options)["late"]; r.Records != want {
			t.Errorf("merge %t: without a lookback: %+v", merge, r)
		}
		options.Lookback = "20"
		for range 3 {
			got := s.rows(s.sync(options)["late"], "id", "version", "note")
			want := s.sourceRows("late", "id", "version", "note")
			if !merge {
				want = append(want, "3|30|n3") // the version before
				slices.Sort(want)
			}
			s.want(got, want)
		}
	}
}

// The cursor does not go back when the newest rows are deleted at the source.
func newestDeleted(t *testing.T, fresh func(*testing.T, Options) *served) {
	s := fresh(t, quick())
	s.exec(`CREATE TABLE shrinks (id int PRIMARY KEY, note varchar(20))`)
	s.exec("INSERT INTO shrinks VALUES " + seed(0, 100, func(i int) string { return fmt.Sprintf("(%d, 'n%d')", i, i) }))
	s.open()
	options := byCursors("shrinks", "id")
	options.Lookback = "20"
	all := s.rows(s.sync(options)["shrinks"], "id")
	s.exec("DELETE FROM shrinks WHERE id >= 90")
	for _, lookback := range []command.Lookback{"20", "", "5", "50"} {
		options.Lookback = lookback
		r := s.sync(options)["shrinks"]
		if r.Cursor != "99" {
			t.Errorf("lookback %q: the cursor is %s", lookback, r.Cursor)
		}
		s.want(s.rows(r, "id"), all)
	}
}

// Keys that were appended twice are one row once they are merged.
func mergeOverAppended(t *testing.T, fresh func(*testing.T, Options) *served) {
	s := fresh(t, quick())
	s.exec(`CREATE TABLE doubles (id int PRIMARY KEY, version bigint NOT NULL, gone boolean NOT NULL)`)
	s.exec("INSERT INTO doubles VALUES " + seed(0, 300, func(i int) string { return fmt.Sprintf("(%d, %d, false)", i, i) }))
	s.open()
	options := byCursors("doubles", "version")
	s.sync(options)
	for n := range 2 {
		s.exec(fmt.Sprintf("UPDATE doubles SET version = version + 1000 WHERE id < %d", 100*(n+1)))
		s.sync(options)
	}
	if got := len(s.rows(s.sync(options)["doubles"], "id")); got != 600 {
		t.Fatalf("%d rows were appended", got)
	}
	s.exec("UPDATE doubles SET version = version + 5000")
	options.Merge = true
	if s.text == "char" {
		s.same(s.sync(options)["doubles"], "doubles", "id", "version")
		return // its booleans are numbers
	}
	options.Deleted = map[string]string{"doubles": "gone"}
	s.same(s.sync(options)["doubles"], "doubles", "id", "version")
	s.exec("UPDATE doubles SET version = version + 5000, gone = true WHERE id % 2 = 0")
	s.want(s.rows(s.sync(options)["doubles"], "id", "version"), s.sourceRows("doubles WHERE NOT gone", "id", "version"))
	s.exec("UPDATE doubles SET version = version + 5000, gone = false WHERE id % 4 = 0")
	s.want(s.rows(s.sync(options)["doubles"], "id", "version"), s.sourceRows("doubles WHERE NOT gone", "id", "version"))
}

// writes updates rows, one after another, until stop is called. The last one has
// ended then: one that is cut off may still be committed by its server later.
func (s *served) writes(update func(n int) string) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			if _, err := s.db.Exec(update(n)); err != nil {
				s.t.Errorf("write: %v", err)
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// Rows that change while they are read: a merged table ends like the source, an
// appended one holds each version once and the newest of each row.
func writtenMeanwhile(t *testing.T, fresh func(*testing.T, Options) *served) {
	for _, merge := range []bool{false, true} {
		o := quick()
		o.CommitBytes = 1
		s := fresh(t, o)
		const rows = 2000
		s.exec(`CREATE TABLE busy (id int PRIMARY KEY, version bigint NOT NULL, note varchar(20))`, `CREATE INDEX busy_version ON busy (version)`)
		s.exec("INSERT INTO busy VALUES " + seed(0, rows, func(i int) string { return fmt.Sprintf("(%d, %d, 'n%d')", i, i, i) }))
		s.open()
		options := byCursors("busy", "version")
		options.Merge, options.BatchSize = merge, 400
		stop := s.writes(func(n int) string {
			return fmt.Sprintf("UPDATE busy SET version = %d, note = 'v%d' WHERE id = %d", rows+n, n, n*7919%rows)
		})
		for range 4 {
			s.sync(options)
		}
		stop()
		r := s.sync(options)["busy"]
		if merge {
			s.same(r, "busy", "id", "version", "note")
			continue
		}
		got := s.rows(r, "id", "version", "note")
		if n := len(slices.Compact(slices.Clone(got))); n != len(got) {
			t.Errorf("%d versions landed more than once", len(got)-n)
		}
		if missing := minus(s.sourceRows("busy", "id", "version", "note"), got); len(missing) > 0 {
			t.Errorf("%d rows of the source are missing: %v", len(missing), missing[:min(5, len(missing))])
		}
	}
}

// A full refresh is of one moment: what is moved between rows while it reads is
// neither lost nor doubled.
func oneMoment(t *testing.T, fresh func(*testing.T, Options) *served) {
	for _, parallelism := range []int{1, 2, 8} {
		s := fresh(t, quick())
		const rows = 5000
		s.exec(`CREATE TABLE accounts (id int PRIMARY KEY, amount bigint NOT NULL)`)
		s.exec("INSERT INTO accounts VALUES " + seed(0, rows, func(i int) string { return fmt.Sprintf("(%d, 100)", i) }))
		s.open()
		stop := s.writes(func(n int) string {
			a, b := n*7919%rows, (n*104_729+1)%rows
			return fmt.Sprintf("UPDATE accounts SET amount = amount + CASE WHEN id = %d THEN 1 ELSE -1 END WHERE id IN (%d, %d) AND %d <> %d", a, a, b, a, b)
		})
		for range 3 {
			sum, got := 0, s.rows(s.sync(command.SyncOptions{BatchSize: 100, Parallelism: parallelism})["accounts"], "amount")
			for _, text := range got {
				var n int
				if _, err := fmt.Sscan(text, &n); err != nil {
					t.Fatal(err)
				}
				sum += n
			}
			if len(got) != rows || sum != 100*rows {
				t.Errorf("parallelism %d: %d rows with %d in all, want %d with %d", parallelism, len(got), sum, rows, 100*rows)
			}
		}
		stop()
	}
}

// A sync can start from what an earlier one had committed.
func startFrom(t *testing.T, fresh func(*testing.T, Options) *served) {
	s := fresh(t, quick())
	s.exec(`CREATE TABLE steps (id int PRIMARY KEY, version bigint NOT NULL, note varchar(20))`)
	options := byCursors("steps", "version")
	var first string
	for n := range 3 {
		s.exec("INSERT INTO steps VALUES " + seed(100*n, 100*(n+1), func(i int) string { return fmt.Sprintf("(%d, %d, 'n%d')", i, i, i) }))
		if n == 0 {
			s.open()
		}
		if r := s.sync(options)["steps"]; n == 0 {
			first = r.Cursor
		}
	}
	if first != "99" {
		t.Fatalf("the first cursor is %q", first)
	}
	s.exec("UPDATE steps SET note = 'changed' WHERE id >= 50")
	options.StartFrom = map[string]string{"steps": first}
	r := s.sync(options)["steps"]
	if r.Records != 201 || r.Cursor != "299" {
		t.Errorf("%+v", r)
	}
	s.want(s.rows(r, "id", "note"), func() []string {
		want := s.sourceRows("steps WHERE id >= 99", "id", "note")
		for i := range 99 {
			want = append(want, fmt.Sprintf("%d|n%d", i, i)) // before the checkpoint
		}
		slices.Sort(want)
		return want
	}())
	options.StartFrom = nil
	if r := s.sync(options)["steps"]; r.Records != 0 || r.Cursor != "299" {
		t.Errorf("afterwards: %+v", r)
	}
}

// Keys of several columns and of text are merged by their exact values.
func keysOfAllKinds(t *testing.T, fresh func(*testing.T, Options) *served) {
	s := fresh(t, quick())
	s.exec(`CREATE TABLE pairs (b varchar(40) ` + s.exact + ` NOT NULL, a int NOT NULL, version bigint NOT NULL, note varchar(20), secret varchar(20), PRIMARY KEY (a, b))`)
	odd := []string{"", " ", "a", "b", "a b", "ä", "ab", "1", "x|y", "\u00e9", "日本"}
	s.exec("INSERT INTO pairs VALUES " + seed(0, 100*len(odd), func(i int) string {
		return fmt.Sprintf("('k%s', %d, %d, 'n', 'hidden')", odd[i%len(odd)], i/len(odd), i)
	}))
	s.open()
	options := byCursors("pairs", "version")
	options.Merge = true
	options.Columns = map[string]command.Columns{"pairs": {Exclude: []string{"secret"}}}
	for _, parallelism := range []int{1, 2, 8} {
		options.Parallelism, options.Reset = parallelism, nil
		if parallelism == 2 {
			options.Reset = []string{"pairs"}
		}
		r := s.sync(options)["pairs"]
		s.same(r, "pairs", "a", "b", "version", "note")
		s.exec("UPDATE pairs SET version = version + 100000, note = 'again' WHERE a % 3 = 1")
		r = s.sync(options)["pairs"]
		s.same(r, "pairs", "a", "b", "version", "note")
		if _, rows, err := s.lake.Preview(t.Context(), s.address, r.Namespace, "pairs", 1); err != nil || len(rows[0]) != 4 {
			t.Errorf("an excluded column landed: %v (%v)", rows, err)
		}
	}
}

// reset starts one table over and leaves the others where they are.
func oneTableReset(t *testing.T, fresh func(*testing.T, Options) *served) {
	s := fresh(t, quick())
	for _, table := range []string{"one", "two"} {
		s.exec("CREATE TABLE "+table+" (id int PRIMARY KEY, note varchar(20))",
			"INSERT INTO "+table+" VALUES "+seed(0, 100, func(i int) string { return fmt.Sprintf("(%d, 'n')", i) }))
	}
	s.open()
	options := byCursors("one", "id", "two", "id")
	s.sync(options)
	for _, table := range []string{"one", "two"} {
		s.exec("DELETE FROM "+table+" WHERE id < 10", "UPDATE "+table+" SET note = 'changed' WHERE id < 20")
	}
	options.Reset = []string{"on*"}
	got := s.sync(options)
	s.same(got["one"], "one", "id", "note")
	changed := int64(0)
	if s.text == "text" {
		changed = 10 // PostgreSQL shows which rows were written since
	}
	if n := len(s.rows(got["two"], "id")); n != 100 || got["two"].Records != changed || got["one"].Records != 90 {
		t.Errorf("%+v", got)
	}
	options.Reset = nil
	if got := s.sync(options); got["one"].Records != 0 || got["one"].Mode != landing.Incremental {
		t.Errorf("%+v", got["one"])
	}
}
