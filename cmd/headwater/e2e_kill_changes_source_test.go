package main

import (
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/drivertest/servers"
	"headwater/handlers/landing/landingtest"
)

var logicalSettings = []string{"wal_level=logical", "synchronous_commit=on", "max_wal_senders=8", "max_replication_slots=8"}

// changingSource is a database server whose tables change while it is killed.
type changingSource struct {
	t       *testing.T
	name    string
	kind    string // of connect
	server  *servers.Server
	db      *sql.DB
	tables  []string
	written atomic.Int64 // transactions
	rows    int          // in the end
	added   []string     // columns of orders; this and the next are the writer's until it has stopped
	altered []string     // what was

	mu    sync.Mutex
	marks []mark
}

// mark is a row of the table marks, which are inserted and stay, and a place in the log
// behind its commit.
type mark struct {
	id int64
	at uint64
}

func changingPostgres(t *testing.T, server *servers.Server) *changingSource {
	t.Helper()
	db, err := server.OpenPostgres()
	if err != nil {
		t.Fatal(err)
	}
	s := &changingSource{t: t, name: "PostgreSQL", kind: "postgresql", server: server, db: db, tables: []string{"orders", "lines", "parted", "marks"}}
	s.make(`CREATE TABLE orders (id bigint PRIMARY KEY, note text, price numeric(12,2), at timestamptz, done boolean)`,
		`CREATE TABLE lines (shop int, number int, note text, PRIMARY KEY (shop, number))`,
		`CREATE TABLE parted (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id)`,
		`CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (500)`,
		`CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (500) TO (1000000)`,
		`CREATE TABLE marks (id bigint PRIMARY KEY, note text)`)
	return s
}

