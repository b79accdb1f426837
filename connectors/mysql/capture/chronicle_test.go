package capture_test

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/drivertest/servers"
	"headwater/connectors/mysql/session"
)

// chronicle is a history of a few tables, and of who follows them.
type chronicle struct {
	*follower
	*generator
	server   *servers.Server
	a, b     *sql.Conn       // two sessions
	may      map[string]bool // tables that may be refused since they were read whole last
	loose    bool            // something may end the whole log
	safe     bool            // a crash does not part the log from the tables
	orphans  bool            // a crash may have left what was prepared in the log alone
	unsynced bool            // a crash of the machine may lose the end of the log
	prepared []string        // XA transactions
	said     []string
}

// lenient has values that are none be NULL.
func lenient(s *session.Settings) { s.OnBadValue = "null" }

func newChronicle(t *testing.T, server *servers.Server, db *sql.DB, g *generator) *chronicle {
	c := &chronicle{follower: newFollower(t, server, db, lenient), generator: g, server: server, may: map[string]bool{}}
	c.strict = true
	g.look, g.columns, g.wanted = c.look, map[string][]column{}, nil
	c.connect()
	for _, schema := range []string{"headwater", "other"} {
		statements := fmt.Sprintf("DROP DATABASE IF EXISTS %[1]s; CREATE DATABASE %[1]s CHARACTER SET utf8mb4", schema)
		err := c.run(c.a, statements)
		if errors.Is(err, sqldriver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) { // it may end itself over them
			_ = server.Kill()
			if err = server.Restart(t.Context()); err == nil {
				c.connect()
				err = c.run(c.a, statements)
			}
		}
		if err != nil { // a killed server leaves files behind
			if err = os.RemoveAll(filepath.Join(server.Dir, "data", schema)); err == nil {
				err = c.run(c.a, statements)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.connect()
	c.run(c.a, "CREATE TABLE log_ (a int AUTO_INCREMENT PRIMARY KEY) ENGINE=MyISAM")
	c.said = nil
	for range 2 + g.r.IntN(3) {
		name := pick(g.r, "a", "B", "c d", "größe", "e`f", "G")
		if g.fold {
			name = strings.ToLower(name)
		}
		if slices.Contains(g.wanted, name) {
			continue
		}
		g.wanted = append(g.wanted, name)
		c.made(name)
	}
	return c
}

// made makes a table.
func (c *chronicle) made(name string) {
	for range 20 {
		if c.run(c.a, c.create(name)) == nil {
			break
		}
	}
	delete(c.columns, name)
}

// connect opens the sessions.
func (c *chronicle) connect() {
	c.t.Helper()
	for _, s := range []**sql.Conn{&c.a, &c.b} {
		if *s != nil {
			(*s).Raw(func(any) error { return sqldriver.ErrBadConn }) // its temporary tables and transactions end with it
			(*s).Close()
		}
		hidden := ""
		if !c.maria && c.often(40) {
			hidden = "; SET SESSION sql_generate_invisible_primary_key = ON"
		}
		for try := 0; ; try++ {
			conn, err := c.db.Conn(c.t.Context())
			if err == nil {
				_, err = conn.ExecContext(c.t.Context(), "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, sql_mode = 'STRICT_TRANS_TABLES'; USE headwater"+hidden)
			}
			if *s = conn; err == nil {
				break
			}
			if try > 100 {
				c.t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// run has a session carry statements out, as far as it gets.
func (c *chronicle) run(s *sql.Conn, statements string) error {
	name := "A"
	if s == c.b {
		name = "B"
	}
	_, err := s.ExecContext(c.t.Context(), statements)
	if c.said = append(c.said, name+": "+statements); err != nil {
		c.said = append(c.said, "   "+err.Error())
	}
	return err
}

func (c *chronicle) note(format string, args ...any) {
	c.said = append(c.said, "-- "+fmt.Sprintf(format, args...))
}

func (c *chronicle) tell() { c.t.Logf("the history:\n%s", strings.Join(c.said, "\n")) }

// look asks for the columns of a table.
func (c *chronicle) look(table string) (all []column) {
	rows, err := c.b.QueryContext(c.t.Context(), "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE = 'YES', COALESCE(GENERATION_EXPRESSION, '') <> '', COLUMN_KEY = 'PRI', COALESCE(CHARACTER_SET_NAME, ''), COALESCE(CHARACTER_MAXIMUM_LENGTH, 0) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'headwater' AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", table)
	if err != nil {
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var k column
		if err := rows.Scan(&k.name, &k.data, &k.full, &k.null, &k.generated, &k.key, &k.charset, &k.length); err != nil {
			c.t.Fatal(err)
		}
		all = append(all, k)
	}
	return all
}

// mayLose notes that tables may have to be read whole, all if none is named.
func (c *chronicle) mayLose(names ...string) {
	if len(names) == 0 {
		names = c.wanted
	}
	for _, name := range names {
		c.may[name] = true
	}
}

// crashes kills the server, most of the time amid statements.
func (c *chronicle) crashes() {
	c.t.Helper()
	c.run(c.a, "DROP TABLE IF EXISTS x")
	for _, name := range c.wanted { // tables without transactions have what was never logged
		if engine := c.engine(name); !c.safe || engine != "InnoDB" {
			c.mayLose(name)
		}
	}
	c.loose, c.orphans = c.loose || !c.safe, c.orphans || len(c.prepared) > 0
	var amid []string
	if c.often(70) {
		table := c.table()
		for c.often(90) {
			amid = append(amid, pick(c.r, c.plain(), c.plain(), "BEGIN", "COMMIT"))
		}
		if c.often(40) {
			c.mayLose(table)
			for range 2 {
				amid = append(amid, "ALTER TABLE "+c.called(table)+" "+c.altered(table), pick(c.r, "TRUNCATE "+c.called(table), "RENAME TABLE "+c.called(table)+" TO x", "RENAME TABLE x TO "+c.called(table), c.plain()))
			}
		}
	}
	done, after := make(chan int), time.Duration(c.r.IntN(40))*time.Millisecond
	go func() {
		n := 0
		for _, statement := range amid {
			_, err := c.a.ExecContext(c.t.Context(), statement)
			var server *mysql.MySQLError
			if n++; err != nil && !errors.As(err, &server) {
				break
			}
		}
		done <- n
	}()
	time.Sleep(after)
	how, err := "killed", error(nil)
	if c.often(20) {
		how = "shut down"
		c.run(c.b, "SHUTDOWN")
	} else {
		err = c.server.Kill()
	}
	n := <-done
	if how == "killed" && c.unsynced && c.often(40) { // as if the machine had gone down
		how += c.cutLog()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.server.Restart(c.t.Context()); err != nil { // an ALTER that a kill broke off may leave it without a file
		c.t.Skipf("the server does not start any more: %v", err)
	}
	c.note("%s after %s, amid the last of\nA: %s", how, after, strings.Join(amid[:n], "\nA: "))
	c.connect()
	c.run(c.a, "RENAME TABLE x TO "+quote(c.table()))
	for _, name := range c.wanted { // a table in memory is emptied in the log when it is opened
		if c.run(c.a, "DO (SELECT COUNT(*) FROM "+quote(name)+")") != nil { // or it was not there, or is broken
			c.run(c.a, "DROP TABLE IF EXISTS "+quote(name))
			c.mayLose(name)
		}
	}
	clear(c.columns)
}

// cutLog takes the end of the log away.
func (c *chronicle) cutLog() string {
	files, err := filepath.Glob(filepath.Join(c.server.Dir, "data", "log.[0-9]*"))
	if err != nil || len(files) == 0 {
		c.t.Fatal(err)
	}
	last := slices.Max(files)
	info, err := os.Stat(last)
	if err != nil {
		c.t.Fatal(err)
	}
	size := max(info.Size()-int64(c.r.IntN(2000)), 600)
	if size >= info.Size() {
		return ""
	}
	if err := os.Truncate(last, size); err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf(" and %s cut at %d", filepath.Base(last), size)
}

// engine is the engine of a table.
func (c *chronicle) engine(name string) (engine string) {
	_ = c.b.QueryRowContext(c.t.Context(), "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'headwater' AND TABLE_NAME = ?", name).Scan(&engine)
	return engine
}
