package handlers

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

type executor interface {
	Exec(query string, args ...any) (sql.Result, error)
}

func (a *annals) do1(on executor, statement string) {
	a.t.Helper()
	a.t.Logf("%.240s", statement)
	if _, err := on.Exec(statement); err != nil {
		a.t.Fatalf("%.240s: %v", statement, err)
	}
}

// create makes the table of a history under a name.
func (a *annals) create(n *annal, table string) {
	key := ""
	if n.keyed {
		key = " PRIMARY KEY"
	}
	id := "integer"
	if a.server == "mariadb" && n.keyed && a.r.IntN(2) == 0 {
		key += " AUTO_INCREMENT"
	}
	n.columns = []string{"more"}
	a.do1(a.db, fmt.Sprintf("CREATE TABLE %s (id %s%s, changed %s, version integer, note varchar(20), more integer DEFAULT 1)", table, id, key, n.cursor))
}

// now is a cursor value of this moment as the database writes it.
func (a *annals) now(n *annal) string { return a.at(n, 0) }

func (a *annals) at(n *annal, ahead time.Duration) string {
	at := time.Now().UTC().Add(ahead)
	switch {
	case n.cursor == "bigint":
		return fmt.Sprint(at.UnixMilli())
	case a.server == "sqlite":
		return at.Format("'2006-01-02 15:04:05" + map[string]string{"timestamp": ".000000", "datetime": "", "timestamp(3)": ".000"}[n.cursor] + "'")
	case strings.HasSuffix(n.cursor, "(0)"), strings.Contains(n.cursor, "(0)"):
		return at.Format("'2006-01-02 15:04:05'")
	case strings.Contains(n.cursor, "(3)"):
		return at.Format("'2006-01-02 15:04:05.000'")
	case a.server == "postgresql":
		return at.Format("'2006-01-02 15:04:05.000000+00'")
	}
	return at.Format("'2006-01-02 15:04:05.000000'")
}

// insert adds rows of new ids with one cursor value.
func (a *annals) insert(on executor, n *annal, table string, rows int, at string) {
	var values []string
	for range rows {
		n.ids++
		n.writes++
		values = append(values, fmt.Sprintf("(%d, %s, %d, 'n%d')", n.ids, at, n.writes, n.writes%3))
	}
	a.do1(on, fmt.Sprintf("INSERT INTO %s (id, changed, version, note) VALUES %s", table, strings.Join(values, ", ")))
}

// update writes rows anew, with a cursor value.
func (a *annals) update(on executor, n *annal, rows int, at string) {
	if n.ids == 0 {
		return
	}
	for range rows {
		n.writes++
		a.do1(on, fmt.Sprintf("UPDATE %s SET changed = %s, version = %d, note = 'u%d' WHERE id = %d", n.name, at, n.writes, n.writes%3, 1+a.r.IntN(n.ids)))
	}
}

// step changes a table in one way.
func (a *annals) step(n *annal) {
	few := 1 + a.r.IntN(5)
	switch p := a.r.IntN(100); {
	case p < 24:
		a.insert(a.db, n, n.name, few, a.now(n))
	case p < 44:
		a.update(a.db, n, few, a.now(n))
	case p < 50:
		a.insert(a.db, n, n.name, few, "NULL")
	case p < 54:
		a.update(a.db, n, few, "NULL")
	case p < 58:
		if n.cursor != "bigint" { // of numbers, none lies in the future
			a.insert(a.db, n, n.name, few, a.at(n, time.Duration(1+a.r.IntN(1000))*time.Hour))
		}
	case p < 61:
		if n.cursor != "bigint" {
			a.update(a.db, n, few, a.at(n, time.Duration(1+a.r.IntN(1000))*time.Hour))
		}
	case p < 63:
		if !n.many { // more of one value than a border notes
			n.many = true
			a.insert(a.db, n, n.name, 4200, a.now(n))
		}
	case p < 69:
		if n.ids > 0 {
			a.do1(a.db, fmt.Sprintf("DELETE FROM %s WHERE id %% %d = %d", n.name, 2+a.r.IntN(5), a.r.IntN(2)))
		}
	case p < 71:
		a.do1(a.db, fmt.Sprintf("DELETE FROM %s WHERE id > %d", n.name, a.r.IntN(n.ids+1)))
	case p < 77:
		a.truncate(n)
	case p < 82:
		a.swap(n)
	case p < 86:
		a.anew(n)
	default:
		a.alter(n)
	}
}