func changingMariaDB(t *testing.T) *changingSource {
	t.Helper()
	server := servers.MariaDBWith(t, "--log-bin=log", "--server-id=7", "--binlog-format=ROW", "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	s := &changingSource{t: t, name: "MariaDB", kind: "mysql", server: server, db: db, tables: []string{"orders", "lines", "marks"}}
	s.make("CREATE TABLE orders (id bigint PRIMARY KEY, note text, price decimal(12,2), at datetime(6), done boolean)",
		"CREATE TABLE `lines` (shop int, number int, note text, PRIMARY KEY (shop, number))",
		"CREATE TABLE marks (id bigint PRIMARY KEY, note text)")
	return s
}

func (s *changingSource) maria() bool { return s.kind == "mysql" }

func (s *changingSource) make(statements ...string) {
	s.t.Helper()
	s.t.Cleanup(func() { s.db.Close() })
	for _, statement := range statements {
		if _, err := s.db.ExecContext(s.t.Context(), statement); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (s *changingSource) settings() object {
	o := object{"host": s.server.Host, "port": s.server.Port, "database": s.server.Database, "username": s.server.User, "password": s.server.Password, "sslmode": "disable"}
	return o
}

// keepWriting writes until the returned function is called, which waits for the end.
func (s *changingSource) keepWriting(r *rand.Rand) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			case <-time.After(2 * time.Millisecond): // its share of a machine that others use
				s.write(r, 1)
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-ended
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

// statement returns one change.
func (s *changingSource) statement(r *rand.Rand) string {
	id, upsert, lines, now := r.IntN(300), "ON CONFLICT (%s) DO UPDATE SET note = excluded.note", "lines", "now()"
	if s.maria() {
		upsert, lines, now = "ON DUPLICATE KEY UPDATE /* %s */ note = VALUES(note)", "`lines`", "now(6)"
	}
	moved := func(table string, from, to int) string {
		return fmt.Sprintf("UPDATE %s SET id = %d WHERE id = %d AND NOT EXISTS (SELECT 1 FROM (SELECT id FROM %[1]s WHERE id = %[2]d) x)", table, to, from)
	}
	statements := []string{
		fmt.Sprintf("INSERT INTO orders (id, note, price, at, done) VALUES (%d, 'n%d', %d.25, %s, true) "+upsert, id, r.IntN(1000), r.IntN(1000), now, "id"),
		fmt.Sprintf("UPDATE orders SET price = price + 1, note = NULL, done = NOT done WHERE id = %d", id),
		fmt.Sprintf("DELETE FROM orders WHERE id = %d", id),
		moved("orders", id, id+1000),
		fmt.Sprintf("INSERT INTO %s (shop, number, note) VALUES (%d, %d, 'l%d') "+upsert, lines, id%5, id, r.IntN(1000), "shop, number"),
		fmt.Sprintf("DELETE FROM %s WHERE number < %d", lines, r.IntN(40)),
	}
	if !s.maria() {
		statements = append(statements,
			fmt.Sprintf("INSERT INTO parted (id, note) VALUES (%d, 'p%d') "+upsert, id*4, r.IntN(1000), "id"),
			moved("parted", id*4, 1200+id*4)) // into another partition
	}
	if r.IntN(60) == 0 {
		return "TRUNCATE TABLE " + lines
	}
	return statements[r.IntN(len(statements))]
}

// mostAdded is how many columns are added and not yet taken away.
const mostAdded = 12

// alter gives orders another column, of which old rows hold NULL or a default, or takes
// one away.
func (s *changingSource) alter(r *rand.Rand, serial int64) {
	column := fmt.Sprintf("c%d", serial)
	statement := "ALTER TABLE orders ADD COLUMN " + column + " varchar(20)"
	drop := len(s.added) == mostAdded || len(s.added) > 0 && r.IntN(4) == 0
	switch {
	case drop:
		column = s.added[r.IntN(len(s.added))]
		statement = "ALTER TABLE orders DROP COLUMN " + column
	case r.IntN(3) == 0:
		statement += " DEFAULT 'as it was'"
	}
	began := time.Now()
	_, err := s.db.Exec(statement) // or the server is down
	s.altered = append(s.altered, fmt.Sprintf("%s to %s, before %x: %s: %v", began.Format("15:04:05.000"), time.Now().Format("05.000"), s.logEnd(), statement, err))
	switch {
	case drop && (err == nil || strings.Contains(err.Error(), "exist")):
		s.added = slices.DeleteFunc(s.added, func(name string) bool { return name == column })
	case !drop: // one whose fate a killed server has left open, too
		s.added = append(s.added, column)
	}
}

// mark inserts a row that stays, and notes where the log is behind it.
func (s *changingSource) mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := mark{id: 1}
	if n := len(s.marks); n > 0 {
		m.id = s.marks[n-1].id + 1
	}
	// One whose fate a killed server has left open keeps its id.
	if _, err := s.db.Exec(fmt.Sprintf("INSERT INTO marks VALUES (%d, 'mark')", m.id)); err != nil && !strings.Contains(strings.ToLower(err.Error()), "duplicate") {
		return
	}
	if m.at = s.logEnd(); m.at > 0 {
		s.marks = append(s.marks, m)
	}
}

func (s *changingSource) marked() []mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.marks)
}

// logEnd returns where the server's log ends, 0 if it does not answer.
func (s *changingSource) logEnd() uint64 {
	if s.maria() {
		var file, at string
		var do, ignore sql.NullString
		if s.db.QueryRow("SHOW MASTER STATUS").Scan(&file, &at, &do, &ignore) != nil {
			return 0
		}
		return placeOf(file + ":" + at)
	}
	var text string
	if s.db.QueryRow("SELECT pg_current_wal_insert_lsn()").Scan(&text) != nil {
		return 0
	}
	return placeOf(text)
}

// confirmed returns up to where the server was told that everything has landed, 0 if it
// keeps no account of that.
func (s *changingSource) confirmed() uint64 {
	var text string
	if s.maria() || s.db.QueryRow("SELECT coalesce(max(confirmed_flush_lsn), '0/0') FROM pg_replication_slots WHERE NOT temporary").Scan(&text) != nil {
		return 0
	}
	return placeOf(text)
}

