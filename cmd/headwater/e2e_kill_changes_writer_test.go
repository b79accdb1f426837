package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// keepWriting writes until the returned function is called, which waits for the end:
// short transactions, ones that stay open beside them and may be rolled back, and large
// ones.
func (s *changingSource) keepWriting(seed uint64) (stop func()) {
	quit := make(chan struct{})
	var all sync.WaitGroup
	every := func(pause time.Duration, write func(*rand.Rand)) {
		seed++
		r := rand.New(rand.NewPCG(seed, 2))
		all.Go(func() {
			for {
				select {
				case <-quit:
					return
				case <-time.After(pause):
					write(r)
				}
			}
		})
	}
	every(2*time.Millisecond, func(r *rand.Rand) { s.write(r, 1) }) // its share of a machine that others use
	every(20*time.Millisecond, s.interleave)
	every(time.Second, s.writeMuch)
	return sync.OnceFunc(func() {
		close(quit)
		all.Wait()
		s.settle()
	})
}

// alterEvery is how many transactions lie between two ALTER TABLE.
const alterEvery = 300

// write does random work, a transaction at a time. While the server is down it does
// nothing.
func (s *changingSource) write(r *rand.Rand, n int) {
	for range n {
		switch serial := s.written.Add(1); {
		case serial%7 == 0:
			s.mark()
			continue
		case serial%alterEvery == 0:
			s.alter(r, serial)
			continue
		}
		tx, err := s.db.Begin()
		if err != nil {
			return
		}
		for range 1 + r.IntN(4) {
			if _, err := tx.Exec(s.statement(r)); err != nil {
				break
			}
		}
		_ = tx.Commit()
	}
}

// interleave does random work in a transaction that stays open while others commit. Some
// of its work, or all of it, is rolled back.
func (s *changingSource) interleave(r *rand.Rand) {
	tx, err := s.db.Begin()
	if err != nil {
		return
	}
	defer tx.Rollback()
	for range 1 + r.IntN(4) {
		statements := []string{s.statement(r)}
		if r.IntN(3) == 0 {
			statements = []string{"SAVEPOINT some", s.statement(r), "ROLLBACK TO SAVEPOINT some", s.statement(r)}
		}
		for _, statement := range statements {
			if _, err := tx.Exec(statement); err != nil {
				return
			}
		}
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond) // open, beside others
	}
	if r.IntN(5) > 0 {
		_ = tx.Commit()
	}
}

// writeMuch changes many rows in one transaction, of which most lies in the log before it
// ends.
func (s *changingSource) writeMuch(r *rand.Rand) {
	rows := 500
	if testing.Short() {
		rows = 50
	}
	numbers, upsert := fmt.Sprintf("(SELECT generate_series(1, %d) AS seq) s", rows), "ON CONFLICT (id) DO UPDATE SET note = excluded.note"
	if s.maria() {
		numbers, upsert = fmt.Sprintf("(WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < %d) SELECT seq FROM n) s", rows), "ON DUPLICATE KEY UPDATE note = VALUES(note)"
	}
	tx, err := s.db.Begin()
	if err != nil {
		return
	}
	defer tx.Rollback()
	for range 2 + r.IntN(6) {
		from := r.IntN(20) * rows
		statement := fmt.Sprintf("INSERT INTO bulk (id, note, body) SELECT seq + %d, concat('b', seq, '-%d'), repeat('wide ', 100) FROM %s WHERE true "+upsert, from, r.IntN(1000), numbers)
		switch r.IntN(5) {
		case 0:
			statement = fmt.Sprintf("DELETE FROM bulk WHERE id > %d AND id <= %d", from, from+rows)
		case 1:
			statement = fmt.Sprintf("UPDATE bulk SET note = 'u%d' WHERE id > %d AND id <= %d AND id %% 3 = %d", r.IntN(1000), from, from+rows, r.IntN(3))
		}
		if _, err := tx.Exec(statement); err != nil {
			return
		}
		time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond) // in the log, and not committed
	}
	if r.IntN(4) > 0 {
		_ = tx.Commit()
	}
}