// fill loads rows with new versions into an empty table: of the ids that were
// there before, whose cursors are old or new.
func (a *annals) fill(n *annal, table string) {
	old := n.ids
	n.ids = 0
	switch a.r.IntN(4) {
	case 0: // nothing
	case 1: // fewer than before, old
		a.insert(a.db, n, table, 1+a.r.IntN(max(old, 1)), a.at(n, -time.Duration(1+a.r.IntN(100))*time.Hour))
	case 2: // old and new ones
		a.insert(a.db, n, table, 1+a.r.IntN(40), a.at(n, -time.Duration(1+a.r.IntN(100))*time.Hour))
		a.insert(a.db, n, table, 1+a.r.IntN(40), a.now(n))
	case 3:
		a.insert(a.db, n, table, 1+a.r.IntN(40), a.now(n))
	}
	n.many = n.ids > 4000
	n.ids = max(n.ids, old)
}

// truncate empties a table, which is loaded again with the same rows, new ones, or
// not at all.
func (a *annals) truncate(n *annal) {
	statement := "TRUNCATE TABLE " + n.name
	if a.server == "sqlite" {
		statement = "DELETE FROM " + n.name
	}
	if a.r.IntN(2) > 0 {
		a.do1(a.db, statement)
		a.fill(n, n.name)
		return
	}
	a.do1(a.db, "CREATE TABLE kept AS SELECT * FROM "+n.name)
	a.do1(a.db, statement)
	a.do1(a.db, "INSERT INTO "+n.name+" SELECT * FROM kept")
	a.do1(a.db, "DROP TABLE kept")
}

// swap puts another table in the place of one.
func (a *annals) swap(n *annal) {
	a.create(n, "fresh")
	a.fill(n, "fresh")
	a.do1(a.db, "ALTER TABLE "+n.name+" RENAME TO old_one")
	a.do1(a.db, "ALTER TABLE fresh RENAME TO "+n.name)
	a.do1(a.db, "DROP TABLE old_one")
}

func (a *annals) anew(n *annal) {
	a.do1(a.db, "DROP TABLE "+n.name)
	a.create(n, n.name)
	a.fill(n, n.name)
}

// alter adds a column with a default, drops one and adds it again with another,
// or renames one.
func (a *annals) alter(n *annal) {
	n.writes++
	last := len(n.columns) - 1
	column, fresh := n.columns[last], fmt.Sprintf("c%d", n.writes)
	switch a.r.IntN(3) {
	case 0:
		a.do1(a.db, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s integer DEFAULT %d", n.name, fresh, n.writes))
		n.columns = append(n.columns, fresh)
	case 1:
		a.do1(a.db, fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", n.name, column, fresh))
		n.columns[last] = fresh
	case 2:
		a.do1(a.db, fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", n.name, column))
		a.do1(a.db, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s integer DEFAULT %d", n.name, column, n.writes))
	}
	n.columns = slices.Clone(n.columns)
}

// lateBegins may write rows in a transaction that is open while the next sync
// reads, and, where others can write then, rows with newer cursors behind it.
func (a *annals) lateBegins() {
	if a.r.IntN(3) > 0 {
		return
	}
	tx, err := a.db.BeginTx(a.t.Context(), nil)
	a.check(err)
	a.late = tx
	a.t.Logf("a transaction that commits late:")
	for _, n := range a.tables {
		if a.server == "mariadb" && n.cursor == "bigint" {
			continue // only times tell there how far back open transactions reach
		}
		a.insert(tx, n, n.name, 1+a.r.IntN(3), a.now(n))
		if n.keyed && a.r.IntN(2) == 0 {
			a.update(tx, n, 1, a.now(n))
		}
	}
	if a.server == "sqlite" {
		return
	}
	a.t.Logf("beside it:")
	for _, n := range a.tables {
		if a.r.IntN(2) == 0 {
			a.insert(a.db, n, n.name, 1+a.r.IntN(3), a.now(n))
		}
	}
}