// left says what the server keeps for us, "" for nothing.
func (s *changingSource) left() string {
	questions := []string{"SELECT count(*) FROM pg_replication_slots", "SELECT count(*) FROM pg_stat_replication", "SELECT count(*) FROM pg_publication"}
	if s.maria() {
		questions = []string{"SELECT count(*) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"}
	}
	last := ""
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		last = ""
		for _, question := range questions {
			var n int
			if err := s.db.QueryRow(question).Scan(&n); err != nil || n > 0 {
				last = fmt.Sprintf("%d by %s (%v)", n, question, err)
			}
		}
		if last == "" {
			return ""
		}
	}
	return last
}

func (s *changingSource) activity() string {
	if s.maria() {
		return "a MariaDB, see its process list"
	}
	return s.server.PostgresActivity()
}

// column is one of the source's, by name, and how its value is written as text.
type column struct{ name, text string }

// columns returns a table's columns as the source has them.
func (s *changingSource) columns(table string) (all []column) {
	s.t.Helper()
	rows, err := s.db.Query("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '" + table + "' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY ordinal_position")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			s.t.Fatal(err)
		}
		text := name + "::text"
		switch {
		case kind == "datetime":
			text = "timestampdiff(microsecond, '1970-01-01', " + name + ")"
		case s.maria():
			text = "CAST(" + name + " AS char)"
		case kind == "boolean":
			text = name + "::int::text"
		case strings.HasPrefix(kind, "timestamp"):
			text = "(extract(epoch FROM " + name + ") * 1000000)::bigint::text"
		}
		all = append(all, column{name, text})
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// sums returns the md5 of each row of a table with the row.
func (s *changingSource) sums(table string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	var parts []string
	for _, c := range s.columns(table) {
		parts = append(parts, "coalesce("+c.text+", '-')")
	}
	if s.maria() {
		table = "`" + table + "`"
	}
	row := "concat_ws('|', " + strings.Join(parts, ", ") + ")"
	rows, err := s.db.Query("SELECT md5(" + row + "), " + row + " FROM " + table)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var sum, text string
		if err := rows.Scan(&sum, &text); err != nil {
			s.t.Fatal(err)
		}
		all[sum] = text
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// sumsOf is sums of landed rows.
func sumsOf(rows []map[string]string, columns []column) map[string]string {
	all := map[string]string{}
	for _, row := range rows {
		var parts []string
		for _, c := range columns {
			value, ok := row[c.name]
			if !ok {
				value = "no such column"
			}
			parts = append(parts, value)
		}
		text := strings.Join(parts, "|")
		sum := md5.Sum([]byte(text))
		all[hex.EncodeToString(sum[:])] = text
	}
	return all
}

// landedPlace is where a table lies, by the service's catalog.
type landedPlace struct {
	Name     string
	Location string
	Metadata string `json:"metadata_location"`
}

// place asks the service where a table lies. The newest file of its folder may be of
// a commit that was cut off.
func (r *followedRun) place(table string) landedPlace {
	r.t.Helper()
	var all []landedPlace
	r.caller.get("/data/changes/tables?source_id="+r.id).into(r.t, &all)
	for _, p := range all {
		if p.Name == table {
			return p
		}
	}
	return landedPlace{}
}

// rows returns the rows of a table that lies there, each value as the source writes it.
func (r *followedRun) rows(at landedPlace) (all []map[string]string) {
	r.t.Helper()
	snapshot, err := landingtest.Current(at.Metadata)
	if err != nil {
		r.t.Fatal(err)
	}
	for rec, err := range landingtest.Rows(r.t.Context(), at.Location, snapshot) {
		if err != nil {
			r.t.Fatal(err)
		}
		for row := range int(rec.NumRows()) {
			values := map[string]string{}
			for i, field := range rec.Schema().Fields() {
				values[field.Name] = landedText(rec.Column(i), row)
			}
			all = append(all, values)
		}
	}
	return all
}

func landedText(values arrow.Array, row int) string {
	if values.IsNull(row) {
		return "-"
	}
	switch v := values.(type) {
	case *array.Decimal128:
		return v.Value(row).ToString(v.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Timestamp:
		return strconv.FormatInt(int64(v.Value(row)), 10)
	case *array.Boolean:
		if v.Value(row) {
			return "1"
		}
		return "0"
	}
	return values.ValueStr(row)
}