// statement returns one change.
func (s *changingSource) statement(r *rand.Rand) string {
	id, upsert, lines, now, raw := r.IntN(300), "ON CONFLICT (%s) DO UPDATE SET note = excluded.note", "lines", "now()", "decode(md5('%d'), 'hex')"
	if s.maria() {
		upsert, lines, now, raw = "ON DUPLICATE KEY UPDATE /* %s */ note = VALUES(note)", "`lines`", "now(6)", "unhex(left(sha2('%d', 256), 32))"
	}
	moved := func(table string, from, to int) string {
		return fmt.Sprintf("UPDATE %s SET id = %d WHERE id = %d AND NOT EXISTS (SELECT 1 FROM (SELECT id FROM %[1]s WHERE id = %[2]d) x)", table, to, from)
	}
	long := fmt.Sprintf("repeat('%d ', %d)", r.IntN(1000), []int{0, 3, 1000, 3000}[r.IntN(4)])
	statements := []string{
		fmt.Sprintf("INSERT INTO orders (id, note, price, at, done, body, raw, day) VALUES (%d, 'n%d', %d.25, %s, true, %s, "+raw+", '2020-%02d-%02d') "+upsert,
			id, r.IntN(1000), r.IntN(1000), now, long, id, 1+r.IntN(12), 1+r.IntN(28), "id"),
		fmt.Sprintf("UPDATE orders SET price = price + 1, note = NULL, done = NOT done WHERE id = %d", id),
		fmt.Sprintf("UPDATE orders SET body = %s, day = NULL WHERE id = %d", long, id),
		fmt.Sprintf("DELETE FROM orders WHERE id = %d", id),
		moved("orders", id, id+1000),
		fmt.Sprintf("INSERT INTO %s (shop, number, note) VALUES (%d, %d, 'l%d') "+upsert, lines, id%5, id, r.IntN(1000), "shop, number"),
		fmt.Sprintf("DELETE FROM %s WHERE number < %d", lines, r.IntN(40)),
	}
	if added := s.columnsAdded(); len(added) > 0 {
		statements = append(statements, fmt.Sprintf("UPDATE orders SET %s = 'v%d' WHERE id = %d", added[r.IntN(len(added))], r.IntN(1000), id))
	}
	if n := s.later.Load(); n > 0 {
		statements = append(statements, fmt.Sprintf("INSERT INTO %s (id, note) VALUES (%d, 't%d') "+upsert, laterTable(1+r.Int32N(n)), id, r.IntN(1000), "id"))
	}
	if !s.maria() {
		statements = append(statements,
			fmt.Sprintf("INSERT INTO parted (id, note) VALUES (%d, 'p%d') "+upsert, id*4, r.IntN(1000), "id"),
			moved("parted", id*4, 1200+id*4)) // into another partition
	}
	switch r.IntN(60) {
	case 0:
		return "TRUNCATE TABLE " + lines
	case 1, 2, 3:
		return fmt.Sprintf("INSERT INTO loose VALUES (%d, 'same'), (%[1]d, 'same')", id)
	case 4:
		return fmt.Sprintf("UPDATE loose SET note = 'u%d' WHERE a = %d", r.IntN(1000), id)
	case 5:
		return fmt.Sprintf("DELETE FROM loose WHERE a = %d", id)
	}
	return statements[r.IntN(len(statements))]
}

// How many columns are added and not yet taken away, and how many tables.
const (
	mostAdded = 12
	mostLater = 3
)

// alter changes a table: mostly it gives orders another column, of which old rows hold
// NULL or a default, or takes one away.
func (s *changingSource) alter(r *rand.Rand, serial int64) {
	added := s.columnsAdded()
	some := func() string { return added[r.IntN(len(added))] }
	column := fmt.Sprintf("c%d", serial)
	add := "ALTER TABLE orders ADD COLUMN " + column + " varchar(20)"
	switch kind := r.IntN(16); {
	case kind < 2 && s.later.Load() < mostLater:
		n := s.later.Load() + 1
		if s.do("CREATE TABLE "+laterTable(n)+" (id bigint PRIMARY KEY, note text)") == nil {
			s.later.Store(n)
		}
	case kind == 2 && s.later.Load() > 0: // another table of the same name
		name := laterTable(1 + r.Int32N(s.later.Load()))
		_ = s.do("DROP TABLE " + name)
		_ = s.do("CREATE TABLE " + name + " (id bigint PRIMARY KEY, note text, more int)")
	case kind == 3 && !s.maria():
		_ = s.do("TRUNCATE parted_low")
	case kind == 4 && !s.maria():
		if !s.detached {
			s.detached = s.do("ALTER TABLE parted DETACH PARTITION parted_high") == nil
		}
		if s.do("ALTER TABLE parted ATTACH PARTITION parted_high "+highPartition) == nil {
			s.detached = false
		}
	case kind == 5 && len(added) > 0:
		_ = s.do("ALTER TABLE orders RENAME COLUMN " + some() + " TO " + column)
		s.hasColumn(column, true) // the old name goes when it is to be dropped
	case kind == 6 && len(added) > 0 && s.maria():
		_ = s.do("ALTER TABLE orders MODIFY COLUMN " + some() + " varchar(60)")
	case kind == 6 && len(added) > 0:
		_ = s.do("ALTER TABLE orders ALTER COLUMN " + some() + " TYPE text")
	case len(added) >= mostAdded || len(added) > 0 && kind < 9:
		column = some()
		if err := s.do("ALTER TABLE orders DROP COLUMN " + column); err == nil || strings.Contains(err.Error(), "exist") {
			s.hasColumn(column, false)
		}
	default:
		if kind > 12 {
			add += " DEFAULT 'as it was'"
		}
		_ = s.do(add) // or the server is down
		s.hasColumn(column, true)
	}
}

// do carries out one statement that is noted.
func (s *changingSource) do(statement string) error {
	began := time.Now()
	_, err := s.db.Exec(statement)
	s.altered = append(s.altered, fmt.Sprintf("%s to %s, before %x: %s: %v", began.Format("15:04:05.000"), time.Now().Format("05.000"), s.logEnd(), statement, err))
	return err
}

// columnsAdded returns the columns that were added, with some of which a server that was
// killed has left open whether they are there.
func (s *changingSource) columnsAdded() []string {
	s.columnsMu.Lock()
	defer s.columnsMu.Unlock()
	return slices.Clone(s.added)
}

func (s *changingSource) hasColumn(name string, has bool) {
	s.columnsMu.Lock()
	defer s.columnsMu.Unlock()
	s.added = slices.DeleteFunc(s.added, func(column string) bool { return column == name })
	if has {
		s.added = append(s.added, name)
	}
}

// settle makes whole what a killed server has left half done.
func (s *changingSource) settle() {
	if s.detached {
		_ = s.do("ALTER TABLE parted ATTACH PARTITION parted_high " + highPartition)
	}
	for n := range s.later.Load() {
		_ = s.do("CREATE TABLE IF NOT EXISTS " + laterTable(n+1) + " (id bigint PRIMARY KEY, note text)")
	}
}
