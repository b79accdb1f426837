package main

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headwater/connectors/drivertest/servers"
)

// logicalSettings have the server hold little of a large transaction in memory, and tell
// a deadlock of the writers soon.
var logicalSettings = []string{"wal_level=logical", "synchronous_commit=on", "max_wal_senders=20", "max_replication_slots=20",
	"logical_decoding_work_mem=64kB", "deadlock_timeout=100ms"}

// changingSource is a database server whose tables change while it is killed.
type changingSource struct {
	t        *testing.T
	name     string
	kind     string // of connect
	server   *servers.Server
	db       *sql.DB
	written  atomic.Int64 // transactions
	rows     int          // in the end
	later    atomic.Int32 // tables later_1 to that one were made meanwhile
	detached bool         // a partition is; this and the next are the writer's until it has stopped
	altered  []string     // what was

	mu    sync.Mutex
	marks []mark

	columnsMu sync.Mutex
	added     []string // columns of orders
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
	s := &changingSource{t: t, name: "PostgreSQL", kind: "postgresql", server: server, db: db}
	s.make(`CREATE TABLE orders (id bigint PRIMARY KEY, note text, price numeric(12,2), at timestamptz, done boolean, body text, raw bytea, day date)`,
		`ALTER TABLE orders ALTER COLUMN body SET STORAGE EXTERNAL`, // long values are not in the row, and not in its updates
		`CREATE TABLE lines (shop int, number int, note text, PRIMARY KEY (shop, number))`,
		`CREATE TABLE parted (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id)`,
		`CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (500)`,
		`CREATE TABLE parted_high PARTITION OF parted `+highPartition,
		`CREATE TABLE loose (a int, note text)`,
		`ALTER TABLE loose REPLICA IDENTITY FULL`,
		`CREATE TABLE bulk (id bigint PRIMARY KEY, note text, body text)`,
		`CREATE TABLE marks (id bigint PRIMARY KEY, note text)`)
	return s
}

const highPartition = "FOR VALUES FROM (500) TO (1000000)"

func changingMariaDB(t *testing.T) *changingSource {
	t.Helper()
	return changingMySQLOf(t, "MariaDB", servers.MariaDBWith(t, append(safeLog, "--log-bin=log", "--server-id=7", "--binlog-format=ROW")...))
}

// safeLog has a server keep what it said it has committed, and its log.
var safeLog = []string{"--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--lock-wait-timeout=20"}

func changingMySQL(t *testing.T) *changingSource {
	t.Helper()
	return changingMySQLOf(t, "MySQL", servers.MySQL(t, safeLog...))
}

func changingMySQLOf(t *testing.T, name string, server *servers.Server) *changingSource {
	t.Helper()
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	s := &changingSource{t: t, name: name, kind: "mysql", server: server, db: db}
	s.make("CREATE TABLE orders (id bigint PRIMARY KEY, note text, price decimal(12,2), at datetime(6), done boolean, body mediumtext, raw varbinary(16), day date)",
		"CREATE TABLE `lines` (shop int, number int, note text, PRIMARY KEY (shop, number))",
		"CREATE TABLE loose (a int, note text)",
		"CREATE TABLE bulk (id bigint PRIMARY KEY, note text, body text)",
		"CREATE TABLE marks (id bigint PRIMARY KEY, note text)")
	return s
}

// tables returns the source's tables with their keys. It is for when the writers have stopped.
func (s *changingSource) tables() map[string][]string {
	all := map[string][]string{"orders": {"id"}, "lines": {"shop", "number"}, "loose": nil, "bulk": {"id"}, "marks": {"id"}}
	if !s.maria() {
		all["parted"] = []string{"id"}
	}
	for n := range s.later.Load() {
		all[laterTable(n+1)] = []string{"id"}
	}
	return all
}

func laterTable(n int32) string { return fmt.Sprintf("later_%d", n) }

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
		var do, ignore, gtids sql.NullString
		status, all := "SHOW MASTER STATUS", []any{&file, &at, &do, &ignore, &gtids}
		if s.name == "MySQL" {
			status = "SHOW BINARY LOG STATUS"
		} else {
			all = all[:4]
		}
		if s.db.QueryRow(status).Scan(all...) != nil {
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

// confirmed returns up to where the server was told by a reader that everything has
// landed, 0 if it keeps no account of that.
func (s *changingSource) confirmed(source string) uint64 {
	var text string
	if s.maria() || s.db.QueryRow("SELECT coalesce(max(confirmed_flush_lsn), '0/0') FROM pg_replication_slots WHERE NOT temporary AND slot_name = $1", "headwater_"+source).Scan(&text) != nil {
		return 0
	}
	return placeOf(text)
}

// disconnect ends the connections of readers, as a network does.
func (s *changingSource) disconnect() {
	if !s.maria() {
		_, _ = s.db.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'headwater%'")
		return
	}
	var id int64
	if s.db.QueryRow("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%' ORDER BY rand() LIMIT 1").Scan(&id) == nil {
		_, _ = s.db.Exec(fmt.Sprintf("KILL %d", id))
	}
}

// left says what the server keeps for us, "" for nothing.
func (s *changingSource) left() string {
	questions := []string{"SELECT count(*) FROM pg_replication_slots", "SELECT count(*) FROM pg_stat_replication", "SELECT count(*) FROM pg_publication"}
	if s.maria() {
		questions = []string{"SELECT count(*) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"}
	}
	last := ""
	for deadline := time.Now().Add(testLimit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
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
		return "a " + s.name + ", see its process list"
	}
	return s.server.PostgresActivity()
}
